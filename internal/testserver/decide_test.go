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
		{"the hard end before all else", strict, everything, testserver.SessionExpired},
		{"an ended session before its user", strict,
			but(everything, func(p *testserver.Presented) { p.Absolute = now.Add(1) }), testserver.SessionRevoked},
		{"a disabled user before the version", strict,
			but(everything, func(p *testserver.Presented) { p.Absolute, p.Ended = now.Add(1), false }), testserver.UserDisabled},
		{"a version before the idle end", strict,
			but(everything, func(p *testserver.Presented) { p.Absolute, p.Ended, p.Disabled = now.Add(1), false, false }), testserver.VersionBumped},
		{"the idle end before reuse", strict,
			but(retired(time.Hour), func(p *testserver.Presented) { p.Expires = now }), testserver.TokenExpired},
		{"a token whose sibling took its place", strict,
			with(func(p *testserver.Presented) { p.Revoked = true }), testserver.TokenRevoked},
		{"a token that a server whose clock is ahead has issued", strict,
			with(func(p *testserver.Presented) { p.Issued = now.Add(time.Second) }), testserver.Rotated},
		{"a moment before the idle end", strict,
			with(func(p *testserver.Presented) { p.Expires = now.Add(1) }), testserver.Rotated},
		{"a moment before the hard end", strict,
			with(func(p *testserver.Presented) { p.Absolute = now.Add(1) }), testserver.Rotated},
	})
}

// modes are the columns of the table of situations; each is judged with a
// window of ten seconds.
func modes() []testserver.Mode {
	return []testserver.Mode{
		testserver.Strict, testserver.Same, testserver.Fork,
		testserver.Replace, testserver.AccessOnly, testserver.Reject,
	}
}

func replaying(m testserver.Mode, change func(*testserver.Replay)) testserver.Policy {
	r := testserver.Replay{Mode: m, Window: 10 * time.Second}
	if change != nil {
		change(&r)
	}
	return testserver.Policy{Replay: r}
}

// used is a retired token whose child was redeemed, too.
func used(age time.Duration) testserver.Presented {
	return but(retired(age), func(p *testserver.Presented) { p.ChildRetired, p.Ancestor = true, true })
}

func TestARetiredTokenIsJudgedByTheReplayMode(t *testing.T) {
	const reuse, refused = testserver.ReuseDetected, testserver.ReplayRefused
	for _, row := range []struct {
		name  string
		facts testserver.Presented
		want  [6]testserver.Outcome // by mode
	}{
		{"at once", retired(0), [6]testserver.Outcome{reuse, testserver.ReplayedSame, testserver.Forked, testserver.Replaced, testserver.OnlyAccess, refused}},
		{"a moment before the window closes", retired(10*time.Second - 1),
			[6]testserver.Outcome{reuse, testserver.ReplayedSame, testserver.Forked, testserver.Replaced, testserver.OnlyAccess, refused}},
		{"as the window closes", retired(10 * time.Second), [6]testserver.Outcome{reuse, reuse, reuse, reuse, reuse, refused}},
		{"after its child was used", used(0), [6]testserver.Outcome{reuse, reuse, reuse, reuse, reuse, refused}},
	} {
		for i, mode := range modes() {
			assert.Equal(t, row.want[i], testserver.Decide(replaying(mode, nil), row.facts, noon()), "mode %d: %s", i, row.name)
		}
	}
}

func TestTheWindowClosesAsThePolicySays(t *testing.T) {
	fork := func(change func(*testserver.Replay)) testserver.Policy { return replaying(testserver.Fork, change) }
	always := fork(func(r *testserver.Replay) { r.Window = testserver.Always })
	onUse := fork(func(r *testserver.Replay) { r.CloseOnChildUse = true })
	onAccess := fork(func(r *testserver.Replay) { r.CloseOnAccess = true })
	ancestors := fork(func(r *testserver.Replay) { r.AnyAncestor = true })
	ancestorsLater := fork(func(r *testserver.Replay) {
		r.AnyAncestor, r.Window, r.AncestorWindow = true, testserver.Always, time.Second
	})
	branched := but(retired(0), func(p *testserver.Presented) { p.ChildRetired = true }) // another child is still live
	seen := but(retired(0), func(p *testserver.Presented) { p.ChildSeen = true })
	check(t, noon(), []decision{
		{"no time closes it", always, retired(time.Hour - 1), testserver.Forked},
		{"but use of the child does", always, used(0), testserver.ReuseDetected},
		{"one child used, another live", fork(nil), branched, testserver.Forked},
		{"one child used, and that closes it", onUse, branched, testserver.ReuseDetected},
		{"the child's access token used", fork(nil), seen, testserver.Forked},
		{"the child's access token used, and that closes it", onAccess, seen, testserver.ReuseDetected},
		{"a grandparent", fork(nil), used(0), testserver.ReuseDetected},
		{"a grandparent, where any ancestor will do", ancestors, used(0), testserver.Forked},
		{"a grandparent, too late", ancestors, used(10 * time.Second), testserver.ReuseDetected},
		{"a grandparent in its own window", ancestorsLater, used(time.Second - 1), testserver.Forked},
		{"a grandparent out of its own window", ancestorsLater, used(time.Second), testserver.ReuseDetected},
		{"a parent outside the window of the others", ancestorsLater, retired(time.Minute), testserver.Forked},
	})
}

