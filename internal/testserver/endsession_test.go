package testserver_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func (b bench) endSession(jar answer, params url.Values) answer {
	return b.do(b.withCookies(jar, request(http.MethodGet, "/oauth/end_session?"+params.Encode(), "", "")))
}

func TestALogoutEndsTheSessionAndTheSignOn(t *testing.T) {
	b := start(t, "strict", nil)
	jar := b.browser(t, "alice", testserver.ACRPassword)
	tokens := b.redeem(b.code(t, nil), nil)
	other := b.login(t)
	id := tokens.field("id_token").(string)
	b.Advance(time.Hour) // an expired hint is as good

	a := b.endSession(jar, url.Values{
		"id_token_hint": {id}, "post_logout_redirect_uri": {callback}, "state": {"bye"}, "client_id": {"cli"},
	})
	to, params := a.redirect(t)
	assert.Equal(t, callback, to)
	assert.Equal(t, "bye", params.Get("state"))
	_, refresh := tokens.tokens()
	assert.Equal(t, testserver.SessionRevoked, b.refresh(refresh).outcome())
	assert.Equal(t, http.StatusOK, b.refresh(other.Refresh).Code, "other devices stay signed in")
	require.Len(t, a.Result().Cookies(), 1)
	assert.Negative(t, a.Result().Cookies()[0].MaxAge)

	r := b.withCookies(jar, request(http.MethodGet, "/oauth/authorize?"+authRequest(setting("prompt", "none")).Encode(), "", ""))
	_, params = b.do(r).redirect(t)
	assert.Equal(t, "login_required", params.Get("error"), "the old cookie is worth nothing")
}

func TestALogoutThatAnybodyCouldHaveAskedForAsksTheUser(t *testing.T) {
	b := start(t, "strict", nil)
	id := b.redeem(b.code(t, nil), nil).field("id_token").(string)
	for name, params := range map[string]url.Values{
		"no hint":         {"client_id": {"cli"}, "post_logout_redirect_uri": {callback}},
		"another's token": {"id_token_hint": {id}, "post_logout_redirect_uri": {callback}},
		"nothing":         {},
	} {
		bob := b.browser(t, "bob", testserver.ACRPassword)
		a := b.endSession(bob, params)
		to, answer := a.redirect(t)
		require.Equal(t, "/oauth/logout", to, name)
		assert.Empty(t, a.Result().Cookies(), name)

		w := httptest.NewRecorder()
		location, err := b.ConfirmLogout(w, b.withCookies(bob, request(http.MethodPost, "/", "", "")), answer.Get("request"))
		require.NoError(t, err, name)
		assert.Len(t, w.Result().Cookies(), 1, name)
		if name == "nothing" {
			assert.Equal(t, "/oauth/logged_out", location)
		} else {
			assert.Equal(t, callback, location, name)
		}
		_, err = b.ConfirmLogout(w, request(http.MethodPost, "/", "", ""), answer.Get("request"))
		assert.Error(t, err, "once")
	}
}

func TestABadLogoutLeadsNowhere(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.redeem(b.code(t, nil), nil)
	id := tokens.field("id_token").(string)
	access, _ := tokens.tokens()
	for name, params := range map[string]url.Values{
		"a foreign place":           {"id_token_hint": {id}, "post_logout_redirect_uri": {"https://evil.example/"}},
		"a place of nobody's":       {"post_logout_redirect_uri": {callback}},
		"an unknown client":         {"client_id": {"nobody"}, "post_logout_redirect_uri": {callback}},
		"another client's hint":     {"client_id": {"other"}, "id_token_hint": {id}},
		"a hint that is no token":   {"id_token_hint": {"garbage"}},
		"an access token as a hint": {"id_token_hint": {access}},
		"a hint with a byte more":   {"id_token_hint": {id + "A"}},
		"two hints":                 {"id_token_hint": {id, id}},
	} {
		a := b.endSession(answer{ResponseRecorder: httptest.NewRecorder()}, params)
		assert.Equal(t, http.StatusBadRequest, a.Code, name)
		assert.Empty(t, a.Header().Get("Location"), name)
	}
	assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code, "and ends nothing")
}
