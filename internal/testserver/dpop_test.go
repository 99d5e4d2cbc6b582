package testserver_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

const tokenPath = "/oauth/token"

// dpopLogin starts a session of the public client cli that is bound to h.
func dpopLogin(t *testing.T, b bench, h holder) (access, refresh string) {
	t.Helper()
	got := b.do(h.proven(t, formRequest(tokenPath, passwordForm("")), b.Now()))
	require.Equal(t, http.StatusOK, got.Code, got.Body)
	require.Equal(t, "DPoP", got.field("token_type"))
	return got.tokens()
}

// badProofs are RFC 9449 4.3, check by check: what a proof must not be like.
func badProofs(t *testing.T, b bench) map[string]change {
	t.Helper()
	other := newHolder(t)
	return map[string]change{
		"3 without jti":                  drop("jti"),
		"3 without htm":                  drop("htm"),
		"3 without htu":                  drop("htu"),
		"3 without iat":                  drop("iat"),
		"4 of another type":              setHeader("typ", "JWT"),
		"4 without a type":               func(h, _ map[string]any) { delete(h, "typ") },
		"6 signed with another key":      setHeader("jwk", other.jwk),
		"7 with the private key":         privateKey,
		"7 without a key":                func(h, _ map[string]any) { delete(h, "jwk") },
		"7 with a symmetric key":         setHeader("jwk", map[string]any{"kty": "oct", "k": b64([]byte("secret"))}),
		"8 for another method":           setClaim("htm", "PATCH"),
		"8 for the method in small":      setClaim("htm", "post"),
		"9 for another path":             setClaim("htu", "http://auth.test/oauth/revoke"),
		"9 for another host":             setClaim("htu", "http://elsewhere.test"+tokenPath),
		"9 for another scheme":           setClaim("htu", "https://auth.test"+tokenPath),
		"9 for another port":             setClaim("htu", "http://auth.test:8080"+tokenPath),
		"9 for a path of another case":   setClaim("htu", "http://auth.test/OAuth/token"),
		"11 made more than a minute ago": setClaim("iat", b.Now().Add(-62*time.Second).Unix()),
		"11 made in the future":          setClaim("iat", b.Now().Add(7*time.Second).Unix()),
		"with a critical extension":      setHeader("crit", []string{"b64"}),
		"with a time that is none":       setClaim("iat", "now"),
	}
}

func TestEveryCheckOfAProofIsMadeAtTheTokenEndpoint(t *testing.T) {
	b := start(t, "strict", nil)
	for name, spoil := range badProofs(t, b) {
		t.Run(name, func(t *testing.T) {
			h := newHolder(t)
			got := b.do(h.proven(t, formRequest(tokenPath, passwordForm("")), b.Now(), spoil))
			assert.Equal(t, http.StatusBadRequest, got.Code)
			assert.Equal(t, "invalid_dpop_proof", got.field("error"))
			assert.Equal(t, testserver.ProofInvalid, got.outcome())
		})
	}
	assert.Zero(t, b.Stats().Logins)
}

func TestEveryCheckOfAProofIsMadeAtTheAPI(t *testing.T) {
	b := start(t, "strict", nil)
	for name, spoil := range badProofs(t, b) {
		t.Run(name, func(t *testing.T) {
			h := newHolder(t)
			access, _ := dpopLogin(t, b, h)
			got := b.do(h.shown(t, request(http.MethodGet, "/api/dpop", "", ""), access, b.Now(), spoil))
			require.Equal(t, http.StatusUnauthorized, got.Code)
			assert.Contains(t, got.Header().Get("WWW-Authenticate"), `DPoP realm="authtest"`)
			assert.Contains(t, got.Header().Get("WWW-Authenticate"), `error="invalid_dpop_proof"`)
		})
	}
}

func TestAProofIsOneHeaderWithOneJWT(t *testing.T) {
	b, h := start(t, "strict", nil), newHolder(t)
	good := func() string { return h.proof(t, http.MethodPost, tokenPath, b.Now()) }
	header, claims, _ := strings.Cut(good(), ".")
	for name, values := range map[string][]string{
		"1 two headers":             {good(), good()},
		"2 no JWT":                  {"proof"},
		"2 empty":                   {""},
		"2 two in one header":       {good() + ", " + good()},
		"2 without its signature":   {header + "." + strings.Split(claims, ".")[0] + "."},
		"2 longer than any is":      {good() + strings.Repeat("A", 20<<10)},
		"5 unsigned":                {unsigned(t, h, b)},
		"5 signed with a MAC":       {mac(t, h, b)},
		"5 for another curve's alg": {otherCurve(t, b)},
	} {
		t.Run(name, func(t *testing.T) {
			r := formRequest(tokenPath, passwordForm(""))
			r.Header["Dpop"] = values
			got := b.do(r)
			assert.Equal(t, http.StatusBadRequest, got.Code)
			assert.Equal(t, "invalid_dpop_proof", got.field("error"))
		})
	}
}

