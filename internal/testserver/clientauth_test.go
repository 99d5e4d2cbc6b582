package testserver_test

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// signing is a server whose client "signer" proves itself with h, beside one
// of every other method.
func signing(t *testing.T, h holder) bench {
	t.Helper()
	return start(t, "strict", func(c *testserver.Config) {
		c.Clients = []testserver.Client{
			{ID: "cli"},
			{ID: "signer", JWKS: h.jwks(), Auth: testserver.PrivateKeyJWT},
			{ID: "another", JWKS: newHolder(t).jwks()},
			{ID: "basic", Secret: "s", Auth: testserver.SecretBasic},
			{ID: "post", Secret: "s", Auth: testserver.SecretPost},
			{ID: "none", Auth: testserver.NoMethod},
		}
	})
}

func machineForm(extra ...string) url.Values {
	form := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i < len(extra); i += 2 {
		form.Set(extra[i], extra[i+1])
	}
	return form
}

func assertionForm(assertion string, extra ...string) url.Values {
	form := machineForm(extra...)
	form.Set("client_assertion", assertion)
	form.Set("client_assertion_type", assertionType)
	return form
}

func TestAClientProvesItselfWithAnAssertion(t *testing.T) {
	h := newHolder(t)
	b := signing(t, h)
	for name, changes := range map[string][]change{
		"for the issuer":         nil,
		"for the token endpoint": {setClaim("aud", "http://auth.test/oauth/token")},
		"for both":               {setClaim("aud", []string{"http://auth.test", "http://auth.test/oauth/token"})},
		"without iat":            {drop("iat")},
	} {
		got := b.do(formRequest(tokenPath, assertionForm(h.assertion(t, "signer", b.Now(), changes...))))
		assert.Equal(t, http.StatusOK, got.Code, name)
	}
	got := b.do(formRequest(tokenPath, assertionForm(h.assertion(t, "signer", b.Now()), "client_id", "signer")))
	assert.Equal(t, http.StatusOK, got.Code, "RFC 7521 4.2: client_id may stand beside it")
}

// refusedAssertions are RFC 7523 3, check by check.
func refusedAssertions(t *testing.T, b bench) map[string]change {
	t.Helper()
	b.Advance(400 * time.Millisecond) // to a whole second, which exp can say
	return map[string]change{
		"1 of another issuer":          setClaim("iss", "another"),
		"1 without an issuer":          drop("iss"),
		"2 about somebody else":        setClaim("sub", "cli"),
		"2 without a subject":          drop("sub"),
		"3 for another server":         setClaim("aud", "http://elsewhere.test"),
		"3 for the API":                setClaim("aud", "http://auth.test/api"),
		"3 without an audience":        drop("aud"),
		"4 expired":                    setClaim("exp", b.Now().Add(-time.Second).Unix()),
		"4 expiring now":               setClaim("exp", b.Now().Unix()),
		"4 without an end":             drop("exp"),
		"4 good for ever":              setClaim("exp", b.Now().Add(30*24*time.Hour).Unix()),
		"5 not yet good":               setClaim("nbf", b.Now().Add(time.Minute).Unix()),
		"6 made in the future":         setClaim("iat", b.Now().Add(time.Minute).Unix()),
		"7 without an id":              drop("jti"),
		"with a critical extension":    setHeader("crit", []string{"exp"}),
		"with the id of another key":   setHeader("kid", "other"),
		"with claims of another shape": setClaim("aud", 7),
	}
}

func TestEveryCheckOfAClientAssertionIsMade(t *testing.T) {
	h := newHolder(t)
	h.jwk = maps.Clone(h.jwk)
	h.jwk["kid"] = "mine"
	b := signing(t, h)
	for name, spoil := range refusedAssertions(t, b) {
		t.Run(name, func(t *testing.T) {
			got := b.do(formRequest(tokenPath, assertionForm(h.assertion(t, "signer", b.Now(), spoil))))
			assert.Equal(t, http.StatusUnauthorized, got.Code)
			assert.Equal(t, "invalid_client", got.field("error"))
			assert.Empty(t, got.Header().Get("WWW-Authenticate"), "RFC 6749 5.2: only where the header was used")
		})
	}
	t.Run("9 signed by another", func(t *testing.T) {
		got := b.do(formRequest(tokenPath, assertionForm(newHolder(t).assertion(t, "signer", b.Now()))))
		assert.Equal(t, "invalid_client", got.field("error"))
	})
	t.Run("of another type", func(t *testing.T) {
		form := assertionForm(h.assertion(t, "signer", b.Now()))
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
		assert.Equal(t, "invalid_client", b.do(formRequest(tokenPath, form)).field("error"))
	})
	t.Run("beside another client_id", func(t *testing.T) {
		got := b.do(formRequest(tokenPath, assertionForm(h.assertion(t, "signer", b.Now()), "client_id", "cli")))
		assert.Equal(t, "invalid_client", got.field("error"))
	})
}

