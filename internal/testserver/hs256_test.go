package testserver_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func secretly(c *testserver.Config) { c.SigningAlgorithm = testserver.HS256 }

// signed is an access token's claims under a header and a key of the test's.
func signed(t *testing.T, token string, method jwt.SigningMethod, header map[string]any, key any) string {
	t.Helper()
	j := jwt.NewWithClaims(method, jwt.MapClaims(part(t, token, 1)))
	for name, v := range header {
		j.Header[name] = v
	}
	out, err := j.SignedString(key)
	require.NoError(t, err)
	return out
}

func TestASecretSignsAccessTokensAndNothingElse(t *testing.T) {
	for _, profile := range profiles() {
		b := start(t, profile, secretly)
		a := b.redeem(b.code(t, nil), nil)
		access, refresh := a.tokens()
		header := part(t, access, 0)
		assert.Equal(t, "HS256", header["alg"])
		assert.Equal(t, "at+jwt", header["typ"])
		require.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
		_, err := jwt.NewParser(jwt.WithoutClaimsValidation()).Parse(access, func(*jwt.Token) (any, error) { return b.AccessSecret(), nil })
		assert.NoError(t, err, "whoever has the secret can check it")

		id := a.field("id_token").(string)
		assert.Equal(t, "ES256", part(t, id, 0)["alg"])
		assert.NoError(t, b.verify(t, id))
		assert.Equal(t, []any{"ES256"}, b.json(t, "/.well-known/openid-configuration")["id_token_signing_alg_values_supported"])
		keys := b.get("/oauth/jwks", "").Body.String()
		assert.Len(t, b.publicKeys(t), 1)
		assert.NotContains(t, keys, header["kid"])
		assert.NotContains(t, keys, "oct")
		if refresh[:3] != "rt_" {
			_, err = jwt.Parse(refresh, func(*jwt.Token) (any, error) { return b.AccessSecret(), nil })
			assert.ErrorIs(t, err, jwt.ErrTokenSignatureInvalid, "refresh tokens have a secret of their own")
		}
	}
}

// A public key is no secret, whatever the header says (RFC 8725 2.1).
func TestAPublicKeyIsNeverTakenForASecret(t *testing.T) {
	for _, alg := range []testserver.Algorithm{testserver.ES256, testserver.RS256, testserver.EdDSA, testserver.HS256} {
		b := start(t, "strict", func(c *testserver.Config) { c.SigningAlgorithm = alg })
		access := b.login(t).Access
		for id, key := range b.publicKeys(t) {
			der, err := x509.MarshalPKIXPublicKey(key)
			require.NoError(t, err)
			set := b.get("/oauth/jwks", "").Body.Bytes()
			for _, known := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), set, {}} {
				for _, kid := range []any{id, part(t, access, 0)["kid"]} {
					forged := signed(t, access, jwt.SigningMethodHS256, map[string]any{"typ": "at+jwt", "kid": kid}, known)
					assert.Equal(t, testserver.AccessInvalid, b.get("/api/me", forged).outcome(), alg)
				}
			}
		}
	}
}

func TestWhereASecretSignsNoKeyPairDoes(t *testing.T) {
	b, stranger := start(t, "firstparty", secretly), newHolder(t)
	tokens := b.login(t)
	kid := part(t, tokens.Access, 0)["kid"]
	byIDKey, byRefreshSecret := b.SignedElsewhere(tokens.Access)
	for name, token := range map[string]string{
		"the server's own key of ID tokens": byIDKey,
		"the secret of refresh tokens":      byRefreshSecret,
		"a refresh token":                   tokens.Refresh,
		"a stranger's key": signed(t, tokens.Access, jwt.SigningMethodES256,
			map[string]any{"typ": "at+jwt", "kid": kid}, stranger.key),
		"no key": signed(t, tokens.Access, jwt.SigningMethodNone,
			map[string]any{"typ": "at+jwt", "kid": kid}, jwt.UnsafeAllowNoneSignatureType),
		"the secret with a longer digest": signed(t, tokens.Access, jwt.SigningMethodHS512,
			map[string]any{"typ": "at+jwt", "kid": kid}, b.AccessSecret()),
		"another type under the secret": b.Resign(tokens.Access, "refresh+jwt", "http://auth.test"),
		"no type under the secret":      b.Resign(tokens.Access, "JWT", "http://auth.test"),
	} {
		assert.Equal(t, testserver.AccessInvalid, b.get("/api/me", token).outcome(), name)
	}
	require.Equal(t, http.StatusOK, b.get("/api/me", b.Resign(tokens.Access, "at+jwt", "http://auth.test")).Code)
	assert.Equal(t, testserver.Unknown, b.do(jsonRequest("/refresh", map[string]string{"refreshToken": tokens.Access})).outcome())
	assert.Equal(t, testserver.Rotated, b.refresh(tokens.Refresh).outcome(), "and nothing was ended by it")
}