func unsigned(t *testing.T, h holder, b bench) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{
		"jti": "1", "htm": http.MethodPost, "htu": "http://auth.test" + tokenPath, "iat": b.Now().Unix()})
	token.Header["typ"], token.Header["jwk"] = "dpop+jwt", h.jwk
	out, err := token.SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	return out
}

// mac signs with the public key as if it were a secret, which an alg that the
// sender chooses would let pass.
func mac(t *testing.T, h holder, b bench) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"jti": "1", "htm": http.MethodPost, "htu": "http://auth.test" + tokenPath, "iat": b.Now().Unix()})
	token.Header["typ"], token.Header["jwk"] = "dpop+jwt", h.jwk
	out, err := token.SignedString([]byte(h.jwk["x"].(string)))
	require.NoError(t, err)
	return out
}

// privateKey puts a member of a private key beside those of the right one.
func privateKey(header, _ map[string]any) {
	jwk := maps.Clone(header["jwk"].(map[string]any))
	jwk["d"] = b64([]byte("private"))
	header["jwk"] = jwk
}

// otherCurve says ES384 and is rightly signed so with a P-256 key, which a
// library that looks at the lengths alone lets pass.
func otherCurve(t *testing.T, b bench) string {
	t.Helper()
	h := newHolder(t)
	parts := strings.Split(h.proof(t, http.MethodPost, tokenPath, b.Now(), setHeader("alg", "ES384")), ".")
	digest := sha512.Sum384([]byte(parts[0] + "." + parts[1]))
	r, s, err := ecdsa.Sign(rand.Reader, h.key.(*ecdsa.PrivateKey), digest[:])
	require.NoError(t, err)
	return parts[0] + "." + parts[1] + "." + b64(append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...))
}

func TestProofsOfEveryKindOfKeyAreTaken(t *testing.T) {
	b := start(t, "strict", nil)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)
	public, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	rsaJWK := map[string]any{"kty": "RSA", "n": b64(rsaKey.N.Bytes()), "e": bigBytes(int64(rsaKey.E))}
	for name, h := range map[string]holder{
		"P-256":   newHolder(t),
		"P-384":   {p384, jwt.SigningMethodES384, ecJWK(t, &p384.PublicKey)},
		"P-521":   {p521, jwt.SigningMethodES512, ecJWK(t, &p521.PublicKey)},
		"Ed25519": {edwards, jwt.SigningMethodEdDSA, map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}},
		"RS256":   {rsaKey, jwt.SigningMethodRS256, rsaJWK},
		"PS256":   {rsaKey, jwt.SigningMethodPS256, rsaJWK},
	} {
		t.Run(name, func(t *testing.T) {
			access, _ := dpopLogin(t, b, h)
			cnf, _ := part(t, access, 1)["cnf"].(map[string]any)
			assert.Equal(t, h.thumbprint(), cnf["jkt"])
			got := b.do(h.shown(t, request(http.MethodGet, "/api/dpop", "", ""), access, b.Now()))
			assert.Equal(t, http.StatusOK, got.Code, got.Body)
		})
	}
}

func TestTheURLOfAProofMayBeWrittenInAnyWay(t *testing.T) {
	b, h := start(t, "strict", nil), newHolder(t)
	for _, htu := range []string{
		"http://auth.test/oauth/token?a=b#c", "HTTP://AUTH.TEST/oauth/token",
		"http://auth.test:80/oauth/token", "http://auth.test/%6Fauth/token",
	} {
		got := b.do(h.proven(t, formRequest(tokenPath, passwordForm("")), b.Now(), setClaim("htu", htu)))
		assert.Equal(t, http.StatusOK, got.Code, htu)
	}
	// RFC 9449 4.3: the server's own name counts, whatever the Host header says.
	r := h.proven(t, formRequest(tokenPath, passwordForm("")), b.Now(), setClaim("htu", "http://elsewhere.test/oauth/token"))
	r.Host = "elsewhere.test"
	assert.Equal(t, http.StatusBadRequest, b.do(r).Code)
}