func TestAnAssertionWorksOnceAndOnlyForItsClient(t *testing.T) {
	h := newHolder(t)
	b := signing(t, h)
	assertion := h.assertion(t, "signer", b.Now(), setClaim("jti", "once"))
	// Refused for what is around it: it has not been used.
	got := b.do(formRequest(tokenPath, assertionForm(assertion, "client_id", "another")))
	require.Equal(t, "invalid_client", got.field("error"))
	spoiled := h.assertion(t, "signer", b.Now(), setClaim("jti", "once"), setClaim("aud", "http://elsewhere.test"))
	require.Equal(t, "invalid_client", b.do(formRequest(tokenPath, assertionForm(spoiled))).field("error"))

	require.Equal(t, http.StatusOK, b.do(formRequest(tokenPath, assertionForm(assertion))).Code)
	assert.Equal(t, "invalid_client", b.do(formRequest(tokenPath, assertionForm(assertion))).field("error"))
	// Its end is the end of the memory of it, and its own.
	b.Advance(2 * time.Minute)
	assert.Equal(t, "invalid_client", b.do(formRequest(tokenPath, assertionForm(assertion))).field("error"))
}

func TestAWrongClientNeverSpendsTheToken(t *testing.T) {
	h := newHolder(t)
	b := signing(t, h)
	refresh := b.login(t).Refresh
	form := refreshForm(refresh)
	form.Set("client_id", "signer")
	form.Set("client_assertion", h.assertion(t, "signer", b.Now()))
	form.Set("client_assertion_type", assertionType)
	assert.Equal(t, testserver.WrongClient, b.do(formRequest(tokenPath, form)).outcome())
	form.Set("client_assertion", newHolder(t).assertion(t, "signer", b.Now()))
	assert.Equal(t, testserver.ClientRefused, b.do(formRequest(tokenPath, form)).outcome())
	assert.Equal(t, testserver.Rotated, b.refresh(refresh).outcome())
}

func TestAClientUsesTheMethodItRegistered(t *testing.T) {
	h := newHolder(t)
	b := signing(t, h)
	basic := func(id string) *http.Request {
		r := formRequest(tokenPath, machineForm())
		r.SetBasicAuth(id, "s")
		return r
	}
	post := func(id string) *http.Request {
		return formRequest(tokenPath, machineForm("client_id", id, "client_secret", "s"))
	}
	named := func(id string) *http.Request { return formRequest(tokenPath, machineForm("client_id", id)) }
	for name, c := range map[string]struct {
		r    *http.Request
		good bool
	}{
		"basic as registered":        {basic("basic"), true},
		"post as registered":         {post("post"), true},
		"basic for post":             {basic("post"), false},
		"post for basic":             {post("basic"), false},
		"a secret for a signer":      {post("signer"), false},
		"nothing for a signer":       {named("signer"), false},
		"nothing for basic":          {named("basic"), false},
		"a secret for a public one":  {post("none"), false},
		"nobody that is known":       {named("nobody"), false},
		"nobody at all":              {formRequest(tokenPath, machineForm()), false},
		"an assertion for a secret":  {formRequest(tokenPath, assertionForm(h.assertion(t, "basic", b.Now()))), false},
		"an assertion of the public": {formRequest(tokenPath, assertionForm(h.assertion(t, "none", b.Now()))), false},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(c.r)
			if c.good {
				assert.Equal(t, http.StatusOK, got.Code)
				return
			}
			assert.Equal(t, http.StatusUnauthorized, got.Code)
			assert.Equal(t, "invalid_client", got.field("error"))
		})
	}
	// A public client has no business with client_credentials.
	assert.Equal(t, "unauthorized_client", b.do(named("none")).field("error"))
}

func TestTwoMethodsInOneRequestAreMalformed(t *testing.T) {
	h := newHolder(t)
	b := signing(t, h)
	assertion := h.assertion(t, "signer", b.Now())
	both := formRequest(tokenPath, assertionForm(assertion))
	both.SetBasicAuth("basic", "s")
	for name, r := range map[string]*http.Request{
		"basic and an assertion":  both,
		"post and an assertion":   formRequest(tokenPath, assertionForm(assertion, "client_secret", "s", "client_id", "post")),
		"basic and post together": withBasic(formRequest(tokenPath, machineForm("client_secret", "s")), "basic"),
	} {
		got := b.do(r)
		assert.Equal(t, http.StatusBadRequest, got.Code, name)
		assert.Equal(t, "invalid_request", got.field("error"), name)
	}
}

