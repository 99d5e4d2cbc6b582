package testserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// startWith is a server with a policy of its own.
func startWith(t *testing.T, r testserver.Replay) bench {
	t.Helper()
	return start(t, "", func(c *testserver.Config) { c.Profile = testserver.Profile{Name: "custom", Replay: r} })
}

// columns are the modes, each with a window of ten seconds.
func columns() []testserver.Replay {
	modes := []testserver.Mode{
		testserver.Strict, testserver.Same, testserver.Fork,
		testserver.Replace, testserver.AccessOnly, testserver.Reject,
	}
	out := make([]testserver.Replay, len(modes))
	for i, m := range modes {
		out[i] = testserver.Replay{Mode: m, Window: 10 * time.Second, CloseOnChildUse: true, AlsoAccess: true}
	}
	return out
}

// byColumn is a row of the table: what comes of a situation in every mode.
type byColumn [6]string

func (row byColumn) check(t *testing.T, situation func(t *testing.T, b bench) string) {
	t.Helper()
	names := []string{"strict", "same", "fork", "replace", "access only", "reject"}
	for i, r := range columns() {
		t.Run(names[i], func(t *testing.T) {
			assert.Equal(t, row[i], situation(t, startWith(t, r)))
		})
	}
}

// inOrder races two presentations of a token: both have passed the checks
// before the first one commits.
func inOrder(t *testing.T, b bench, token string) (winner, loser answer) {
	t.Helper()
	return inOrderBy(t, b, oauth(), token, nil)
}

// inOrderBy is inOrder in a dialect, with something happening in between.
func inOrderBy(t *testing.T, b bench, d dialect, token string, between func()) (winner, loser answer) {
	t.Helper()
	gate := b.Gate(testserver.Refresh, testserver.BeforeCommit)
	var answers [2]chan answer
	for i := range answers {
		answers[i] = make(chan answer, 1)
		go func() { answers[i] <- b.do(d.request(token)) }()
		require.NoError(t, gate.Wait(t.Context(), i+1))
	}
	require.True(t, gate.ReleaseOne())
	winner = <-answers[0]
	if between != nil {
		between()
	}
	gate.ReleaseAll()
	return winner, <-answers[1]
}

// aftermath tells what two answers are worth: whether their access tokens
// work, and what their refresh tokens earn, those of the first one first.
func aftermath(b bench, answers ...answer) string {
	story := ""
	for _, a := range answers {
		story += " " + string(a.outcome())
	}
	told := ""
	for _, a := range answers {
		access, refresh := a.tokens()
		if access == "" {
			continue
		}
		story += " | access"
		if b.get("/api/me", access).Code != http.StatusOK {
			story += " dead"
		}
		switch refresh {
		case "":
			story += ", no refresh"
		case told:
			story += ", the same refresh"
		default:
			story += ", refresh " + string(b.refresh(refresh).outcome())
		}
		told = refresh
	}
	return story[1:]
}

func TestTwoAtOnceInEveryMode(t *testing.T) {
	byColumn{
		"rotated reuse_detected | access dead, refresh session_revoked",
		"rotated replayed_same | access, refresh rotated | access, the same refresh",
		"rotated forked | access, refresh rotated | access, refresh rotated",
		"rotated replaced | access, refresh token_revoked | access, refresh rotated",
		"rotated access_only | access, refresh rotated | access, no refresh",
		"rotated replay_refused | access, refresh rotated",
	}.check(t, func(t *testing.T, b bench) string {
		winner, loser := inOrder(t, b, b.login(t).Refresh)
		return aftermath(b, winner, loser)
	})
}

func TestALostAnswerThatIsAskedForAgainInEveryMode(t *testing.T) {
	byColumn{
		"reuse_detected",
		"replayed_same | access, refresh rotated",
		"forked | access, refresh rotated",
		"replaced | access, refresh rotated",
		"access_only | access, no refresh",
		"replay_refused",
	}.check(t, func(t *testing.T, b bench) string {
		token := b.login(t).Refresh
		b.fault(t, testserver.Fault{On: testserver.Refresh, At: testserver.AfterCommit, Drop: true})
		require.True(t, b.refresh(token).dropped)
		b.Advance(10*time.Second - 1)
		again := b.refresh(token)
		assert.Empty(t, b.rules(), "who lost an answer may ask again")
		return aftermath(b, again)
	})
}

func TestARetryThatComesTooLateInEveryMode(t *testing.T) {
	const reuse = "rotated reuse_detected | access dead, refresh session_revoked"
	byColumn{reuse, reuse, reuse, reuse, reuse, "rotated replay_refused | access, refresh rotated"}.
		check(t, func(t *testing.T, b bench) string {
			token := b.login(t).Refresh
			first := b.refresh(token)
			b.Advance(10 * time.Second)
			return aftermath(b, first, b.refresh(token))
		})
}

