package testserver_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// decision is one row: the facts, and what they come to.
type decision struct {
	name   string
	policy testserver.Policy
	facts  testserver.Presented
	want   testserver.Outcome
}

func check(t *testing.T, now time.Time, rows []decision) {
	t.Helper()
	for _, row := range rows {
		assert.Equal(t, row.want, testserver.Decide(row.policy, row.facts, now), row.name)
	}
}

// noon is when the rows are decided.
func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

// with is a live token of a live session, changed.
func with(change func(*testserver.Presented)) testserver.Presented {
	p := testserver.Presented{Known: true, Absolute: noon().Add(time.Hour), Expires: noon().Add(time.Minute)}
	change(&p)
	return p
}

// retired is a token that was rotated away so long ago.
func retired(age time.Duration) testserver.Presented {
	return with(func(p *testserver.Presented) { p.Retired, p.RetiredAt = true, noon().Add(-age) })
}

func but(p testserver.Presented, change func(*testserver.Presented)) testserver.Presented {
	change(&p)
	return p
}

func TestTheDecisionFollowsTheOrderOfChecks(t *testing.T) {
	now, strict := noon(), testserver.Policy{}
	everything := with(func(p *testserver.Presented) {
		p.Ended, p.Disabled, p.Outdated, p.Retired = true, true, true, true
		p.Absolute, p.Expires = now, now
	})
	check(t, now, []decision{
		{"a token nobody issued", strict, testserver.Presented{}, testserver.Unknown},
		{"a live token", strict, with(func(*testserver.Presented) {}), testserver.Rotated},
		{"an ended session before all else", strict, everything, testserver.SessionRevoked},
		{"a disabled user before the version", strict,
			but(everything, func(p *testserver.Presented) { p.Ended = false }), testserver.UserDisabled},
		{"a version before the hard end", strict,
			but(everything, func(p *testserver.Presented) { p.Ended, p.Disabled = false, false }), testserver.VersionBumped},
		{"the hard end before the idle end", strict,
			but(everything, func(p *testserver.Presented) { p.Ended, p.Disabled, p.Outdated = false, false, false }), testserver.SessionExpired},
		{"the idle end before reuse", strict,
			but(retired(time.Hour), func(p *testserver.Presented) { p.Expires = now }), testserver.TokenExpired},
		{"a moment before the idle end", strict,
			with(func(p *testserver.Presented) { p.Expires = now.Add(1) }), testserver.Rotated},
		{"a moment before the hard end", strict,
			with(func(p *testserver.Presented) { p.Absolute = now.Add(1) }), testserver.Rotated},
	})
}

func TestARetiredTokenIsJudgedByTheReplayMode(t *testing.T) {
	strict := testserver.Policy{}
	same := testserver.Policy{Replay: testserver.Replay{Mode: testserver.Same, Window: 10 * time.Second}}
	check(t, noon(), []decision{
		{"strict: a retired token at once", strict, retired(0), testserver.ReuseDetected},
		{"same: a retired token at once", same, retired(0), testserver.ReplayedSame},
		{"same: a moment before the window closes", same, retired(10*time.Second - 1), testserver.ReplayedSame},
		{"same: as the window closes", same, retired(10 * time.Second), testserver.ReuseDetected},
		{"same: after the child was used", same,
			but(retired(0), func(p *testserver.Presented) { p.ChildRetired = true }), testserver.ReuseDetected},
	})
}

func TestTheCountOfRefreshesIsForLiveTokens(t *testing.T) {
	limited := testserver.Policy{MaxRefreshes: 3}
	check(t, noon(), []decision{
		{"the last refresh allowed", limited, with(func(p *testserver.Presented) { p.Refreshes = 2 }), testserver.Rotated},
		{"one refresh too many", limited, with(func(p *testserver.Presented) { p.Refreshes = 3 }), testserver.MaxRefreshes},
		{"reuse is reuse, whatever the count", limited,
			but(retired(0), func(p *testserver.Presented) { p.Refreshes = 3 }), testserver.ReuseDetected},
	})
}
