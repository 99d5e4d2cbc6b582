package testserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func TestTheAPIRefusesATokenByItsState(t *testing.T) {
	expired := `Bearer realm="authtest", error="invalid_token", error_description="Token expired"`
	invalid := `Bearer realm="authtest", error="invalid_token", error_description="Invalid token"`
	for _, c := range []struct {
		name      string
		token     func(b bench, tok testserver.Tokens) string
		challenge string
		body      string
	}{
		// RFC 6750 3.1: no error code where no credentials were sent.
		{"none", func(bench, testserver.Tokens) string { return "" },
			`Bearer realm="authtest"`, `{"error":"Invalid token"}`},
		{"garbage", func(bench, testserver.Tokens) string { return "garbage" },
			invalid, `{"error":"Invalid token"}`},
		{"a refresh token", func(_ bench, tok testserver.Tokens) string { return tok.Refresh },
			invalid, `{"error":"Invalid token"}`},
		{"expired", func(b bench, tok testserver.Tokens) string { b.Advance(15 * time.Minute); return tok.Access },
			expired, `{"error":"Token expired"}`},
		{"expired and forgotten", func(b bench, tok testserver.Tokens) string {
			b.Advance(20 * time.Minute)
			b.refresh(tok.Refresh)
			return tok.Access
		}, expired, `{"error":"Token expired"}`},
		{"of an ended session", func(b bench, tok testserver.Tokens) string { b.RevokeSession(tok.Session, "admin"); return tok.Access },
			invalid, `{"error":"Invalid token"}`},
		{"of an old version", func(b bench, tok testserver.Tokens) string { b.RevokeUser("alice"); return tok.Access },
			invalid, `{"error":"Invalid token"}`},
		{"of a disabled user", func(b bench, tok testserver.Tokens) string { b.DisableUser("alice"); return tok.Access },
			invalid, `{"error":"Invalid token"}`},
		{"revoked with all others", func(b bench, tok testserver.Tokens) string { b.RevokeAccessTokens(); return tok.Access },
			invalid, `{"error":"Invalid token"}`},
		{"of another type under the same key", func(b bench, tok testserver.Tokens) string {
			return b.Resign(tok.Access, "refresh+jwt", "http://auth.test")
		},
			invalid, `{"error":"Invalid token"}`},
		{"of another issuer", func(b bench, tok testserver.Tokens) string {
			return b.Resign(tok.Access, "at+jwt", "http://other.test")
		},
			invalid, `{"error":"Invalid token"}`},
	} {
		for _, profile := range profiles() {
			t.Run(c.name+"/"+profile, func(t *testing.T) {
				b := start(t, profile, nil)
				got := b.get("/api/me", c.token(b, b.login(t)))
				assert.Equal(t, http.StatusUnauthorized, got.Code)
				assert.Equal(t, []string{c.challenge + pointer}, got.Header().Values("WWW-Authenticate"))
				assert.JSONEq(t, c.body, got.Body.String())
				assert.Equal(t, 1, b.Stats().APIUnauthorized)
			})
		}
	}
}

func TestAnAccessTokenLivesToItsLastMoment(t *testing.T) {
	b := start(t, "strict", nil)
	access := b.login(t).Access
	b.Advance(15*time.Minute - 1)
	assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
	b.Advance(1)
	assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", access).Code)
}

func TestNoTokenOutlivesTheHardEnd(t *testing.T) {
	b := start(t, "strict", func(c *testserver.Config) { c.AbsoluteTTL = time.Hour })
	tokens := b.login(t)
	b.Advance(55 * time.Minute)
	got := b.refresh(tokens.Refresh)
	assert.EqualValues(t, 300, got.field("expires_in"))
	access, refresh := got.tokens()
	signed := start(t, "firstparty", func(c *testserver.Config) { c.IdleTTL = 30 * 24 * time.Hour }).login(t)
	claims := part(t, signed.Refresh, 1)
	assert.Equal(t, (7 * 24 * time.Hour).Seconds(), claims["exp"].(float64)-claims["iat"].(float64))
	b.Advance(5 * time.Minute)
	assert.Equal(t, "Token expired", b.get("/api/me", access).field("error"))
	assert.Equal(t, testserver.SessionExpired, b.refresh(refresh).outcome())
}

func TestRevokingAccessTokensLeavesTheSessionAlive(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	b.RevokeAccessTokens()
	require.Equal(t, http.StatusUnauthorized, b.get("/api/me", tokens.Access).Code)
	access, _ := b.refresh(tokens.Refresh).tokens()
	assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
}

