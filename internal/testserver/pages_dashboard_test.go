package testserver_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func TestTheDashboardShowsWhatHappened(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.loginOn(t, "alice", "laptop")
	b.refresh(tokens.Refresh)
	b.refresh(tokens.Refresh)
	u := b.visitor()
	u.open("/_test/").shows(t, "Dashboard", "strict", issuer, "15 min", "7 d", tokens.Session, "laptop",
		"reuse_detected", "refresh-token-reused", "Rotations</dt><dd>1")
	live := u.open("/_test/?live")
	assert.Contains(t, live.Body.String(), `<meta http-equiv="refresh" content="2">`)
	assert.NotContains(t, u.open("/_test/").Body.String(), "http-equiv")
}

func TestTheFamilyTreeShowsWhoCameFromWhom(t *testing.T) {
	b := start(t, "grace", nil)
	first := b.loginOn(t, "alice", "laptop")
	_, second := b.refresh(first.Refresh).tokens()
	_, again := b.refresh(first.Refresh).tokens()
	require.Equal(t, second, again)
	b.refresh(second)
	body := b.visitor().open("/_test/ui/session/" + first.Session).Body.String()
	assert.Equal(t, 3, strings.Count(body, `<div class="node`))
	assert.Equal(t, 1, strings.Count(body, `<div class="node active"`))
	assert.Equal(t, 1, strings.Count(body, "came back 1×"))
	assert.Contains(t, body, "generation 2")
	assert.Contains(t, body, "replayed_same")
	assert.Equal(t, http.StatusNotFound, b.visitor().open("/_test/ui/session/ses_none").Code)
}

func TestTheDashboardMovesTheClock(t *testing.T) {
	b := start(t, "strict", nil)
	u, before := b.visitor(), b.Now()
	u.submit("/_test/ui/clock", "action", "advance", "by", "16m").shows(t, "The clock was moved by 16m0s.", "Ahead of the real time")
	assert.Equal(t, 16*time.Minute, b.Now().Sub(before))
	u.submit("/_test/ui/clock", "action", "skew", "by", "-5m").shows(t, "with an error of -5m0s")
	assert.Equal(t, -5*time.Minute, b.Reported().Sub(b.Now()))
	u.submit("/_test/ui/clock", "action", "reset").shows(t, "the real time again")
	assert.Equal(t, before, b.Now())
	assert.Equal(t, before, b.Reported())
	for _, by := range []string{"", "soon", "0s", "1"} {
		assert.Equal(t, http.StatusBadRequest, u.submit("/_test/ui/clock", "action", "advance", "by", by).Code, by)
	}
	assert.Equal(t, http.StatusBadRequest, u.submit("/_test/ui/clock", "action", "nonesuch").Code)
}

func TestTheDashboardSwitchesFaults(t *testing.T) {
	b := start(t, "strict", nil)
	u := b.visitor()
	tokens := b.login(t)
	u.submit("/_test/ui/faults", "quick", "lose").shows(t, "In force: fault on refresh at after-commit")
	assert.True(t, b.refresh(tokens.Refresh).dropped)
	assert.Equal(t, 1, b.Stats().Rotations)

	for _, quick := range []string{"drop", "503", "429", "portal", "401"} {
		assert.Equal(t, http.StatusOK, u.submit("/_test/ui/faults", "quick", quick).Code, quick)
	}
	require.Len(t, b.Unfired(), 5)
	id := b.Unfired()[0].ID()
	u.submit("/_test/ui/faults", "remove", id).shows(t, "Removed")
	assert.Len(t, b.Unfired(), 4)
	assert.Equal(t, http.StatusBadRequest, u.submit("/_test/ui/faults", "remove", id).Code)

	u.submit("/_test/ui/faults", "on", "login", "at", "before-commit", "does", "hang", "nth", "3", "times", "-1").
		shows(t, "fault on login at before-commit, from request 3")
	for _, bad := range [][]string{
		{}, {"on", "nonesuch", "does", "drop"}, {"at", "nonesuch", "does", "drop"}, {"does", "nonesuch"}, {"does", "drop", "nth", "x"},
	} {
		assert.Equal(t, http.StatusBadRequest, u.submit("/_test/ui/faults", bad...).Code, "%s", bad)
	}
	assert.Len(t, b.Unfired(), 5)
}

func TestTheDashboardRevokes(t *testing.T) {
	b := start(t, "strict", nil)
	u := b.visitor()
	one, two := b.loginOn(t, "alice", "laptop"), b.loginOn(t, "alice", "phone")
	u.submit("/_test/ui/sessions", "action", "revoke", "id", one.Session).shows(t, "The session was revoked.")
	assert.Equal(t, testserver.SessionRevoked, b.refresh(one.Refresh).outcome())
	u.submit("/_test/ui/sessions", "action", "access").shows(t, "All access tokens were revoked.")
	assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", two.Access).Code)
	assert.Equal(t, testserver.Rotated, b.refresh(two.Refresh).outcome())
	for _, bad := range [][]string{{"action", "revoke", "id", "x"}, {"action", "x"}} {
		assert.Equal(t, http.StatusBadRequest, u.submit("/_test/ui/sessions", bad...).Code, "%s", bad)
	}
}

