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

func loginRequest(user, password, device string) *http.Request {
	return jsonRequest("/login", map[string]string{"username": user, "password": password, "device": device})
}

func TestALoginAnswersInItsOwnDialect(t *testing.T) {
	for _, profile := range profiles() {
		b := start(t, profile, nil)
		form := b.do(formRequest("/oauth/token", passwordForm("read")))
		assert.Equal(t, http.StatusOK, form.Code)
		assert.ElementsMatch(t, []string{"access_token", "expires_in", "refresh_token", "scope", "token_type"}, form.members())
		assert.Equal(t, "Bearer", form.field("token_type"))
		assertTokenHeaders(t, form)

		body := b.do(loginRequest("alice", "secret", "phone"))
		assert.Equal(t, http.StatusOK, body.Code)
		assert.ElementsMatch(t, []string{"accessToken", "expiresIn", "refreshToken"}, body.members())
		assert.Equal(t, testserver.LoggedIn, body.outcome())
		assert.Equal(t, 2, b.Stats().Logins)
	}
}

func TestAWrongPasswordIsRefusedInItsOwnDialect(t *testing.T) {
	b := start(t, "strict", nil)
	values := passwordForm("")
	values.Set("password", "wrong")
	form := b.do(formRequest("/oauth/token", values))
	assert.Equal(t, http.StatusBadRequest, form.Code)
	assert.JSONEq(t, `{"error":"invalid_grant","error_description":"invalid credentials"}`, form.Body.String())
	for _, user := range []string{"alice", "nobody"} {
		got := b.do(loginRequest(user, "wrong", ""))
		assert.Equal(t, http.StatusUnauthorized, got.Code)
		assert.JSONEq(t, `{"error":"Invalid credentials"}`, got.Body.String())
	}
	b.DisableUser("alice")
	assert.Equal(t, testserver.WrongPassword, b.do(loginRequest("alice", "secret", "")).outcome())
}

func TestRefreshIgnoresTheAuthorizationHeader(t *testing.T) {
	for _, path := range []string{"/refresh", "/refresh-token"} {
		b := start(t, "firstparty", nil)
		tokens := b.login(t)
		b.Advance(time.Hour) // the access token has expired
		for i, authorization := range []string{"Bearer " + tokens.Access, "Bearer garbage", "Basic !"} {
			r := jsonRequest(path, map[string]string{"refreshToken": tokens.Refresh})
			r.Header.Set("Authorization", authorization)
			got := b.do(r)
			require.Equal(t, http.StatusOK, got.Code, "header %d", i)
			_, tokens.Refresh = got.tokens()
		}
	}
}

func TestLogoutEndsTheSessionAtOnceAndMayBeRepeated(t *testing.T) {
	byRefresh := func(tok testserver.Tokens) *http.Request {
		return jsonRequest("/logout", map[string]string{"refreshToken": tok.Refresh})
	}
	byAccess := func(tok testserver.Tokens) *http.Request {
		r := request(http.MethodPost, "/logout", "", "")
		r.Header.Set("Authorization", "Bearer "+tok.Access)
		return r
	}
	for name, leave := range map[string]func(testserver.Tokens) *http.Request{"refresh": byRefresh, "access": byAccess} {
		t.Run(name, func(t *testing.T) {
			b := start(t, "firstparty", nil)
			tokens, other := b.login(t), b.login(t)
			for range 2 {
				got := b.do(leave(tokens))
				assert.Equal(t, http.StatusNoContent, got.Code)
				assert.Empty(t, got.Body.String())
			}
			assert.Equal(t, "Invalid token", b.get("/api/me", tokens.Access).field("error"))
			assert.Equal(t, testserver.SessionRevoked, b.refresh(tokens.Refresh).outcome())
			assert.Equal(t, http.StatusOK, b.get("/api/me", other.Access).Code, "other devices stay")
			assert.Equal(t, 1, b.Stats().SessionsRevoked)
			assert.Zero(t, b.Stats().FamiliesRevoked)
		})
	}
	t.Run("with an expired access token", func(t *testing.T) {
		b := start(t, "firstparty", nil)
		tokens := b.login(t)
		b.Advance(time.Hour)
		assert.Equal(t, http.StatusNoContent, b.do(byAccess(tokens)).Code)
		assert.Equal(t, testserver.SessionRevoked, b.refresh(tokens.Refresh).outcome())
	})
	t.Run("of nobody", func(t *testing.T) {
		b := start(t, "firstparty", nil)
		assert.Equal(t, http.StatusUnauthorized, b.do(request(http.MethodPost, "/logout", "", "")).Code)
	})
}

