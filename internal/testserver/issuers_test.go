package testserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// tenant is an issuer below another one, asked through it.
func (b bench) tenant(t *testing.T, name string) bench {
	t.Helper()
	p, err := testserver.ProfileNamed("strict")
	require.NoError(t, err)
	s, err := b.Issuer(name, testserver.Config{Profile: p, Now: b.Now, AutoApprove: "alice"})
	require.NoError(t, err)
	return bench{s}
}

func TestIssuersShareAProcessAndNothingElse(t *testing.T) {
	b := start(t, "strict", nil)
	red, blue := b.tenant(t, "red"), b.tenant(t, "blue")
	m := b.json(t, "/issuers/red/.well-known/openid-configuration")
	assert.Equal(t, issuer+"/issuers/red", m["issuer"])
	assert.Equal(t, issuer+"/issuers/red/oauth/token", m["token_endpoint"])
	assert.Equal(t, m, b.json(t, "/.well-known/oauth-authorization-server/issuers/red"), "RFC 8414 3.1")
	assert.Equal(t, m, b.json(t, "/.well-known/openid-configuration/issuers/red"))
	assert.Equal(t, issuer+"/issuers/red/api", b.json(t, "/.well-known/oauth-protected-resource/issuers/red/api")["resource"])

	_, params := b.do(request(http.MethodGet, "/issuers/red/oauth/authorize?"+authRequest(nil).Encode(), "", "")).redirect(t)
	assert.Equal(t, issuer+"/issuers/red", params.Get("iss"))
	a := b.do(formRequest("/issuers/red/oauth/token", codeForm(params.Get("code"), nil)))
	require.Equal(t, http.StatusOK, a.Code, a.Body.String())
	access, refresh := a.tokens()
	assert.Equal(t, issuer+"/issuers/red", part(t, access, 1)["iss"])
	assert.Equal(t, http.StatusOK, b.get("/issuers/red/api/me", access).Code)
	for _, elsewhere := range []string{"/api/me", "/issuers/blue/api/me"} {
		assert.Equal(t, http.StatusUnauthorized, b.get(elsewhere, access).Code, elsewhere)
	}
	a = b.do(formRequest("/issuers/blue/oauth/token", refreshForm(refresh)))
	assert.Equal(t, testserver.Unknown, a.outcome())

	_, err := red.Fault(testserver.Fault{On: testserver.Refresh, Drop: true})
	require.NoError(t, err)
	red.Advance(time.Second)
	assert.True(t, b.do(formRequest("/issuers/red/oauth/token", refreshForm(refresh))).dropped)
	assert.Equal(t, 1, red.Stats().RefreshRequests)
	assert.Equal(t, 1, blue.Stats().RefreshRequests)
	assert.Zero(t, b.Stats().RefreshRequests)
	assert.Equal(t, b.Now(), blue.Now())
}

func TestAChallengeOfAnIssuerPointsToItsOwnMetadata(t *testing.T) {
	b := start(t, "strict", nil)
	b.tenant(t, "red")
	a := b.get("/issuers/red/api/me", "")
	assert.Contains(t, a.Header().Get("WWW-Authenticate"),
		`resource_metadata="`+issuer+`/.well-known/oauth-protected-resource/issuers/red/api"`)
}

func TestAnIssuerEndsAndItsNameIsFree(t *testing.T) {
	b := start(t, "strict", nil)
	red := b.tenant(t, "red")
	p, err := testserver.ProfileNamed("strict")
	require.NoError(t, err)
	_, err = b.Issuer("red", testserver.Config{Profile: p})
	require.Error(t, err)
	red.Close()
	assert.Equal(t, http.StatusNotFound, b.get("/issuers/red/api/me", "").Code)
	b.tenant(t, "red")
	for _, name := range []string{"", ".", "..", "a/b", "a b", "\x00"} {
		_, err := b.Issuer(name, testserver.Config{Profile: p})
		assert.Error(t, err, name)
	}
	_, err = b.tenant(t, "blue").Issuer("below", testserver.Config{Profile: p})
	assert.Error(t, err)
}

func TestAnIssuerWithAPathServesNothingBeside(t *testing.T) {
	b := start(t, "strict", func(c *testserver.Config) { c.Issuer = issuer + "/a%20b" })
	assert.Equal(t, issuer+"/a%20b", b.json(t, "/a%20b/.well-known/openid-configuration")["issuer"])
	assert.Equal(t, http.StatusUnauthorized, b.get("/a%20b/api/me", "").Code)
	for _, path := range []string{"/api/me", "/a%20bc/api/me", "/a%20b", "/.well-known/openid-configuration", "/"} {
		assert.Equal(t, http.StatusNotFound, b.get(path, "").Code, path)
	}
	access := b.login(t).Access
	assert.Equal(t, http.StatusOK, b.get("/a%20b/api/me", access).Code)
	a := b.do(request(http.MethodGet, "/a%20b/oauth/authorize?"+authRequest(nil).Encode(), "", ""))
	to, _ := a.redirect(t)
	assert.Equal(t, "/a%20b/oauth/interaction", to)
}

func TestIssuersThatShareAStoreKeepTheirTokensApart(t *testing.T) {
	store := testserver.MemoryStore()
	b := start(t, "strict", func(c *testserver.Config) { c.Store = store })
	p, err := testserver.ProfileNamed("strict")
	require.NoError(t, err)
	tenant := func(name string) bench {
		s, err := b.Issuer(name, testserver.Config{Profile: p, Now: b.Now, Store: store})
		require.NoError(t, err)
		return bench{s}
	}
	red, blue := tenant("red"), tenant("blue")
	tokens := red.login(t)
	code := red.code(t, nil)
	for name, other := range map[string]string{"blue": "/issuers/blue", "none": ""} {
		assert.Equal(t, testserver.Unknown, b.do(formRequest(other+"/oauth/token", refreshForm(tokens.Refresh))).outcome(), name)
		assert.Equal(t, "invalid_grant", b.do(formRequest(other+"/oauth/token", codeForm(code, nil))).field("error"), name)
		assert.Equal(t, http.StatusUnauthorized, b.get(other+"/api/me", tokens.Access).Code, name)
	}
	assert.NotEqual(t, part(t, tokens.Access, 0)["kid"], part(t, blue.login(t).Access, 0)["kid"])
	assert.Equal(t, testserver.Rotated, b.do(formRequest("/issuers/red/oauth/token", refreshForm(tokens.Refresh))).outcome())
}