func TestARequestCanBeCopied(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	_, err := b.Fault(testserver.Fault{On: testserver.Refresh, At: testserver.AfterCommit, Drop: true})
	require.NoError(t, err)
	b.refresh(tokens.Refresh)
	u := b.visitor()
	u.open("/_test/ui/request/1").shows(t, `-d refresh_token="$REFRESH" -d 'client_id=cli' 'http://auth.test/oauth/token'`,
		`srv.Fault(authtest.Fault{On: "refresh", At: "after-commit", Drop: true})`, "after-commit drop")
	for _, number := range []string{"2", "0", "x"} {
		assert.Equal(t, http.StatusNotFound, u.open("/_test/ui/request/"+number).Code, number)
	}
}

func TestTheDecoderSaysWhatATokenIsWorth(t *testing.T) {
	b := start(t, "firstparty", nil)
	u := b.visitor()
	tokens := b.login(t)
	u.submit("/_test/ui/decoder", "token", tokens.Access).shows(t, "An access token of this server, and good.", `"typ": "at+jwt"`, `"sub": "alice"`)
	u.submit("/_test/ui/decoder", "token", " "+tokens.Refresh+"\n").shows(t, "A refresh token of this server, and live.", `"typ": "refresh+jwt"`)
	b.refresh(tokens.Refresh)
	u.submit("/_test/ui/decoder", "token", tokens.Refresh).shows(t, "no longer live")
	b.Advance(time.Hour)
	u.submit("/_test/ui/decoder", "token", tokens.Access).shows(t, "refused: Token expired.")
	u.submit("/_test/ui/decoder", "token", b.Resign(tokens.Access, "JWT", issuer)).shows(t, "Not an access token that this server signed.")
	for _, bad := range []string{"", "a.b.c", "rt_x", "....", strings.Repeat("x", 1000)} {
		assert.Equal(t, http.StatusBadRequest, u.submit("/_test/ui/decoder", "token", bad).Code, bad)
	}
}

// Who watches does not want to see himself, and no fault locks him out.
func TestTheDashboardIsNoExchange(t *testing.T) {
	b := start(t, "strict", nil)
	_, err := b.Fault(testserver.Fault{Drop: true, Times: testserver.Forever})
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, b.visitor().open("/_test/").Code)
	assert.Empty(t, b.Exchanges(testserver.AnyEndpoint))
}

// A family that forks shows each branch; one that does not stays a list,
// however long it is.
func TestAFamilyThatForksShowsItsBranches(t *testing.T) {
	b := start(t, "grace", func(c *testserver.Config) {
		c.Profile.Replay = testserver.Replay{Mode: testserver.Fork, Window: time.Minute}
	})
	first := b.loginOn(t, "alice", "laptop")
	for range 3 {
		require.Equal(t, http.StatusOK, b.refresh(first.Refresh).Code)
	}
	body := b.visitor().open("/_test/ui/session/" + first.Session).Body.String()
	assert.Equal(t, 3, strings.Count(body, `<ol class="fork">`))
	assert.Equal(t, 3, strings.Count(body, `<div class="node active"`))

	long := b.loginOn(t, "alice", "phone")
	for range 250 {
		_, long.Refresh = b.refresh(long.Refresh).tokens()
	}
	body = b.visitor().open("/_test/ui/session/" + long.Session).Body.String()
	assert.Equal(t, 200, strings.Count(body, `<div class="node`))
	assert.Equal(t, 1, strings.Count(body, `<div class="node active"`), "the newest are shown")
	assert.NotContains(t, body, `<ol class="fork">`)
	assert.Contains(t, body, "51 older ones are not shown.")
}

func TestTheDashboardSwitchesTheProfile(t *testing.T) {
	b := start(t, "strict", nil)
	u := b.visitor()
	u.submit("/_test/ui/profile", "profile", "grace").shows(t, "The server is grace from now on.", `<option selected>grace`)
	assert.Equal(t, http.StatusBadRequest, u.submit("/_test/ui/profile", "profile", "nonesuch").Code)
	tokens := b.login(t)
	b.refresh(tokens.Refresh)
	assert.Equal(t, testserver.ReplayedSame, b.refresh(tokens.Refresh).outcome())
}

// The dashboard is for whoever may use the control plane, and a name that
// somebody else gave this machine does not count (DNS rebinding).
func TestTheDashboardIsForThisMachineOrTheKey(t *testing.T) {
	const key = "the-key-that-was-printed"
	for _, keyed := range []bool{false, true} {
		b := start(t, "strict", func(c *testserver.Config) {
			if keyed {
				c.ControlKey = key
			}
		})
		tokens := b.login(t)
		u := b.visitor()
		u.from = "192.0.2.7:4711"
		for _, path := range []string{"/_test/", "/_test/ui/decoder", "/_test/ui/session/" + tokens.Session} {
			a := u.open(path)
			assert.Equal(t, http.StatusForbidden, a.Code, path)
			assert.NotContains(t, a.Body.String(), tokens.Session, path)
		}
		assert.Equal(t, http.StatusForbidden, u.submit("/_test/ui/sessions", "action", "access").Code)
		assert.Equal(t, http.StatusForbidden, u.submit("/_test/ui/key", "key", "").Code)
		assert.Equal(t, http.StatusForbidden, u.submit("/_test/ui/key", "key", "guess").Code)
		a := u.submit("/_test/ui/key", "key", key)
		if !keyed {
			assert.Equal(t, http.StatusForbidden, a.Code)
			continue
		}
		assert.Equal(t, http.StatusSeeOther, a.Code)
		assert.NotContains(t, a.Header().Get("Set-Cookie"), key)
		u.open("/_test/").shows(t, tokens.Session)

		rebound := b.visitor()
		r := request(http.MethodGet, "/_test/", "", "")
		r.Host = "evil.example"
		assert.Equal(t, http.StatusForbidden, rebound.send(r).Code)
	}
}