func TestASecretIsKeptWithTheSessions(t *testing.T) {
	store := testserver.MemoryStore()
	over := func(c *testserver.Config) { secretly(c); c.Store = store }
	a, b := start(t, "strict", over), start(t, "strict", over)
	assert.Equal(t, a.AccessSecret(), b.AccessSecret())
	old := a.login(t)
	assert.Equal(t, http.StatusOK, b.get("/api/me", old.Access).Code)

	require.NoError(t, a.RotateKeys())
	fresh := a.login(t)
	assert.NotEqual(t, part(t, old.Access, 0)["kid"], part(t, fresh.Access, 0)["kid"])
	b.Advance(time.Second)
	for _, access := range []string{old.Access, fresh.Access} {
		assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
	}
	assert.Equal(t, a.AccessSecret(), b.AccessSecret())
	assert.Equal(t, http.StatusOK, start(t, "strict", over).get("/api/me", fresh.Access).Code, "after a restart")

	pairs := start(t, "strict", func(c *testserver.Config) { c.Store = store })
	assert.Equal(t, testserver.AccessInvalid, pairs.get("/api/me", fresh.Access).outcome(), "a server that signs by a key pair takes no secret's token")
	assert.Nil(t, pairs.AccessSecret())
}

// Guards that what was dropped is dropped in every process.
func TestAReplacedKeyIsVoidAtOnce(t *testing.T) {
	for _, alg := range []testserver.Algorithm{testserver.ES256, testserver.HS256} {
		store := testserver.MemoryStore()
		over := func(c *testserver.Config) { c.SigningAlgorithm, c.Store = alg, store }
		a, b := start(t, "strict", over), start(t, "strict", over)
		tokens := a.login(t)
		require.Equal(t, http.StatusOK, b.get("/api/me", tokens.Access).Code)
		require.NoError(t, a.ReplaceKeys())
		b.Advance(time.Second)
		for _, one := range []bench{a, b} {
			assert.Equal(t, testserver.AccessInvalid, one.get("/api/me", tokens.Access).outcome(), alg)
			assert.Len(t, one.publicKeys(t), 1)
		}
		access, _ := b.refresh(tokens.Refresh).tokens()
		assert.Equal(t, http.StatusOK, a.get("/api/me", access).Code, "a refresh cures it")
	}
}

func TestASecretMayBeGiven(t *testing.T) {
	store, given := testserver.MemoryStore(), bytes.Repeat([]byte("s"), 32)
	with := func(secret []byte) bench {
		return start(t, "strict", func(c *testserver.Config) { secretly(c); c.Store, c.AccessSecret = store, secret })
	}
	before := with(given)
	old := before.login(t)
	assert.Equal(t, given, before.AccessSecret())
	assert.Equal(t, given, with(nil).AccessSecret(), "the one that is kept")
	assert.Equal(t, part(t, old.Access, 0)["kid"], part(t, with(given).login(t).Access, 0)["kid"], "nothing is rotated for the same one")

	other := bytes.Repeat([]byte("o"), 40)
	after := with(other)
	assert.Equal(t, other, after.AccessSecret())
	assert.Equal(t, http.StatusOK, after.get("/api/me", old.Access).Code, "it was signed before the secret changed")
	after.Advance(15 * time.Minute)
	assert.Equal(t, http.StatusUnauthorized, after.get("/api/me", old.Access).Code)

	for _, cfg := range []testserver.Config{
		{Issuer: issuer, SigningAlgorithm: testserver.HS256, AccessSecret: given[:31]},
		{Issuer: issuer, AccessSecret: given},
	} {
		_, err := testserver.New(cfg)
		assert.EqualError(t, err, "testserver: AccessSecret is for HS256 and has at least 32 bytes")
	}
}

func TestTheSecretIsToldToTestsAlone(t *testing.T) {
	b := start(t, "strict", secretly)
	var told struct{ Kid, Alg, K string }
	require.NoError(t, json.Unmarshal(b.control(http.MethodGet, "/_test/keys/secret", "").Body.Bytes(), &told))
	access := b.login(t).Access
	assert.Equal(t, part(t, access, 0)["kid"], told.Kid)
	assert.Equal(t, "HS256", told.Alg)
	assert.Equal(t, http.StatusNoContent, b.control(http.MethodPost, "/_test/keys/replace", "").Code)
	assert.Equal(t, testserver.AccessInvalid, b.get("/api/me", access).outcome())
	assert.Equal(t, http.StatusNotFound, start(t, "strict", nil).control(http.MethodGet, "/_test/keys/secret", "").Code)
	r := request(http.MethodGet, "/_test/keys/secret", "", "")
	assert.Equal(t, http.StatusForbidden, b.do(r).Code, "another machine needs the key")
}

func TestAnAccessTokenUnderASecretIsIntrospectedAndRevoked(t *testing.T) {
	b := start(t, "strict", secretly)
	access := b.login(t).Access
	ask := url.Values{"client_id": {serviceID}, "client_secret": {serviceSecret}, "token": {access}}
	assert.Equal(t, true, b.do(formRequest("/oauth/introspect", ask)).field("active"))
	require.NoError(t, b.RevokeAccessToken(access))
	assert.Equal(t, false, b.do(formRequest("/oauth/introspect", ask)).field("active"))
}