func TestAProofCannotBeUsedTwice(t *testing.T) {
	b, h := start(t, "strict", nil), newHolder(t)
	first := h.proven(t, formRequest(tokenPath, passwordForm("")), b.Now())
	again := formRequest(tokenPath, passwordForm(""))
	again.Header.Set("DPoP", first.Header.Get("DPoP"))
	require.Equal(t, http.StatusOK, b.do(first).Code)
	got := b.do(again)
	assert.Equal(t, "invalid_dpop_proof", got.field("error"))
	assert.Contains(t, got.field("error_description"), "used before")

	// The same jti of another key is another proof, and the other way round: one
	// refused for something else has not been used.
	spoiled := h.proven(t, formRequest(tokenPath, passwordForm("")), b.Now(), setClaim("jti", "one"), setClaim("htm", "GET"))
	require.Equal(t, http.StatusBadRequest, b.do(spoiled).Code)
	assert.Equal(t, http.StatusOK, b.do(h.proven(t, formRequest(tokenPath, passwordForm("")), b.Now(), setClaim("jti", "one"))).Code)
	assert.Equal(t, http.StatusOK, b.do(newHolder(t).proven(t, formRequest(tokenPath, passwordForm("")), b.Now(), setClaim("jti", "one"))).Code)
}

func TestARefreshTokenOfAPublicClientIsBoundToItsKey(t *testing.T) {
	for _, d := range dialects() {
		t.Run(d.name, func(t *testing.T) {
			b, h := start(t, "strict", nil), newHolder(t)
			_, refresh := dpopLogin(t, b, h)

			// Neither another key nor none spends the token, and neither is reuse.
			got := b.do(newHolder(t).proven(t, d.request(refresh), b.Now()))
			assert.Equal(t, http.StatusBadRequest, got.Code)
			assert.Equal(t, testserver.WrongKey, got.outcome())
			got = b.do(d.request(refresh))
			assert.Equal(t, http.StatusBadRequest, got.Code)
			assert.Equal(t, testserver.ProofInvalid, got.outcome())
			assert.Zero(t, b.Stats().Reuses)

			got = b.do(h.proven(t, d.request(refresh), b.Now()))
			require.Equal(t, testserver.Rotated, got.outcome())
			access, _ := got.tokens()
			assert.Equal(t, http.StatusOK, b.do(h.shown(t, request(http.MethodGet, "/api/dpop", "", ""), access, b.Now())).Code)
		})
	}
}

func TestAWrongKeyNeverTriggersReuse(t *testing.T) {
	b, h := start(t, "strict", nil), newHolder(t)
	_, retired := dpopLogin(t, b, h)
	got := b.do(h.proven(t, oauth().request(retired), b.Now()))
	require.Equal(t, testserver.Rotated, got.outcome())
	_, live := got.tokens()

	// The retired token with another key: refused for the key, and the family lives.
	assert.Equal(t, testserver.WrongKey, b.do(newHolder(t).proven(t, oauth().request(retired), b.Now())).outcome())
	assert.Equal(t, testserver.Rotated, b.do(h.proven(t, oauth().request(live), b.Now())).outcome())
	// With its own key it is the reuse that it is.
	assert.Equal(t, testserver.ReuseDetected, b.do(h.proven(t, oauth().request(retired), b.Now())).outcome())
}

func TestAConfidentialClientMayChangeItsKey(t *testing.T) {
	b := start(t, "strict", nil)
	form := passwordForm("")
	form.Set("client_id", serviceID)
	form.Set("client_secret", serviceSecret)
	got := b.do(newHolder(t).proven(t, formRequest(tokenPath, form), b.Now()))
	require.Equal(t, "DPoP", got.field("token_type"))
	_, refresh := got.tokens()

	// RFC 9449 5: its refresh token is bound to its authentication.
	next := newHolder(t)
	form = refreshForm(refresh)
	form.Set("client_id", serviceID)
	form.Set("client_secret", serviceSecret)
	got = b.do(next.proven(t, formRequest(tokenPath, form), b.Now()))
	require.Equal(t, testserver.Rotated, got.outcome())
	access, _ := got.tokens()
	assert.Equal(t, http.StatusOK, b.do(next.shown(t, request(http.MethodGet, "/api/dpop", "", ""), access, b.Now())).Code)
}