func TestLogoutEverywhereEndsEverySessionOfTheUser(t *testing.T) {
	b := start(t, "firstparty", nil)
	here, there := b.login(t), b.login(t)
	bobs, err := b.Login("bob", "desk")
	require.NoError(t, err)
	r := jsonRequest("/logout-all", nil)
	r.Header.Set("Authorization", "Bearer "+here.Access)
	assert.Equal(t, http.StatusNoContent, b.do(r).Code)
	for _, tokens := range []testserver.Tokens{here, there} {
		assert.Equal(t, testserver.SessionRevoked, b.refresh(tokens.Refresh).outcome())
		assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", tokens.Access).Code)
	}
	assert.Equal(t, http.StatusOK, b.get("/api/me", bobs.Access).Code)
	again := b.login(t).Access
	assert.Equal(t, http.StatusOK, b.get("/api/me", again).Code)
	assert.EqualValues(t, 1, part(t, again, 1)["ver"], "what is older is dead, also what was not listed yet")
	assert.Equal(t, http.StatusUnauthorized, b.do(jsonRequest("/logout-all", nil)).Code)
}

func TestAUserSeesAndEndsTheirOwnSessions(t *testing.T) {
	b := start(t, "firstparty", nil)
	here := b.login(t)
	b.Advance(time.Minute)
	there, err := b.Login("alice", "phone")
	require.NoError(t, err)
	bobs, err := b.Login("bob", "desk")
	require.NoError(t, err)

	got := b.get("/sessions", here.Access)
	require.Equal(t, http.StatusOK, got.Code)
	assert.JSONEq(t, `[
		{"id":"`+here.Session+`","device":"laptop","createdAt":"2026-01-02T03:04:05.6Z",
		 "lastUsedAt":"2026-01-02T03:04:05.6Z","expiresAt":"2026-01-09T03:04:05.6Z","current":true},
		{"id":"`+there.Session+`","device":"phone","createdAt":"2026-01-02T03:05:05.6Z",
		 "lastUsedAt":"2026-01-02T03:05:05.6Z","expiresAt":"2026-01-09T03:05:05.6Z","current":false}]`, got.Body.String())

	b.Advance(time.Minute)
	access, _ := b.refresh(here.Refresh).tokens()
	assert.Contains(t, b.get("/sessions", access).Body.String(), `"lastUsedAt":"2026-01-02T03:06:05.6Z"`)

	end := func(id string) int { return b.as(http.MethodDelete, "/sessions/"+id, here.Access).Code }
	assert.Equal(t, http.StatusNotFound, end(bobs.Session), "another user's")
	assert.Equal(t, http.StatusNotFound, end("nothing"))
	assert.Equal(t, http.StatusNoContent, end(there.Session))
	assert.Equal(t, testserver.SessionRevoked, b.refresh(there.Refresh).outcome())
	assert.Equal(t, testserver.Rotated, b.refresh(bobs.Refresh).outcome())
	assert.NotContains(t, b.get("/sessions", here.Access).Body.String(), there.Session)
	assert.Equal(t, http.StatusUnauthorized, b.get("/sessions", "").Code)
}

func TestRevocationByOAuthAnswersAlikeWhateverTheToken(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	revoke := func(client, token string) {
		got := b.do(formRequest("/oauth/revoke", url.Values{"client_id": {client}, "token": {token}}))
		assert.Equal(t, http.StatusOK, got.Code)
		assert.Empty(t, got.Body.String())
	}
	revoke("cli", "rt_garbage")
	revoke("other", tokens.Refresh) // RFC 7009 2.1: not this client's
	revoke("other", tokens.Access)
	assert.Equal(t, http.StatusOK, b.get("/api/me", tokens.Access).Code)

	revoke("cli", tokens.Access)
	assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", tokens.Access).Code)
	access, refresh := b.refresh(tokens.Refresh).tokens()
	assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code, "only that access token was revoked")

	revoke("cli", refresh)
	assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", access).Code)
	assert.Equal(t, testserver.SessionRevoked, b.refresh(refresh).outcome())
}

func TestTheFirstPartyDialectRefusesWhatIsNotJSON(t *testing.T) {
	b := start(t, "firstparty", nil)
	for _, c := range []struct {
		kind, body string
		status     int
	}{
		{"text/plain", "hello", http.StatusUnsupportedMediaType},
		{"application/json", "{", http.StatusBadRequest},
		{"application/json", string(make([]byte, 1<<20+1)), http.StatusRequestEntityTooLarge},
	} {
		assert.Equal(t, c.status, b.do(request(http.MethodPost, "/refresh", c.kind, c.body)).Code)
	}
	assert.Equal(t, http.StatusMethodNotAllowed, b.get("/refresh", "").Code)
}
