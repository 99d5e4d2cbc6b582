package testserver_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func (b bench) fault(t *testing.T, f testserver.Fault) *testserver.Rule {
	t.Helper()
	r, err := b.Fault(f)
	require.NoError(t, err)
	return r
}

func TestALostResponseIsRecoveredFromInTheGraceAndFatalOnAStrictServer(t *testing.T) {
	for profile, want := range map[string]testserver.Outcome{
		"strict": testserver.ReuseDetected, "firstparty": testserver.ReuseDetected, "grace": testserver.ReplayedSame,
	} {
		for _, d := range dialects() {
			t.Run(profile+"/"+d.name, func(t *testing.T) {
				b := start(t, profile, nil)
				rule := b.fault(t, testserver.Fault{On: testserver.Refresh, At: testserver.AfterCommit, Drop: true})
				token := b.login(t).Refresh
				require.True(t, b.do(d.request(token)).dropped)
				require.Equal(t, 1, rule.Fired())
				assert.Equal(t, 1, b.Stats().Rotations, "the server has rotated")
				assert.Equal(t, want, b.do(d.request(token)).outcome())
				assert.Empty(t, b.rules(), "presenting the token again was the right thing to do")
				assert.Equal(t, 2, b.Redemptions(token))
			})
		}
	}
}

func TestADropBeforeTheCommitLeavesTheTokenUnspent(t *testing.T) {
	for _, at := range []testserver.Stage{"", testserver.BeforeHandler, testserver.BeforeCommit} {
		b := start(t, "strict", nil)
		b.fault(t, testserver.Fault{On: testserver.Refresh, At: at, Drop: true})
		token := b.login(t).Refresh
		require.True(t, b.refresh(token).dropped)
		assert.Zero(t, b.Stats().Rotations)
		assert.Equal(t, testserver.Rotated, b.refresh(token).outcome())
		assert.Equal(t, 2, b.Stats().RefreshRequests, "what was dropped has arrived all the same")
	}
}

func TestAFaultAnswersInPlaceOfTheServer(t *testing.T) {
	b := start(t, "strict", nil)
	b.fault(t, testserver.Fault{On: testserver.Refresh, Answer: &testserver.Answer{
		Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"7"}}, Body: "down", Pad: 70_000,
	}})
	token := b.login(t).Refresh
	got := b.refresh(token)
	assert.Equal(t, http.StatusServiceUnavailable, got.Code)
	assert.Equal(t, "7", got.Header().Get("Retry-After"))
	assert.Equal(t, "down"+strings.Repeat(" ", 70_000), got.Body.String())
	assert.Equal(t, testserver.Rotated, b.refresh(token).outcome(), "the token was not spent")
}

func TestAFaultEditsTheServersOwnAnswer(t *testing.T) {
	b := start(t, "strict", nil)
	b.fault(t, testserver.Fault{On: testserver.Refresh, At: testserver.AfterCommit, Rewrite: func(a testserver.Answer) testserver.Answer {
		a.Body = strings.Replace(a.Body, `"expires_in":900`, `"expires_in":"900"`, 1)
		return a
	}})
	token := b.login(t).Refresh
	got := b.refresh(token)
	assert.Equal(t, "900", got.field("expires_in"))
	_, child := got.tokens()
	assert.Equal(t, testserver.Rotated, b.refresh(child).outcome())
	b.refresh(token)
	assert.Equal(t, []string{testserver.RefreshReused}, b.rules(), "the child was in the edited answer")
}

func TestATokenWhoseSuccessorWasLeftOutMayComeBack(t *testing.T) {
	b := start(t, "grace", nil)
	b.fault(t, testserver.Fault{On: testserver.Refresh, At: testserver.AfterCommit, Answer: &testserver.Answer{Body: `{"access_token":"x"}`}})
	token := b.login(t).Refresh
	b.refresh(token)
	assert.Equal(t, testserver.ReplayedSame, b.refresh(token).outcome())
	assert.Empty(t, b.rules())
	b.refresh(token)
	assert.Equal(t, []string{testserver.RefreshReused}, b.rules(), "the second answer did arrive")
}

func TestATokenWhoseSuccessorWasCutOffMayComeBack(t *testing.T) {
	b := start(t, "grace", nil)
	b.fault(t, testserver.Fault{On: testserver.Refresh, At: testserver.AfterCommit, Rewrite: func(a testserver.Answer) testserver.Answer {
		a.Header.Set("Content-Length", "100000")
		return a
	}})
	token := b.login(t).Refresh
	b.refresh(token)
	b.refresh(token)
	assert.Empty(t, b.rules())
}

func TestAFaultHitsTheRequestsItNames(t *testing.T) {
	b := start(t, "strict", nil)
	access := b.login(t).Access
	teapot := &testserver.Answer{Status: http.StatusTeapot}
	rule := b.fault(t, testserver.Fault{On: testserver.API, Path: "/api/me", Nth: 2, Times: 2, Answer: teapot})
	never := b.fault(t, testserver.Fault{On: testserver.Revoke, Drop: true})
	var got []int
	for range 5 {
		b.get("/api/echo", access)
		got = append(got, b.get("/api/me", access).Code)
	}
	assert.Equal(t, []int{200, 418, 418, 200, 200}, got)
	assert.Equal(t, 2, rule.Fired())
	assert.Equal(t, []*testserver.Rule{never}, b.Unfired())
	never.Remove()
	assert.Empty(t, b.Unfired())

	b.fault(t, testserver.Fault{Times: testserver.Forever, Answer: teapot})
	for range 3 {
		assert.Equal(t, http.StatusTeapot, b.get("/api/echo", access).Code)
	}
}

func TestADelayPassesOnTheClockOfTheBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, "strict", nil)
		b.fault(t, testserver.Fault{On: testserver.API, Delay: time.Minute})
		began := time.Now()
		assert.Equal(t, http.StatusOK, b.get("/api/me", b.login(t).Access).Code)
		assert.Equal(t, time.Minute, time.Since(began))
	})
}

func TestAFaultThatMakesNoSenseIsRefused(t *testing.T) {
	b := start(t, "strict", nil)
	for name, f := range map[string]testserver.Fault{
		"testserver: fault: one of Drop, Reset, Hang, Twice, Overtaken, Answer, Edit and Rewrite, or a Delay or Do": {},
		`testserver: fault: no endpoint "token"`:                                             {On: "token", Drop: true},
		`testserver: fault: no stage "later"`:                                                {At: "later", Drop: true},
		"testserver: fault: Nth, Every, Times, Delay, Jitter and Bytes must not be negative": {Nth: -1, Drop: true},
		"testserver: fault: status 42":                                                       {Answer: &testserver.Answer{Status: 42}},
		"testserver: fault: Rewrite needs the finished answer: set At to AfterCommit or Rewriting": {
			Rewrite: func(a testserver.Answer) testserver.Answer { return a },
		},
	} {
		_, err := b.Fault(f)
		assert.EqualError(t, err, name)
	}
	_, err := b.Fault(testserver.Fault{Drop: true, Answer: &testserver.Answer{}})
	assert.Error(t, err)
}