func TestAClientThatPromisedProofsGetsNothingWithout(t *testing.T) {
	b := start(t, "strict", func(c *testserver.Config) {
		c.Clients = []testserver.Client{{ID: "cli", DPoPBound: true}}
	})
	got := b.do(formRequest(tokenPath, passwordForm("")))
	assert.Equal(t, "invalid_dpop_proof", got.field("error"))
	dpopLogin(t, b, newHolder(t))
}

func TestABoundTokenIsShownWithItsProofAndNoOther(t *testing.T) {
	b, h := start(t, "strict", nil), newHolder(t)
	access, _ := dpopLogin(t, b, h)
	other, _ := dpopLogin(t, b, h)
	plain := b.login(t).Access
	get := func() *http.Request { return request(http.MethodGet, "/api/dpop", "", "") }
	bearer := h.shown(t, get(), access, b.Now())
	bearer.Header.Set("Authorization", "Bearer "+access)
	bare := get()
	bare.Header.Set("Authorization", "DPoP "+access)

	for name, c := range map[string]struct {
		r    *http.Request
		code string
	}{
		"downgraded to a bearer token":  {bearer, "invalid_token"},
		"without a proof":               {bare, "invalid_dpop_proof"},
		"12 ath of another token":       {h.shown(t, get(), access, b.Now(), setClaim("ath", sha(other))), "invalid_dpop_proof"},
		"12 without ath":                {h.shown(t, get(), access, b.Now(), drop("ath")), "invalid_dpop_proof"},
		"12 with another key":           {newHolder(t).shown(t, get(), access, b.Now()), "invalid_token"},
		"a bearer token with a proof":   {h.shown(t, get(), plain, b.Now()), "invalid_token"},
		"a bearer token as what it is":  {withBearer(get(), plain), "invalid_token"},
		"a refresh token with a proof":  {h.shown(t, get(), "rt_"+strings.Repeat("A", 43), b.Now()), "invalid_token"},
		"with the scheme and no token":  {h.shown(t, get(), "", b.Now()), "invalid_token"},
		"no credentials, so no error":   {get(), ""},
		"another scheme, so no error":   {withScheme(get(), "Basic YTpi"), ""},
		"after the token was withdrawn": {revoked(t, b, h), "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(c.r)
			require.Equal(t, http.StatusUnauthorized, got.Code)
			challenge := got.Header().Get("WWW-Authenticate")
			assert.True(t, strings.HasPrefix(challenge, "DPoP "), challenge)
			assert.Contains(t, challenge, `algs="ES256 `)
			if c.code == "" {
				assert.NotContains(t, challenge, "error")
			} else {
				assert.Contains(t, challenge, `error="`+c.code+`"`)
			}
		})
	}
	assert.Equal(t, http.StatusOK, b.do(h.shown(t, get(), access, b.Now())).Code)
}

func withBearer(r *http.Request, access string) *http.Request {
	return withScheme(r, "Bearer "+access)
}

func withScheme(r *http.Request, value string) *http.Request {
	r.Header.Set("Authorization", value)
	return r
}

func revoked(t *testing.T, b bench, h holder) *http.Request {
	t.Helper()
	access, _ := dpopLogin(t, b, h)
	require.NoError(t, b.RevokeAccessToken(access))
	return h.shown(t, request(http.MethodGet, "/api/dpop", "", ""), access, b.Now())
}

// Guards that the jti is put and judged in one step: of a proof that arrives
// many times at once, one copy is good.
func TestOfOneProofSentManyTimesAtOnceOneIsGood(t *testing.T) {
	b, h := start(t, "strict", nil), newHolder(t)
	proof := h.proof(t, http.MethodPost, tokenPath, b.Now())
	outcomes := make(chan testserver.Outcome, 32)
	for range cap(outcomes) {
		go func() {
			r := formRequest(tokenPath, passwordForm(""))
			r.Header.Set("DPoP", proof)
			outcomes <- b.do(r).outcome()
		}()
	}
	count := make(map[testserver.Outcome]int)
	for range cap(outcomes) {
		count[<-outcomes]++
	}
	assert.Equal(t, map[testserver.Outcome]int{testserver.LoggedIn: 1, testserver.ProofInvalid: 31}, count)
}
