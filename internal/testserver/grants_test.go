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

const (
	bearerGrant   = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessKind    = "urn:ietf:params:oauth:token-type:access_token"
	jwtKind       = "urn:ietf:params:oauth:token-type:jwt"
)

func bearerForm(assertion string) url.Values {
	return url.Values{"grant_type": {bearerGrant}, "client_id": {"cli"}, "assertion": {assertion}, "scope": {"read"}}
}

func trusting(t *testing.T, h holder) bench {
	t.Helper()
	return start(t, "strict", func(c *testserver.Config) {
		c.AssertionIssuers = []testserver.AssertionIssuer{{Issuer: "https://idp.test", JWKS: h.jwks()}}
		c.Clients = append(c.Clients, testserver.Client{ID: "signer", JWKS: h.jwks()})
	})
}

func TestAnAssertionIsGoodForAnAccessTokenAlone(t *testing.T) {
	h := newHolder(t)
	b := trusting(t, h)
	for _, issuer := range []string{"https://idp.test", "signer"} {
		got := b.do(formRequest(tokenPath, bearerForm(h.assertion(t, issuer, b.Now(), setClaim("sub", "alice")))))
		require.Equal(t, http.StatusOK, got.Code, got.Body)
		assert.NotContains(t, got.members(), "refresh_token", "RFC 7521 4.1")
		access, _ := got.tokens()
		me := b.get("/api/me", access)
		assert.Equal(t, "alice", me.field("sub"))
		assert.Equal(t, "cli", me.field("client_id"))
		assert.Equal(t, "read", me.field("scope"))
		assert.NotContains(t, part(t, access, 1), "auth_time", "nobody has seen the user")
	}
}

func TestEveryCheckOfAGrantedAssertionIsMade(t *testing.T) {
	h := newHolder(t)
	h.jwk["kid"] = "mine"
	b := trusting(t, h)
	checks := refusedAssertions(t, b)
	delete(checks, "2 about somebody else") // which is what this one is for
	checks["2 about nobody we know"] = setClaim("sub", "mallory")
	checks["1 of another issuer"] = setClaim("iss", "https://elsewhere.test")
	checks["1 of a client without keys"] = setClaim("iss", "cli")
	for name, spoil := range checks {
		t.Run(name, func(t *testing.T) {
			assertion := h.assertion(t, "https://idp.test", b.Now(), setClaim("sub", "alice"), spoil)
			got := b.do(formRequest(tokenPath, bearerForm(assertion)))
			assert.Equal(t, http.StatusBadRequest, got.Code)
			assert.Equal(t, "invalid_grant", got.field("error"), "RFC 7523 3.1")
		})
	}
	t.Run("9 signed by another", func(t *testing.T) {
		assertion := newHolder(t).assertion(t, "https://idp.test", b.Now(), setClaim("sub", "alice"))
		assert.Equal(t, "invalid_grant", b.do(formRequest(tokenPath, bearerForm(assertion))).field("error"))
	})
	t.Run("none", func(t *testing.T) {
		assert.Equal(t, "invalid_request", b.do(formRequest(tokenPath, bearerForm(""))).field("error"))
	})
	t.Run("twice", func(t *testing.T) {
		assertion := h.assertion(t, "https://idp.test", b.Now(), setClaim("sub", "alice"))
		require.Equal(t, http.StatusOK, b.do(formRequest(tokenPath, bearerForm(assertion))).Code)
		assert.Equal(t, "invalid_grant", b.do(formRequest(tokenPath, bearerForm(assertion))).field("error"))
	})
	t.Run("about a user who is locked out", func(t *testing.T) {
		require.NoError(t, b.DisableUser("bob"))
		got := b.do(formRequest(tokenPath, bearerForm(h.assertion(t, "https://idp.test", b.Now(), setClaim("sub", "bob")))))
		assert.Equal(t, testserver.UserDisabled, got.outcome())
	})
}

func exchangeForm(subject string, extra ...string) url.Values {
	form := url.Values{
		"grant_type": {exchangeGrant}, "client_id": {serviceID}, "client_secret": {serviceSecret},
		"subject_token": {subject}, "subject_token_type": {accessKind},
	}
	for i := 0; i < len(extra); i += 2 {
		form.Set(extra[i], extra[i+1])
	}
	return form
}

func scoped(t *testing.T, b bench, scope string) string {
	t.Helper()
	access, _ := b.do(formRequest(tokenPath, passwordForm(scope))).tokens()
	require.NotEmpty(t, access)
	return access
}

