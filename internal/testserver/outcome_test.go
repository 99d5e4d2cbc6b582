package testserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// cell is one cell of the table of outcomes.
type cell struct {
	status int
	body   string
}

func grantError(description string) cell {
	return cell{http.StatusBadRequest, `{"error":"invalid_grant","error_description":"` + description + `"}`}
}

// What the first-party dialect says.
const (
	invalidRefresh = `{"error":"Invalid refresh token"}`
	hardEnd        = `{"message":"Session expired. Please log in again."}`
)

// refusalRow is one row: how a session gets there, and what each column says.
type refusalRow struct {
	name    string
	change  func(*testserver.Config)
	arrange func(t *testing.T, b bench) (token string)
	outcome testserver.Outcome
	oauth   cell
	json    cell
}

// retire uses a token and its child, so that no window is open any more.
func retire(t *testing.T, b bench) (retired, live string) {
	t.Helper()
	first := b.login(t).Refresh
	_, second := b.refresh(first).tokens()
	_, third := b.refresh(second).tokens()
	require.NotEmpty(t, third)
	return first, third
}

// login is a row whose session is only logged in before change happens to it.
func login(change func(b bench, tokens testserver.Tokens)) func(*testing.T, bench) string {
	return func(t *testing.T, b bench) string {
		tokens := b.login(t)
		change(b, tokens)
		return tokens.Refresh
	}
}

func refusalRows() []refusalRow {
	invalid := cell{http.StatusUnauthorized, invalidRefresh}
	over := cell{http.StatusForbidden, hardEnd}
	return []refusalRow{
		{name: "the request that trips reuse", outcome: testserver.ReuseDetected,
			oauth: grantError("refresh token already used"), json: invalid,
			arrange: func(t *testing.T, b bench) string { old, _ := retire(t, b); return old }},
		{name: "the live token after reuse", outcome: testserver.SessionRevoked,
			oauth: grantError("session revoked"), json: invalid,
			arrange: func(t *testing.T, b bench) string { old, live := retire(t, b); b.refresh(old); return live }},
		{name: "a device that was logged out", outcome: testserver.SessionRevoked,
			oauth: grantError("session revoked"), json: invalid,
			arrange: login(func(b bench, tok testserver.Tokens) { b.RevokeSession(tok.Session, "admin") })},
		{name: "an idle session", outcome: testserver.TokenExpired,
			change: func(c *testserver.Config) { c.IdleTTL = time.Hour },
			oauth:  grantError("refresh token expired"), json: invalid,
			arrange: login(func(b bench, _ testserver.Tokens) { b.Advance(time.Hour) })},
		{name: "the hard end", outcome: testserver.SessionExpired,
			oauth: grantError("session expired"), json: over,
			arrange: login(func(b bench, _ testserver.Tokens) { b.Advance(7 * 24 * time.Hour) })},
		{name: "a session that was revoked, past its hard end", outcome: testserver.SessionExpired,
			oauth: grantError("session expired"), json: over,
			arrange: login(func(b bench, tok testserver.Tokens) {
				b.RevokeSession(tok.Session, "admin")
				b.Advance(7 * 24 * time.Hour)
			})},
		{name: "a session that reuse has ended, past its hard end", outcome: testserver.SessionExpired,
			oauth: grantError("session expired"), json: over,
			arrange: func(t *testing.T, b bench) string {
				old, live := retire(t, b)
				b.refresh(old)
				b.Advance(7 * 24 * time.Hour)
				return live
			}},
		{name: "a user who is locked out, past the hard end", outcome: testserver.SessionExpired,
			oauth: grantError("session expired"), json: over,
			arrange: login(func(b bench, _ testserver.Tokens) { b.DisableUser("alice"); b.Advance(7 * 24 * time.Hour) })},
		{name: "one refresh too many", outcome: testserver.MaxRefreshes,
			change: func(c *testserver.Config) { c.MaxRefreshes = 2 },
			oauth:  grantError("session expired"), json: over,
			arrange: func(t *testing.T, b bench) string { _, live := retire(t, b); return live }},
		{name: "a user who must sign in again", outcome: testserver.VersionBumped,
			oauth: grantError("user must sign in again"), json: invalid,
			arrange: login(func(b bench, _ testserver.Tokens) { b.RevokeUser("alice") })},
		{name: "a user who is locked out", outcome: testserver.UserDisabled,
			oauth: grantError("user must sign in again"), json: invalid,
			arrange: login(func(b bench, _ testserver.Tokens) { b.DisableUser("alice") })},
		{name: "garbage", outcome: testserver.Unknown,
			oauth: grantError("refresh token unknown"), json: invalid,
			arrange: func(*testing.T, bench) string { return "rt_garbage" }},
		{name: "an access token", outcome: testserver.Unknown,
			oauth: grantError("refresh token unknown"), json: invalid,
			arrange: func(t *testing.T, b bench) string { return b.login(t).Access }},
		{name: "no token", outcome: testserver.MissingToken,
			oauth:   cell{http.StatusBadRequest, `{"error":"invalid_request","error_description":"token missing"}`},
			json:    cell{http.StatusUnauthorized, `{"error":"No refresh token"}`},
			arrange: func(*testing.T, bench) string { return "" }},
	}
}

