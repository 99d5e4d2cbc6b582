package testserver_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// pointer ends every challenge of the API (RFC 9728 5.1).
const pointer = `, resource_metadata="` + issuer + `/.well-known/oauth-protected-resource/api"`

func (b bench) json(t *testing.T, path string) map[string]any {
	t.Helper()
	a := b.get(path, "")
	require.Equal(t, http.StatusOK, a.Code, path)
	assert.Equal(t, "application/json", a.Header().Get("Content-Type"))
	var out map[string]any
	require.NoError(t, json.Unmarshal(a.Body.Bytes(), &out))
	return out
}

func TestMetadataNamesWhatIsServedAndNothingElse(t *testing.T) {
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		b := start(t, "strict", nil)
		m := b.json(t, path)
		assert.Equal(t, issuer, m["issuer"], "RFC 8414 3.3")
		for name, value := range m {
			if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
				continue
			}
			where, ok := strings.CutPrefix(value.(string), issuer)
			require.True(t, ok, name)
			served := 0
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				if a := b.as(method, where, ""); a.Code != http.StatusNotFound && a.Code != http.StatusMethodNotAllowed {
					served++
				}
			}
			assert.NotZero(t, served, "%s: %s", name, where)
		}
		for _, grant := range m["grant_types_supported"].([]any) {
			a := b.do(formRequest("/oauth/token", url.Values{"grant_type": {grant.(string)}, "client_id": {"cli"}}))
			assert.NotEqual(t, "unsupported_grant_type", a.field("error"), grant)
		}
		for _, prompt := range m["prompt_values_supported"].([]any) {
			_, params := b.authorize(authRequest(setting("prompt", prompt.(string)))).redirect(t)
			assert.NotEqual(t, "invalid_request", params.Get("error"), prompt)
		}
		for _, acr := range m["acr_values_supported"].([]any) {
			_, params := b.authorize(authRequest(setting("acr_values", acr.(string)))).redirect(t)
			assert.Empty(t, params.Get("error"), acr)
		}
		assert.Equal(t, []any{"S256"}, m["code_challenge_methods_supported"])
		assert.Equal(t, true, m["authorization_response_iss_parameter_supported"])
		assert.NotContains(t, m["token_endpoint_auth_methods_supported"], "self_signed_tls_client_auth", "there is no TLS")
		assert.NotContains(t, m["introspection_endpoint_auth_methods_supported"], "none")
	}
}

func TestEveryMethodThatMetadataNamesCanBeRegistered(t *testing.T) {
	b := start(t, "strict", nil)
	for _, method := range b.json(t, "/.well-known/oauth-authorization-server")["token_endpoint_auth_methods_supported"].([]any) {
		body := map[string]any{"redirect_uris": []string{callback}, "token_endpoint_auth_method": method}
		if method == "private_key_jwt" {
			body["jwks"] = b.json(t, "/oauth/jwks")
		}
		assert.Equal(t, http.StatusCreated, b.register(body).Code, method)
	}
}

func TestARefusedCallIsPointedToTheMetadata(t *testing.T) {
	b := start(t, "strict", nil)
	a := b.get("/api/me", "")
	require.Equal(t, http.StatusUnauthorized, a.Code)
	_, where, found := strings.Cut(a.Header().Get("WWW-Authenticate"), `resource_metadata="`+issuer)
	require.True(t, found, a.Header().Get("WWW-Authenticate"))
	m := b.json(t, strings.TrimSuffix(where, `"`))
	assert.Equal(t, issuer+"/api", m["resource"])
	assert.Equal(t, []any{issuer}, m["authorization_servers"])
	assert.Equal(t, []any{"header"}, m["bearer_methods_supported"])
	access, _ := b.redeem(b.code(t, nil), nil).tokens()
	assert.Equal(t, []any{m["resource"]}, part(t, access, 1)["aud"], "what tokens are for")
	assert.Equal(t, issuer, b.json(t, "/.well-known/oauth-protected-resource")["resource"], "RFC 9728 3.3")
}

