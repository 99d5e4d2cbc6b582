package testserver_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// A client whose id and secret need the encoding of RFC 6749 2.3.1.
const (
	serviceID     = "urn:service +1"
	serviceSecret = "a b:c%&é"
)

func clientForm(extra url.Values) url.Values {
	values := url.Values{"grant_type": {"client_credentials"}, "scope": {"jobs"}}
	for name, v := range extra {
		values[name] = v
	}
	return values
}

func TestAClientProvesItselfByBasicOrInTheForm(t *testing.T) {
	b := start(t, "strict", nil)
	basic := formRequest("/oauth/token", clientForm(nil))
	// RFC 6749 2.3.1: each half is form-encoded before it is joined.
	basic.SetBasicAuth(url.QueryEscape(serviceID), url.QueryEscape(serviceSecret))
	post := formRequest("/oauth/token", clientForm(url.Values{"client_id": {serviceID}, "client_secret": {serviceSecret}}))
	for _, r := range []*http.Request{basic, post} {
		got := b.do(r)
		require.Equal(t, http.StatusOK, got.Code)
		assert.ElementsMatch(t, []string{"access_token", "expires_in", "scope", "token_type"}, got.members(), "RFC 6749 4.4.3: no refresh token")
		access, _ := got.tokens()
		me := b.get("/api/me", access)
		assert.Equal(t, serviceID, me.field("sub"), "RFC 9068 2.2")
		assert.Equal(t, http.StatusOK, b.get("/api/scope/jobs", access).Code)
	}
}

func TestAClientThatFailsToProveItselfIsRefused(t *testing.T) {
	const body = `{"error":"invalid_client","error_description":"client authentication failed"}`
	b := start(t, "strict", nil)
	raw := formRequest("/oauth/token", clientForm(nil))
	raw.SetBasicAuth(serviceID, serviceSecret) // not form-encoded
	for name, c := range map[string]struct {
		r         *http.Request
		challenge string
	}{
		"wrong secret":    {formRequest("/oauth/token", clientForm(url.Values{"client_id": {serviceID}, "client_secret": {"x"}})), ""},
		"no secret":       {formRequest("/oauth/token", clientForm(url.Values{"client_id": {serviceID}})), ""},
		"no client":       {formRequest("/oauth/token", clientForm(nil)), ""},
		"unknown client":  {formRequest("/oauth/token", clientForm(url.Values{"client_id": {"nobody"}})), ""},
		"not encoded":     {raw, `Basic realm="authtest"`},
		"public + secret": {formRequest("/oauth/token", clientForm(url.Values{"client_id": {"cli"}, "client_secret": {"x"}})), ""},
	} {
		got := b.do(c.r)
		assert.Equal(t, http.StatusUnauthorized, got.Code, name)
		assert.JSONEq(t, body, got.Body.String(), name)
		assert.Equal(t, c.challenge, got.Header().Get("WWW-Authenticate"), name)
	}
}

func TestTwoWaysToProveItselfAreOneTooMany(t *testing.T) {
	b := start(t, "strict", nil)
	r := formRequest("/oauth/token", clientForm(url.Values{"client_secret": {serviceSecret}}))
	r.SetBasicAuth(url.QueryEscape(serviceID), url.QueryEscape(serviceSecret))
	got := b.do(r)
	assert.Equal(t, http.StatusBadRequest, got.Code)
	assert.Equal(t, "invalid_request", got.field("error"))
}

// None of these may spend the token: RFC 6749 3.2.1 and 6.
func TestAMistakeBeforeTheLockLeavesTheTokenIntact(t *testing.T) {
	with := func(name, value string) func(url.Values) {
		return func(v url.Values) { v.Set(name, value) }
	}
	for name, c := range map[string]struct {
		change func(url.Values)
		status int
		code   string
	}{
		"another client":  {with("client_id", "other"), 400, "invalid_grant"},
		"a wrong client":  {with("client_id", "nobody"), 401, "invalid_client"},
		"a wider scope":   {with("scope", "admin"), 400, "invalid_scope"},
		"no such grant":   {with("grant_type", "magic"), 400, "unsupported_grant_type"},
		"no grant":        {with("grant_type", ""), 400, "invalid_request"},
		"a token twice":   {func(v url.Values) { v.Add("refresh_token", "x") }, 400, "invalid_request"},
		"a foreign grant": {with("grant_type", "client_credentials"), 400, "unauthorized_client"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, "strict", nil)
			token := b.login(t).Refresh
			values := refreshForm(token)
			c.change(values)
			got := b.do(formRequest("/oauth/token", values))
			assert.Equal(t, c.status, got.Code)
			assert.Equal(t, c.code, got.field("error"))
			assert.Equal(t, testserver.Rotated, b.refresh(token).outcome())
		})
	}
	t.Run("not a form", func(t *testing.T) {
		b := start(t, "strict", nil)
		got := b.do(jsonRequest("/oauth/token", map[string]string{"grant_type": "refresh_token"}))
		assert.Equal(t, http.StatusBadRequest, got.Code)
		assert.Equal(t, "invalid_request", got.field("error"))
	})
}

func TestANarrowerScopeIsForTheAccessTokenAlone(t *testing.T) {
	b := start(t, "strict", nil)
	_, refresh := b.do(formRequest("/oauth/token", passwordForm("read write"))).tokens()
	values := refreshForm(refresh)
	values.Set("scope", "read")
	got := b.do(formRequest("/oauth/token", values))
	assert.Equal(t, "read", got.field("scope"))
	access, refresh := got.tokens()
	assert.Equal(t, http.StatusForbidden, b.get("/api/scope/write", access).Code)
	assert.Equal(t, "read write", b.refresh(refresh).field("scope"), "RFC 6749 6: the new refresh token has the scope of the old")
}
