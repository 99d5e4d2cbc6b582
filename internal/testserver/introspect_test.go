package testserver_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (b bench) introspect(token string) answer {
	return b.do(formRequest("/oauth/introspect", url.Values{
		"client_id": {serviceID}, "client_secret": {serviceSecret}, "token": {token},
	}))
}

func TestIntrospectionTellsOfWhatIsActive(t *testing.T) {
	for _, profile := range profiles() {
		t.Run(profile, func(t *testing.T) {
			b := start(t, profile, nil)
			access, refresh := b.redeem(b.code(t, nil), nil).tokens()
			a := b.introspect(access)
			require.Equal(t, http.StatusOK, a.Code)
			assert.Equal(t, "no-store", a.Header().Get("Cache-Control"))
			for name, want := range map[string]any{
				"active": true, "sub": "alice", "username": "alice", "client_id": "cli", "scope": "openid notes",
				"token_type": "Bearer", "iss": issuer, "aud": []any{issuer + "/api"},
			} {
				if name == "aud" && a.field("aud") == issuer+"/api" {
					continue // RFC 7519 4.1.3: one may stand alone
				}
				assert.Equal(t, want, a.field(name), name)
			}
			assert.EqualValues(t, b.Now().Add(15*time.Minute).Unix(), a.field("exp"))
			a = b.introspect(refresh)
			assert.Equal(t, true, a.field("active"))
			assert.Equal(t, "cli", a.field("client_id"))
			assert.Nil(t, a.field("token_type"))
			assert.Equal(t, http.StatusOK, b.refresh(refresh).Code, "asking spends nothing")
		})
	}
}

func TestWhatIsNotActiveSaysNothingElse(t *testing.T) {
	b := start(t, "strict", nil)
	fresh := func() (access, refresh string) { return b.redeem(b.code(t, nil), nil).tokens() }
	inactive := func(token, why string) {
		t.Helper()
		a := b.introspect(token)
		assert.Equal(t, http.StatusOK, a.Code, why)
		assert.JSONEq(t, `{"active":false}`, a.Body.String(), why)
	}
	inactive("garbage", "garbage")
	inactive("a.b.c", "not quite a JWT")
	access, refresh := fresh()
	require.Equal(t, http.StatusOK, b.refresh(refresh).Code)
	inactive(refresh, "retired")
	assert.Equal(t, true, b.introspect(access).field("active"), "and asking was no reuse")
	b.Advance(15 * time.Minute)
	inactive(access, "expired")
	access, refresh = fresh()
	b.do(formRequest("/oauth/revoke", url.Values{"client_id": {"cli"}, "token": {refresh}}))
	inactive(access, "its session revoked")
	inactive(refresh, "revoked")
	access, refresh = fresh()
	require.NoError(t, b.RevokeUser("alice"))
	inactive(access, "its user moved on")
	inactive(refresh, "its user moved on")
	_, refresh = fresh()
	b.Advance(7 * 24 * time.Hour)
	inactive(refresh, "idle for too long")
}

func TestIntrospectionIsForClientsThatProveThemselves(t *testing.T) {
	b := start(t, "strict", nil)
	token := b.login(t).Access
	for name, form := range map[string]url.Values{
		"nobody":          {"token": {token}},
		"a public client": {"client_id": {"cli"}, "token": {token}},
		"a wrong secret":  {"client_id": {serviceID}, "client_secret": {"guess"}, "token": {token}},
		"no secret":       {"client_id": {serviceID}, "token": {token}},
	} {
		a := b.do(formRequest("/oauth/introspect", form))
		assert.Equal(t, http.StatusUnauthorized, a.Code, name)
		assert.Equal(t, "invalid_client", a.field("error"), name)
	}
	a := b.introspect("")
	assert.Equal(t, http.StatusBadRequest, a.Code)
	assert.Equal(t, "invalid_request", a.field("error"))
}

func TestUserInfoTellsWhatTheScopeAllows(t *testing.T) {
	b := start(t, "strict", nil)
	for scope, want := range map[string]string{
		"openid":               `{"sub":"alice"}`,
		"openid profile":       `{"sub":"alice","name":"alice","preferred_username":"alice"}`,
		"openid email profile": `{"sub":"alice","name":"alice","preferred_username":"alice","email":"alice@example.test","email_verified":false}`,
	} {
		access, _ := b.redeem(b.code(t, setting("scope", scope)), nil).tokens()
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			a := b.as(method, "/oauth/userinfo", access)
			require.Equal(t, http.StatusOK, a.Code, scope)
			assert.JSONEq(t, want, a.Body.String())
		}
	}
	access, _ := b.redeem(b.code(t, setting("scope", "notes")), nil).tokens()
	a := b.get("/oauth/userinfo", access)
	assert.Equal(t, http.StatusForbidden, a.Code)
	assert.Contains(t, a.Header().Get("WWW-Authenticate"), `error="insufficient_scope"`)
	a = b.get("/oauth/userinfo", "")
	assert.Equal(t, http.StatusUnauthorized, a.Code)
	assert.NotContains(t, a.Header().Get("WWW-Authenticate"), "error=", "RFC 6750 3.1")
	assert.Equal(t, http.StatusUnauthorized, b.get("/oauth/userinfo", "garbage").Code)
}
