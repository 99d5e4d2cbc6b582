package testserver_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func TestATestInAnyLanguagePlaysTheUser(t *testing.T) {
	b := start(t, "strict", nil)
	where := issuer + "/oauth/authorize?" + authRequest(nil).Encode()
	a := b.control(http.MethodPost, "/_test/authorizations/approve", `{"url":"`+where+`","user":"alice"}`)
	require.Equal(t, http.StatusOK, a.Code, a.Body.String())
	u, err := url.Parse(a.field("redirect").(string))
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, b.redeem(u.Query().Get("code"), nil).Code)
	a = b.control(http.MethodPost, "/_test/authorizations/deny", `{"url":"`+where+`"}`)
	assert.Contains(t, a.field("redirect"), "error=access_denied")

	code, user := b.device(t)
	a = b.control(http.MethodPost, "/_test/devices/"+user+"/approve", `{"user":"bob"}`)
	require.Equal(t, http.StatusNoContent, a.Code, a.Body.String())
	assert.Equal(t, http.StatusOK, b.poll(code).Code)
	code, user = b.device(t)
	assert.Equal(t, http.StatusNoContent, b.control(http.MethodPost, "/_test/devices/"+user+"/deny", "").Code)
	assert.Equal(t, "access_denied", b.poll(code).field("error"))
	assert.Equal(t, http.StatusNoContent, b.control(http.MethodPost, "/_test/keys/rotate", "").Code)
	assert.Len(t, b.publicKeys(t), 2)
}

func TestATestInAnyLanguageHasAnIssuerOfItsOwn(t *testing.T) {
	b := start(t, "strict", func(c *testserver.Config) { c.MaxRefreshes = 3 })
	a := b.control(http.MethodPost, "/_test/issuers",
		`{"name":"red","profile":"grace","accessTTL":"1m","idle":"2m","absolute":"3m","autoApprove":"bob"}`)
	require.Equal(t, http.StatusCreated, a.Code, a.Body.String())
	assert.Equal(t, issuer+"/issuers/red", a.field("issuer"))
	_, params := b.do(request(http.MethodGet, "/issuers/red/oauth/authorize?"+authRequest(nil).Encode(), "", "")).redirect(t)
	a = b.do(formRequest("/issuers/red/oauth/token", codeForm(params.Get("code"), nil)))
	assert.EqualValues(t, time.Minute.Seconds(), a.field("expires_in"))
	_, refresh := a.tokens()
	for range 2 {
		a = b.do(formRequest("/issuers/red/oauth/token", refreshForm(refresh)))
		require.Equal(t, http.StatusOK, a.Code, "it has the grace profile")
	}
	assert.Equal(t, http.StatusNoContent, b.control(http.MethodDelete, "/_test/issuers/red", "").Code)
	assert.Equal(t, http.StatusNotFound, b.control(http.MethodDelete, "/_test/issuers/red", "").Code)
	assert.Equal(t, http.StatusNotFound, b.get("/issuers/red/api/me", "").Code)
}

func TestWhatNobodyCanDecideIsRefused(t *testing.T) {
	b := start(t, "strict", nil)
	for path, bodies := range map[string][]string{
		"/_test/authorizations/approve":    {"", "{", `{"url":"%zz","user":"alice"}`, `{"url":"http://x/?client_id=nobody","user":"alice"}`, `{"who":"alice"}`},
		"/_test/authorizations/deny":       {"", "[]"},
		"/_test/devices/BBBB-BBBB/approve": {`{"user":"alice"}`, "{"},
		"/_test/devices/BBBB-BBBB/deny":    {""},
		"/_test/issuers":                   {"", `{"name":".."}`, `{"name":"red","profile":"none"}`, `{"name":"red","autoApprove":"nobody"}`, `{"name":"red","accessTTL":"1ms"}`},
	} {
		for _, body := range bodies {
			a := b.control(http.MethodPost, path, body)
			assert.Equal(t, http.StatusBadRequest, a.Code, "%s %s", path, body)
			assert.NotEmpty(t, a.field("error"))
		}
	}
}

func TestALogoutThroughItsPages(t *testing.T) {
	b := start(t, "strict", nil).visitor()
	b.signIn(t)
	to, params := b.open("/oauth/end_session?" + url.Values{
		"client_id": {"cli"}, "post_logout_redirect_uri": {callback}, "state": {"bye"},
	}.Encode()).redirect(t)
	require.Equal(t, "/oauth/logout", to)
	a := b.open("/oauth/logout?" + params.Encode())
	require.Equal(t, http.StatusOK, a.Code)
	a.shows(t, "Sign out?")
	assert.Contains(t, a.Header().Get("Content-Security-Policy"), "form-action 'self' http://127.0.0.1:4711;")
	b.site = "cross-site"
	assert.Equal(t, http.StatusForbidden, b.submit("/oauth/logout", "request", params.Get("request")).Code)
	b.site = "same-origin"
	to, params = b.submit("/oauth/logout", "request", params.Get("request")).redirect(t)
	assert.Equal(t, callback, to)
	assert.Equal(t, "bye", params.Get("state"))
	assert.Empty(t, b.cookies)
	b.open("/oauth/logged_out").shows(t, "Signed out")
	assert.Equal(t, http.StatusBadRequest, b.open("/oauth/logout?request=x").Code)
	assert.Equal(t, http.StatusBadRequest, b.submit("/oauth/logout", "request", "x").Code)
}