func TestOneReplayTooManyIsRefusedOrReuse(t *testing.T) {
	at := func(n int) testserver.Presented {
		return but(retired(0), func(p *testserver.Presented) { p.Replays = n })
	}
	limited := func(o testserver.OverMax) testserver.Policy {
		return replaying(testserver.Same, func(r *testserver.Replay) { r.Max, r.OverMax = 2, o })
	}
	check(t, noon(), []decision{
		{"the last one allowed", limited(testserver.RefuseOnly), at(1), testserver.ReplayedSame},
		{"one too many", limited(testserver.RefuseOnly), at(2), testserver.ReplayRefused},
		{"one too many, as reuse", limited(testserver.TakenAsReuse), at(2), testserver.ReuseDetected},
		{"too late, before it is counted", limited(testserver.RefuseOnly), but(at(2), func(p *testserver.Presented) {
			p.RetiredAt = noon().Add(-time.Minute)
		}), testserver.ReuseDetected},
	})
}

func TestTheLoserOfARaceIsToldWhatThePolicySays(t *testing.T) {
	raced := func(waited time.Duration) testserver.Presented {
		return but(retired(0), func(p *testserver.Presented) { p.Raced, p.Waited = true, waited })
	}
	loser := func(m testserver.Mode, l testserver.RaceLoser) testserver.Policy {
		return replaying(m, func(r *testserver.Replay) { r.RaceLoser = l })
	}
	patient := replaying(testserver.Same, func(r *testserver.Replay) {
		r.RaceLoser, r.RaceWait = testserver.Conflict409, 5*time.Second
	})
	check(t, noon(), []decision{
		{"it waits, and is reuse", loser(testserver.Strict, testserver.Wait), raced(0), testserver.ReuseDetected},
		{"it waits, and is answered", loser(testserver.Same, testserver.Wait), raced(0), testserver.ReplayedSame},
		{"a hint to retry", loser(testserver.Strict, testserver.RetryHint400), raced(0), testserver.RaceRetry},
		{"a conflict", loser(testserver.Same, testserver.Conflict409), raced(0), testserver.RaceConflict},
		{"an error", loser(testserver.Fork, testserver.Error500), raced(0), testserver.RaceFailed},
		{"the winner dies", loser(testserver.Same, testserver.WinnerDies), raced(0), testserver.ReuseDetected},
		{"the loser alone is refused", loser(testserver.Strict, testserver.LoserRefused), raced(0), testserver.ReplayRefused},
		{"a dud", loser(testserver.Reject, testserver.Dud), raced(0), testserver.Replaced},
		{"who comes later is no loser of a race", loser(testserver.Strict, testserver.RetryHint400), retired(0), testserver.ReuseDetected},
		{"the loser waits for the row", patient, raced(5*time.Second - 1), testserver.ReplayedSame},
		{"the loser waited too long", patient, raced(5 * time.Second), testserver.RaceConflict},
	})
}

func TestATokenIsHeldUntilItIsOldEnough(t *testing.T) {
	aged := func(age time.Duration) testserver.Presented {
		return with(func(p *testserver.Presented) { p.Issued = noon().Add(-age) })
	}
	hold := func(d time.Duration, untold bool) testserver.Policy {
		return testserver.Policy{MaxRefreshes: 3, Replay: testserver.Replay{Hold: d, HoldUntold: untold}}
	}
	check(t, noon(), []decision{
		{"a young token", hold(time.Second, false), aged(time.Second - 1), testserver.Kept},
		{"one that is old enough", hold(time.Second, false), aged(time.Second), testserver.Rotated},
		{"no rotation ever", hold(testserver.Always, false), aged(time.Hour), testserver.Kept},
		{"no rotation, and none is told", hold(testserver.Always, true), aged(time.Hour), testserver.OnlyAccess},
		{"the count of refreshes holds here, too", hold(testserver.Always, false),
			but(aged(0), func(p *testserver.Presented) { p.Refreshes = 3 }), testserver.MaxRefreshes},
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