// publicKeys reads the key set as a client would, with nothing of the server's.
func (b bench) publicKeys(t *testing.T) map[string]any {
	t.Helper()
	number := func(v any) *big.Int {
		raw, err := base64.RawURLEncoding.DecodeString(v.(string))
		require.NoError(t, err)
		return new(big.Int).SetBytes(raw)
	}
	out := map[string]any{}
	for _, entry := range b.json(t, "/oauth/jwks")["keys"].([]any) {
		k := entry.(map[string]any)
		assert.Equal(t, "sig", k["use"])
		assert.NotContains(t, k, "d")
		switch k["kty"] {
		case "EC":
			point := append([]byte{4}, number(k["x"]).FillBytes(make([]byte, 32))...) // uncompressed (RFC 7518 6.2.1)
			key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(point, number(k["y"]).FillBytes(make([]byte, 32))...))
			require.NoError(t, err)
			out[k["kid"].(string)] = key
		case "RSA":
			out[k["kid"].(string)] = &rsa.PublicKey{N: number(k["n"]), E: int(number(k["e"]).Int64())}
		case "OKP":
			out[k["kid"].(string)] = ed25519.PublicKey(number(k["x"]).FillBytes(make([]byte, ed25519.PublicKeySize)))
		}
	}
	return out
}

func (b bench) verify(t *testing.T, token string) error {
	t.Helper()
	keys := b.publicKeys(t)
	_, err := jwt.NewParser(jwt.WithoutClaimsValidation()).Parse(token, func(j *jwt.Token) (any, error) {
		key, ok := keys[j.Header["kid"].(string)]
		if !ok {
			return nil, jwt.ErrTokenUnverifiable
		}
		return key, nil
	})
	return err
}

func TestTokensVerifyWithThePublishedKeys(t *testing.T) {
	for _, alg := range []testserver.Algorithm{"", testserver.ES256, testserver.RS256, testserver.EdDSA} {
		t.Run(string(alg), func(t *testing.T) {
			b := start(t, "strict", func(c *testserver.Config) { c.SigningAlgorithm = alg })
			a := b.redeem(b.code(t, nil), nil)
			access, _ := a.tokens()
			assert.NoError(t, b.verify(t, access))
			assert.NoError(t, b.verify(t, a.field("id_token").(string)))
			assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
			want := alg
			if want == "" {
				want = testserver.ES256
			}
			assert.Equal(t, string(want), part(t, access, 0)["alg"])
			m := b.json(t, "/.well-known/openid-configuration")
			assert.Equal(t, []any{string(want)}, m["id_token_signing_alg_values_supported"])
		})
	}
}

func TestARotatedKeyIsGoodForAsLongAsItsTokens(t *testing.T) {
	b := start(t, "strict", nil)
	old := b.login(t)
	b.Advance(time.Minute)
	require.NoError(t, b.RotateKeys())
	fresh := b.login(t)
	require.Len(t, b.publicKeys(t), 2)
	assert.NotEqual(t, part(t, old.Access, 0)["kid"], part(t, fresh.Access, 0)["kid"])
	for _, access := range []string{old.Access, fresh.Access} {
		assert.NoError(t, b.verify(t, access))
		assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
	}
	b.Advance(15 * time.Minute)
	assert.Len(t, b.publicKeys(t), 1)
	require.NoError(t, b.RotateKeys())
	assert.Len(t, b.publicKeys(t), 2, "the oldest is gone for good")
	assert.Equal(t, http.StatusOK, b.refresh(fresh.Refresh).Code, "sessions do not mind")
}

// Guards follow: two servers over one store are one server.
func TestAServerSignsWithTheKeyThatAnotherOneRotatedIn(t *testing.T) {
	store := testserver.MemoryStore()
	sharing := func(c *testserver.Config) { c.Store = store }
	a, b := start(t, "strict", sharing), start(t, "strict", sharing)
	before := b.login(t)
	require.NoError(t, a.RotateKeys())
	a.Advance(time.Second)
	b.Advance(time.Second)
	want := part(t, a.login(t).Access, 0)["kid"]
	require.NotEqual(t, part(t, before.Access, 0)["kid"], want)
	assert.Equal(t, want, part(t, b.login(t).Access, 0)["kid"], "at a login")
	c := start(t, "strict", sharing)
	require.NoError(t, c.RotateKeys())
	b.Advance(time.Second)
	access, _ := b.refresh(before.Refresh).field("access_token").(string)
	assert.NotEqual(t, want, part(t, access, 0)["kid"], "at a refresh")
}

func TestAnUnknownAlgorithmIsNotServed(t *testing.T) {
	p, err := testserver.ProfileNamed("strict")
	require.NoError(t, err)
	_, err = testserver.New(testserver.Config{Issuer: issuer, Profile: p, SigningAlgorithm: "none"})
	assert.Error(t, err)
}