func withBasic(r *http.Request, id string) *http.Request {
	r.SetBasicAuth(id, "s")
	return r
}

// certified is a request over a connection that was made with a certificate.
func certified(r *http.Request, raw string) *http.Request {
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte(raw)}}}
	return r
}

func TestAClientProvesItselfWithItsCertificate(t *testing.T) {
	b := start(t, "strict", func(c *testserver.Config) {
		c.Clients = []testserver.Client{
			{ID: "machine", Certificate: sha("mine"), Auth: testserver.SelfSignedTLS},
			{ID: "listed", JWKS: []byte(`{"keys":[{"kty":"EC","x5c":["bWluZQ=="]}]}`)}, // RFC 8705 2.2.2: "mine"
		}
	})
	for _, id := range []string{"machine", "listed"} {
		form := machineForm("client_id", id)
		assert.Equal(t, "invalid_client", b.do(formRequest(tokenPath, form)).field("error"), "none shown")
		got := b.do(certified(formRequest(tokenPath, form), "another's"))
		assert.Equal(t, "invalid_client", got.field("error"))

		got = b.do(certified(formRequest(tokenPath, form), "mine"))
		require.Equal(t, http.StatusOK, got.Code, got.Body)
		access, _ := got.tokens()
		cnf, _ := part(t, access, 1)["cnf"].(map[string]any)
		assert.Equal(t, sha("mine"), cnf["x5t#S256"], "RFC 8705 3.1")
		assert.Equal(t, "Bearer", got.field("token_type"), "RFC 8705 3")

		for raw, want := range map[string]int{"mine": http.StatusOK, "another's": http.StatusUnauthorized} {
			got := b.do(certified(withBearer(request(http.MethodGet, "/api/me", "", ""), access), raw))
			assert.Equal(t, want, got.Code, raw)
		}
		got = b.get("/api/me", access)
		assert.Equal(t, http.StatusUnauthorized, got.Code)
		assert.Contains(t, got.Header().Get("WWW-Authenticate"), `error="invalid_token"`)
	}
}

func TestAPublicClientsSessionCanBeBoundToItsCertificate(t *testing.T) {
	b := start(t, "strict", func(c *testserver.Config) {
		c.Clients = []testserver.Client{{ID: "cli", CertificateBound: true}}
	})
	got := b.do(formRequest(tokenPath, passwordForm("")))
	assert.Equal(t, testserver.CertificateMissing, got.outcome())
	got = b.do(certified(formRequest(tokenPath, passwordForm("")), "mine"))
	require.Equal(t, http.StatusOK, got.Code)
	_, refresh := got.tokens()

	// RFC 8705 4: and its refresh tokens. A wrong one is no reuse.
	assert.Equal(t, testserver.WrongKey, b.do(certified(oauth().request(refresh), "another's")).outcome())
	assert.Equal(t, testserver.CertificateMissing, b.do(oauth().request(refresh)).outcome())
	assert.Equal(t, testserver.Rotated, b.do(certified(oauth().request(refresh), "mine")).outcome())
	assert.Zero(t, b.Stats().Reuses)
}

func TestAClientMustHaveWhatItsMethodNeeds(t *testing.T) {
	p, err := testserver.ProfileNamed("strict")
	require.NoError(t, err)
	for name, c := range map[string]testserver.Client{
		"basic without a secret":         {Auth: testserver.SecretBasic},
		"private_key_jwt without keys":   {Auth: testserver.PrivateKeyJWT, Secret: "s"},
		"TLS without a certificate":      {Auth: testserver.SelfSignedTLS},
		"none with a secret":             {Auth: testserver.NoMethod, Secret: "s"},
		"a method that there is not":     {Auth: "client_secret_jwt", Secret: "s"},
		"a key set that is none":         {JWKS: []byte("{}")},
		"a key set of private keys":      {JWKS: []byte(`{"keys":[{"kty":"oct","k":"AA"}]}`)},
		"a certificate in another shape": {Certificate: "AA:BB"},
	} {
		c.ID = "cli"
		_, err := testserver.New(testserver.Config{Issuer: "http://auth.test", Profile: p, Clients: []testserver.Client{c}})
		assert.Error(t, err, name)
	}
}
