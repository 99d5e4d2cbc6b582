package testserver_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// A race whose winner is chosen on the page: the one that came last.
func TestTheDashboardLetsGoWhatWaitsAtAGate(t *testing.T) {
	b := start(t, "strict", nil)
	u, tokens := b.visitor(), b.login(t)
	a := u.submit("/_test/ui/gates", "action", "set", "on", "refresh", "at", "before-commit")
	a.shows(t, "The gate is shut", "refresh at before-commit", "0 waiting")
	id := regexp.MustCompile(`aria-label="Gate (\d+)"`).FindStringSubmatch(a.Body.String())[1]
	assert.Equal(t, http.StatusBadRequest, u.submit("/_test/ui/gates", "action", "one", "id", id).Code, "nothing waits")

	gate := b.GateNamed(id)
	done := [2]chan answer{make(chan answer, 1), make(chan answer, 1)}
	for n := range 2 {
		go func() { done[n] <- b.refresh(tokens.Refresh) }()
		require.NoError(t, gate.Wait(t.Context(), n+1))
	}
	u.open("/_test/").shows(t, "2 waiting")
	u.submit("/_test/ui/gates", "action", "last", "id", id).shows(t, "One request goes on.")
	assert.Equal(t, testserver.Rotated, (<-done[1]).outcome())
	u.submit("/_test/ui/gates", "action", "one", "id", id).shows(t, "One request goes on.")
	assert.Equal(t, testserver.ReuseDetected, (<-done[0]).outcome())
	u.submit("/_test/ui/gates", "action", "all", "id", id).shows(t, "the gate is gone")
	assert.Equal(t, testserver.SessionRevoked, b.refresh(tokens.Refresh).outcome(), "nothing is held any more")

	for _, bad := range [][]string{
		{"action", "one", "id", id}, {"action", "set", "on", "nowhere", "at", "before-commit"}, {"action", "set", "on", "refresh", "at", "on-accept"}, {},
	} {
		assert.Equal(t, http.StatusBadRequest, u.submit("/_test/ui/gates", bad...).Code, "%s", bad)
	}
}

func TestTheDashboardSetsScriptsAndScenarios(t *testing.T) {
	b := start(t, "grace", nil)
	u, token := b.visitor(), b.login(t).Refresh
	u.submit("/_test/ui/scripts", "action", "set", "on", "refresh", "steps", " 503  lose pass 429").
		shows(t, "The script waits", "refresh: before-handler answer, after-commit drop, before-handler pass, before-handler answer")
	assert.Equal(t, http.StatusServiceUnavailable, b.refresh(token).Code)
	assert.True(t, b.refresh(token).dropped)
	assert.Equal(t, testserver.ReplayedSame, b.refresh(token).outcome())
	require.Len(t, b.Unfired(), 1)
	u.submit("/_test/ui/scripts", "action", "clear").shows(t, "No script is left.")
	assert.Empty(t, b.Unfired())

	u.submit("/_test/ui/scripts", "action", "scenario", "scenario", `{"clock": {"skew": "5m"}, "gates": [{"on": "refresh", "at": "before-commit"}]}`).
		shows(t, "The scenario is in force.", "with an error of", "0 waiting")
	for _, bad := range [][]string{
		{"action", "set", "on", "refresh", "steps", "503 nonesuch"}, {"action", "set", "on", "refresh", "steps", " "},
		{"action", "set", "on", "nowhere", "steps", "503"}, {"action", "scenario", "scenario", `{"fault": []}`}, {"action", "x"},
	} {
		assert.Equal(t, http.StatusBadRequest, u.submit("/_test/ui/scripts", bad...).Code, "%s", bad)
	}
}