func TestTheTwoKindsOfTokenHaveTypesAndKeysOfTheirOwn(t *testing.T) {
	b := start(t, "firstparty", nil)
	tokens := b.login(t)
	header := part(t, tokens.Access, 0)
	assert.NotEmpty(t, header["kid"])
	delete(header, "kid")
	assert.Equal(t, map[string]any{"alg": "ES256", "typ": "at+jwt"}, header)
	assert.Equal(t, map[string]any{"alg": "HS256", "typ": "refresh+jwt"}, part(t, tokens.Refresh, 0))

	assert.Equal(t, "Invalid token", b.get("/api/me", tokens.Refresh).field("error"))
	for _, d := range dialects() {
		assert.Equal(t, testserver.Unknown, b.do(d.request(tokens.Access)).outcome(), d.name)
	}
	assert.Equal(t, testserver.Rotated, b.refresh(tokens.Refresh).outcome(), "none of this spent the token")
	assert.Equal(t, testserver.RefreshMisplaced, b.rules()[0])
}

func TestMeTellsWhoIsAsking(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	got := b.get("/api/me", tokens.Access)
	assert.Equal(t, http.StatusOK, got.Code)
	assert.Equal(t, "alice", got.field("sub"))
	assert.Equal(t, tokens.Session, got.field("sid"))
	assert.Equal(t, "cli", got.field("client_id"))
}

func TestAScopeThatIsMissingIsForbidden(t *testing.T) {
	b := start(t, "strict", nil)
	access, _ := b.do(formRequest("/oauth/token", passwordForm("read write"))).tokens()
	assert.Equal(t, http.StatusOK, b.get("/api/scope/read", access).Code)

	got := b.get("/api/scope/admin", access)
	assert.Equal(t, http.StatusForbidden, got.Code)
	assert.Equal(t, `Bearer realm="authtest", error="insufficient_scope", scope="admin"`+pointer, got.Header().Get("WWW-Authenticate"))
	assert.JSONEq(t, `{"error":"Forbidden"}`, got.Body.String())
}

func TestStepUpIsAskedForInTheDialectOfTheProfile(t *testing.T) {
	for profile, want := range map[string]cell{
		"strict":     {http.StatusUnauthorized, `{"message":"Re-authentication required"}`},
		"grace":      {http.StatusUnauthorized, `{"message":"Re-authentication required"}`},
		"firstparty": {http.StatusForbidden, `{"message":"Re-authentication required"}`},
	} {
		t.Run(profile, func(t *testing.T) {
			b := start(t, profile, nil)
			got := b.get("/api/stepup", b.login(t).Access)
			assert.Equal(t, want.status, got.Code)
			assert.JSONEq(t, want.body, got.Body.String())
			challenge := got.Header().Get("WWW-Authenticate")
			if want.status == http.StatusForbidden {
				assert.Empty(t, challenge)
				return
			}
			assert.Contains(t, challenge, `error="insufficient_user_authentication"`)
			assert.Contains(t, challenge, `acr_values="urn:authtest:strong", max_age="60"`)
		})
	}
}

func TestOneEndpointRefusesEveryToken(t *testing.T) {
	b := start(t, "strict", nil)
	got := b.get("/api/401-always", b.login(t).Access)
	assert.Equal(t, http.StatusUnauthorized, got.Code)
	assert.Contains(t, got.Header().Get("WWW-Authenticate"), `error="invalid_token"`)
}

func TestEchoProvesWhatArrivedWithoutShowingTheToken(t *testing.T) {
	b := start(t, "strict", nil)
	access := b.login(t).Access
	send := func(token string) answer {
		r := request(http.MethodPut, "/api/echo?id=7", "text/plain", "abc")
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("X-Trace", "7")
		return b.do(r)
	}
	require.Equal(t, http.StatusUnauthorized, send("stale").Code)
	got := send(access)
	require.Equal(t, http.StatusOK, got.Code)
	assert.Equal(t, "PUT", got.field("method"))
	assert.Equal(t, "/api/echo", got.field("path"))
	assert.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", got.field("bodySHA256"))
	assert.EqualValues(t, 3, got.field("bodyLength"))
	assert.EqualValues(t, 2, got.field("attempt"))
	assert.Equal(t, map[string]any{"present": true, "scheme": "Bearer"}, got.field("authorization"))
	assert.Equal(t, []any{"7"}, got.field("header").(map[string]any)["X-Trace"])
	assert.NotContains(t, got.Body.String(), access)
}

func TestEchoOnAForeignHostTellsOfATokenThatCameAlong(t *testing.T) {
	b := start(t, "strict", nil)
	r := request(http.MethodGet, "/api/echo", "", "")
	r.Host = "evil.example.com"
	assert.Equal(t, map[string]any{"present": false, "scheme": ""}, b.do(r).field("authorization"))
	assert.Empty(t, b.rules())

	r.Header.Set("Authorization", "Bearer "+b.login(t).Access)
	assert.Equal(t, map[string]any{"present": true, "scheme": "Bearer"}, b.do(r).field("authorization"))
	assert.Equal(t, []string{testserver.BearerAbroad}, b.rules())
}