func TestATokenIsExchangedForOneOfTheSameUser(t *testing.T) {
	b := start(t, "strict", nil)
	subject := scoped(t, b, "read write")
	for kind, form := range map[string]url.Values{
		accessKind: exchangeForm(subject, "scope", "read"),
		jwtKind:    exchangeForm(subject, "scope", "read", "requested_token_type", jwtKind, "audience", "http://auth.test"),
	} {
		got := b.do(formRequest(tokenPath, form))
		require.Equal(t, http.StatusOK, got.Code, got.Body)
		assert.Equal(t, kind, got.field("issued_token_type"), "RFC 8693 2.2.1: REQUIRED")
		assert.Equal(t, "Bearer", got.field("token_type"))
		assert.Equal(t, "read", got.field("scope"))
		assert.NotContains(t, got.members(), "refresh_token")
		access, _ := got.tokens()
		me := b.get("/api/me", access)
		assert.Equal(t, "alice", me.field("sub"))
		assert.Equal(t, serviceID, me.field("client_id"))
		assert.Equal(t, part(t, subject, 1)["sid"], me.field("sid"))
		assert.NotContains(t, part(t, access, 1), "act", "without an actor it is impersonation: RFC 8693 1.1")
	}
}

func TestAnExchangedTokenDiesWithItsSubject(t *testing.T) {
	b := start(t, "strict", nil)
	subject := scoped(t, b, "")
	b.Advance(10 * time.Minute)
	got := b.do(formRequest(tokenPath, exchangeForm(subject)))
	assert.InDelta(t, 300, got.field("expires_in"), 1, "no longer than its subject")
	access, _ := got.tokens()
	require.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
	require.NoError(t, b.RevokeSession(part(t, subject, 1)["sid"].(string), "admin"))
	assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", access).Code)
}

func TestWhoActsForWhomIsKept(t *testing.T) {
	b := start(t, "strict", nil)
	machine := b.do(formRequest(tokenPath, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {serviceID}, "client_secret": {serviceSecret}}))
	actor, _ := machine.tokens()
	got := b.do(formRequest(tokenPath, exchangeForm(scoped(t, b, ""), "actor_token", actor, "actor_token_type", accessKind)))
	access, _ := got.tokens()
	assert.Equal(t, map[string]any{"sub": serviceID, "client_id": serviceID}, part(t, access, 1)["act"], "RFC 8693 4.1")

	got = b.do(formRequest(tokenPath, exchangeForm(access, "actor_token", scoped(t, b, ""), "actor_token_type", accessKind)))
	access, _ = got.tokens()
	outer, _ := part(t, access, 1)["act"].(map[string]any)
	assert.Equal(t, "alice", outer["sub"])
	assert.Equal(t, map[string]any{"sub": serviceID, "client_id": serviceID}, outer["act"], "the one before is inside")
}

func TestWhatCannotBeExchangedIsRefused(t *testing.T) {
	b := start(t, "strict", nil)
	good, tokens := scoped(t, b, "read"), b.login(t)
	dead := b.login(t)
	require.NoError(t, b.RevokeSession(dead.Session, "admin"))
	public := exchangeForm(good)
	public.Del("client_secret")
	public.Set("client_id", "cli")
	for name, c := range map[string]struct {
		form url.Values
		code string
	}{
		"a public client":                 {public, "unauthorized_client"},
		"no subject":                      {exchangeForm(""), "invalid_request"},
		"no type":                         {exchangeForm(good, "subject_token_type", ""), "invalid_request"},
		"another type":                    {exchangeForm(good, "subject_token_type", "urn:ietf:params:oauth:token-type:saml2"), "invalid_request"},
		"garbage":                         {exchangeForm("garbage"), "invalid_request"},
		"a refresh token":                 {exchangeForm(tokens.Refresh), "invalid_request"},
		"a revoked one":                   {exchangeForm(dead.Access), "invalid_request"},
		"a bad actor":                     {exchangeForm(good, "actor_token", "garbage", "actor_token_type", accessKind), "invalid_request"},
		"an actor without a type":         {exchangeForm(good, "actor_token", good), "invalid_request"},
		"a type without an actor":         {exchangeForm(good, "actor_token_type", accessKind), "invalid_request"},
		"for a refresh token":             {exchangeForm(good, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), "invalid_request"},
		"for somebody else's API":         {exchangeForm(good, "audience", "https://elsewhere.test"), "invalid_target"},
		"for somebody else's resource":    {exchangeForm(good, "resource", "https://elsewhere.test/api"), "invalid_target"},
		"for more than the subject has":   {exchangeForm(good, "scope", "read write"), "invalid_scope"},
		"for something where it has none": {exchangeForm(tokens.Access, "scope", "read"), "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(formRequest(tokenPath, c.form))
			assert.Equal(t, http.StatusBadRequest, got.Code)
			assert.Equal(t, c.code, got.field("error"))
		})
	}
	b.Advance(time.Hour)
	assert.Equal(t, "invalid_request", b.do(formRequest(tokenPath, exchangeForm(good))).field("error"), "expired")
}