func TestTheDashboardVoidsAndLocksAUser(t *testing.T) {
	b := start(t, "strict", nil)
	u := b.visitor()
	one := b.loginOn(t, "alice", "laptop")
	u.open("/_test/").shows(t, "1 live, token version 0")
	u.submit("/_test/ui/users", "action", "bump", "user", "alice").shows(t, "All that alice had is void.", "0 live, token version 1")
	assert.Equal(t, testserver.VersionBumped, b.refresh(one.Refresh).outcome())

	two := b.loginOn(t, "alice", "laptop")
	u.submit("/_test/ui/users", "action", "disable", "user", "alice").shows(t, "alice is locked out.", "locked just now", "Unlock")
	assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", two.Access).Code)
	assert.Equal(t, testserver.WrongPassword, b.do(loginRequest("alice", "secret", "")).outcome())
	u.submit("/_test/ui/users", "action", "enable", "user", "alice").shows(t, "alice may sign in again.")
	assert.Equal(t, testserver.Rotated, b.refresh(two.Refresh).outcome())
	assert.Equal(t, testserver.LoggedIn, b.do(loginRequest("alice", "secret", "")).outcome())
	for _, bad := range [][]string{{"action", "bump", "user", "x"}, {"action", "enable", "user", ""}, {"action", "x", "user", "alice"}} {
		assert.Equal(t, http.StatusBadRequest, u.submit("/_test/ui/users", bad...).Code, "%s", bad)
	}
}

func TestTheDashboardRotatesTheKeyAndForgets(t *testing.T) {
	b := start(t, "strict", nil)
	u, tokens := b.visitor(), b.login(t)
	u.submit("/_test/ui/server", "action", "keys").shows(t, "signed with a new key")
	assert.Equal(t, http.StatusOK, b.get("/api/me", tokens.Access).Code, "the old key still counts")
	require.NotEmpty(t, b.Exchanges(testserver.AnyEndpoint))
	u.submit("/_test/ui/server", "action", "reset").shows(t, "None so far. The server listens at", tokens.Session)
	assert.Equal(t, http.StatusBadRequest, u.submit("/_test/ui/server", "action", "x").Code)
}

// Guards live: what watches hears of a request when it is answered, of
// everything else within a second, and nothing of what it was.
func TestTheDashboardIsToldWhenToLookAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, "strict", nil)
		tokens := b.login(t)
		ctx, cancel := context.WithCancel(t.Context())
		r := request(http.MethodGet, "/_test/ui/live", "", "").WithContext(ctx)
		r.RemoteAddr = "127.0.0.1:4711"
		w := &flushed{ResponseRecorder: httptest.NewRecorder()}
		ended := make(chan struct{})
		go func() { defer close(ended); b.Handler().ServeHTTP(w, r) }()
		synctest.Wait()
		assert.Equal(t, 0, w.events())
		b.refresh(tokens.Refresh)
		synctest.Wait()
		assert.Equal(t, 1, w.events(), "at once")
		b.refresh(tokens.Refresh) // a reuse, which is a violation, too
		synctest.Wait()
		assert.Equal(t, 3, w.events())
		cancel()
		<-ended
		assert.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
		assert.Empty(t, strings.ReplaceAll(w.Body.String(), "data: look\n\n", ""))
	})
}

// flushed is written to by the stream and read by the test, in turns.
type flushed struct{ *httptest.ResponseRecorder }

func (f *flushed) events() int { return strings.Count(f.Body.String(), "data:") }

func TestWhoMayNotOperateIsToldNothingLive(t *testing.T) {
	b := start(t, "strict", nil)
	u := b.visitor()
	u.from = "192.0.2.7:4711"
	a := u.open("/_test/ui/live")
	assert.Equal(t, http.StatusForbidden, a.Code)
	assert.NotContains(t, a.Header().Get("Content-Type"), "event-stream")
}

// A stream must not hold up the end of the server.
func TestAServerThatEndsEndsItsStreams(t *testing.T) {
	b := start(t, "strict", nil)
	srv := httptest.NewServer(b.Handler())
	defer srv.Close()
	res, err := http.Get(srv.URL + "/_test/ui/live")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(t, http.StatusOK, res.StatusCode)
	b.Close()
	for s := bufio.NewScanner(res.Body); s.Scan(); {
		assert.Contains(t, []string{"data: look", ""}, s.Text())
	}
}