func TestARetryAfterTheChildWasUsedInEveryMode(t *testing.T) {
	const reuse = "rotated rotated reuse_detected | access dead, refresh session_revoked | access dead, refresh session_revoked"
	byColumn{reuse, reuse, reuse, reuse, reuse, "rotated rotated replay_refused | access, refresh replay_refused | access, refresh rotated"}.
		check(t, func(t *testing.T, b bench) string {
			token := b.login(t).Refresh
			first := b.refresh(token)
			_, child := first.tokens()
			return aftermath(b, first, b.refresh(child), b.refresh(token))
		})
}

func TestAGrandparentInEveryMode(t *testing.T) {
	const reuse = "reuse_detected"
	row := byColumn{reuse, reuse, reuse, reuse, reuse, "replay_refused"}
	for i, r := range columns() {
		r.CloseOnChildUse = false // what closes it is that its children are gone
		b := startWith(t, r)
		grandparent := b.login(t).Refresh
		_, parent := b.refresh(grandparent).tokens()
		b.refresh(parent)
		assert.Equal(t, row[i], string(b.refresh(grandparent).outcome()), i)
	}
}

func TestAnyAncestorIsToldTheLiveTokenWhereThePolicySaysSo(t *testing.T) {
	b := startWith(t, testserver.Replay{Mode: testserver.Same, Window: time.Minute, AnyAncestor: true, AncestorWindow: time.Second})
	first := b.login(t).Refresh
	_, second := b.refresh(first).tokens()
	_, third := b.refresh(second).tokens()
	for _, old := range []string{first, second} {
		got := b.refresh(old)
		assert.Equal(t, testserver.ReplayedSame, got.outcome())
		_, live := got.tokens()
		assert.Equal(t, third, live)
	}
	b.Advance(time.Second)
	assert.Equal(t, testserver.ReplayedSame, b.refresh(second).outcome(), "the parent has a window of its own")
	assert.Equal(t, testserver.ReuseDetected, b.refresh(first).outcome())
}

func TestOneReplayTooMany(t *testing.T) {
	for _, mode := range []testserver.Mode{testserver.Same, testserver.Fork, testserver.Replace, testserver.AccessOnly} {
		for over, want := range map[testserver.OverMax]testserver.Outcome{
			testserver.RefuseOnly: testserver.ReplayRefused, testserver.TakenAsReuse: testserver.ReuseDetected,
		} {
			b := startWith(t, testserver.Replay{Mode: mode, Window: testserver.Always, Max: 2, OverMax: over, AlsoAccess: true})
			token := b.login(t)
			b.refresh(token.Refresh)
			for range 2 {
				assert.Equal(t, http.StatusOK, b.refresh(token.Refresh).Code)
			}
			assert.Equal(t, want, b.refresh(token.Refresh).outcome())
			alive := b.get("/api/me", token.Access).Code == http.StatusOK
			assert.Equal(t, over == testserver.RefuseOnly, alive, "a refusal ends nothing")
			assert.Equal(t, 2, b.Stats().Replays)
		}
	}
}

func TestTheWindowClosesWhenTheChildsAccessTokenIsUsed(t *testing.T) {
	for _, mode := range []testserver.Mode{testserver.Same, testserver.Fork, testserver.Replace} {
		b := startWith(t, testserver.Replay{Mode: mode, Window: testserver.Always, CloseOnAccess: true})
		parent := b.login(t)
		require.Equal(t, http.StatusOK, b.get("/api/me", parent.Access).Code, "the parent's own does not count")
		access, _ := b.refresh(parent.Refresh).tokens()
		assert.True(t, b.refresh(parent.Refresh).outcome() != testserver.ReuseDetected, "nobody has used the child")
		require.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
		assert.Equal(t, testserver.ReuseDetected, b.refresh(parent.Refresh).outcome())
	}
}

func TestSiblingsAreFamiliesOfTheirOwnUntilReuseEndsThemAll(t *testing.T) {
	b := startWith(t, testserver.Replay{Mode: testserver.Fork, Window: 10 * time.Second, AlsoAccess: true})
	root := b.login(t).Refresh
	var tips []string
	for range 3 {
		_, tip := b.refresh(root).tokens()
		tips = append(tips, tip)
	}
	for i, tip := range tips {
		_, tips[i] = b.refresh(tip).tokens()
		require.NotEmpty(t, tips[i])
	}
	assert.Equal(t, 4, b.Stats().Rotations)
	assert.Equal(t, 2, b.Stats().Replays)
	b.Advance(10 * time.Second)
	assert.Equal(t, testserver.ReuseDetected, b.refresh(root).outcome())
	for _, tip := range tips {
		assert.Equal(t, testserver.SessionRevoked, b.refresh(tip).outcome())
	}
	assert.Equal(t, 1, b.Stats().FamiliesRevoked)
}