func TestARefusedRefreshSaysWhyInEachDialect(t *testing.T) {
	for _, profile := range profiles() {
		for _, row := range refusalRows() {
			for i, d := range dialects() {
				t.Run(profile+"/"+row.name+"/"+d.name, func(t *testing.T) {
					want := row.json
					if i == 0 {
						want = row.oauth
					}
					b := start(t, profile, row.change)
					got := b.do(d.request(row.arrange(t, b)))
					assert.Equal(t, want.status, got.Code)
					assert.JSONEq(t, want.body, got.Body.String())
					assert.Equal(t, row.outcome, got.outcome())
					assertTokenHeaders(t, got)
				})
			}
		}
	}
}

// assertTokenHeaders checks RFC 6749 5.1, which holds for refusals as well.
func assertTokenHeaders(t *testing.T, got answer) {
	t.Helper()
	assert.Equal(t, "application/json", got.Header().Get("Content-Type"))
	assert.Equal(t, "no-store", got.Header().Get("Cache-Control"))
	assert.Equal(t, "no-cache", got.Header().Get("Pragma"))
	assert.Equal(t, "not-for-production", got.Header().Get("X-Authtest"))
}

func TestARefreshAnswersInItsOwnDialect(t *testing.T) {
	members := map[bool][]string{
		true:  {"access_token", "expires_in", "refresh_token", "token_type"},
		false: {"accessToken", "expiresIn", "refreshToken"},
	}
	for _, profile := range profiles() {
		for i, d := range dialects() {
			t.Run(profile+"/"+d.name, func(t *testing.T) {
				b := start(t, profile, nil)
				old := b.login(t)
				got := b.do(d.request(old.Refresh))
				require.Equal(t, http.StatusOK, got.Code)
				assert.Equal(t, testserver.Rotated, got.outcome())
				assertTokenHeaders(t, got)
				assert.ElementsMatch(t, members[i == 0], got.members())
				access, refresh := got.tokens()
				assert.NotEqual(t, old.Refresh, refresh)
				assert.NotEqual(t, old.Access, access)
				assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
				assert.Equal(t, testserver.Rotated, b.do(d.request(refresh)).outcome())
				for _, name := range []string{"expires_in", "expiresIn"} {
					if got.field(name) != nil {
						assert.EqualValues(t, 900, got.field(name))
					}
				}
			})
		}
	}
}

func TestATokenReplayedInTheGraceIsAnsweredWithTheSameChild(t *testing.T) {
	for _, d := range dialects() {
		t.Run(d.name, func(t *testing.T) {
			b := start(t, "grace", nil)
			parent := b.login(t).Refresh
			firstAccess, child := b.do(d.request(parent)).tokens()
			b.Advance(10*time.Second - 1)
			got := b.do(d.request(parent))
			assert.Equal(t, testserver.ReplayedSame, got.outcome())
			access, again := got.tokens()
			assert.Equal(t, child, again)
			assert.NotEqual(t, firstAccess, access)
			assert.Equal(t, testserver.Rotated, b.do(d.request(child)).outcome())
		})
	}
}
