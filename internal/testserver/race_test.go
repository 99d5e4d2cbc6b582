package testserver_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

const (
	racers = 32
	rounds = 8
)

// race presents one token many times at once.
func race(b bench, token string, during func()) []answer {
	answers := make([]answer, racers)
	var ready, wg sync.WaitGroup
	ready.Add(racers)
	for i := range answers {
		wg.Go(func() {
			ready.Done()
			ready.Wait()
			answers[i] = b.refresh(token)
		})
	}
	if during != nil {
		during()
	}
	wg.Wait()
	return answers
}

func tally(answers []answer) map[testserver.Outcome]int {
	out := make(map[testserver.Outcome]int)
	for _, a := range answers {
		out[a.outcome()]++
	}
	return out
}

// Guards the session's lock around Decide and the commit in redeem.
func TestOnAStrictServerARaceHasOneWinnerWhoLosesAll(t *testing.T) {
	b := start(t, "strict", nil)
	for range rounds {
		token := b.login(t).Refresh
		answers := race(b, token, nil)
		assert.Equal(t, map[testserver.Outcome]int{
			testserver.Rotated: 1, testserver.ReuseDetected: 1, testserver.SessionRevoked: racers - 2,
		}, tally(answers))
		for _, a := range answers {
			if a.outcome() == testserver.Rotated {
				access, refresh := a.tokens()
				assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", access).Code)
				assert.Equal(t, testserver.SessionRevoked, b.refresh(refresh).outcome())
			}
		}
		assert.Equal(t, racers, b.Redemptions(token))
	}
	assert.Equal(t, rounds, b.Stats().FamiliesRevoked)
	assert.Equal(t, racers, b.MaxRedemptions())
}

// Guards the same lock, and the derivation of the child from its parent.
func TestInTheGraceARaceEndsInOneChildForAll(t *testing.T) {
	b := start(t, "grace", nil)
	token := b.login(t).Refresh
	for range rounds {
		answers := race(b, token, nil)
		assert.Equal(t, map[testserver.Outcome]int{
			testserver.Rotated: 1, testserver.ReplayedSame: racers - 1,
		}, tally(answers))
		_, child := answers[0].tokens()
		for _, a := range answers {
			access, same := a.tokens()
			assert.Equal(t, child, same)
			assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
		}
		token = child
	}
	stats := b.Stats()
	assert.Equal(t, rounds, stats.Rotations)
	assert.Equal(t, rounds*(racers-1), stats.Replays)
	assert.Zero(t, stats.FamiliesRevoked)
}

// Guards that a revocation takes the same lock as a refresh.
func TestARevocationInTheMiddleOfARaceLeavesNothingAlive(t *testing.T) {
	b := start(t, "grace", nil)
	for range rounds {
		tokens := b.login(t)
		answers := race(b, tokens.Refresh, func() { b.RevokeSession(tokens.Session, "admin") })
		for _, a := range append(answers, b.refresh(tokens.Refresh)) {
			access, refresh := a.tokens()
			if refresh == "" {
				assert.Equal(t, testserver.SessionRevoked, a.outcome())
				continue
			}
			assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", access).Code)
			assert.Equal(t, testserver.SessionRevoked, b.refresh(refresh).outcome())
		}
	}
	assert.Equal(t, rounds, b.Stats().SessionsRevoked)
}

func TestARefreshThatARevocationOvertookMintsNothing(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	gate := b.Gate(testserver.Refresh, testserver.BeforeCommit)
	late := make(chan answer)
	go func() { late <- b.refresh(tokens.Refresh) }()
	require.NoError(t, gate.Wait(t.Context(), 1))
	b.RevokeSession(tokens.Session, "admin")
	gate.ReleaseAll()
	assert.Equal(t, testserver.SessionRevoked, (<-late).outcome())
	assert.Zero(t, b.Stats().Rotations)
	assert.Equal(t, "admin", b.sessions(t, "alice")[0].Ended)
}

func TestAGateLetsATestChooseWhoWins(t *testing.T) {
	b := start(t, "strict", nil)
	token := b.login(t).Refresh
	gate := b.Gate(testserver.Refresh, testserver.BeforeCommit)
	var answers [2]chan answer
	for i := range answers {
		answers[i] = make(chan answer, 1)
		go func() { answers[i] <- b.refresh(token) }()
		require.NoError(t, gate.Wait(t.Context(), i+1))
	}
	require.True(t, gate.ReleaseOne())
	assert.Equal(t, testserver.Rotated, (<-answers[0]).outcome())
	require.True(t, gate.ReleaseOne())
	assert.Equal(t, testserver.ReuseDetected, (<-answers[1]).outcome())
	assert.False(t, gate.ReleaseOne(), "nobody is left")
	gate.ReleaseAll()
	assert.Equal(t, testserver.SessionRevoked, b.refresh(token).outcome(), "an open gate holds nobody")
}

func TestAGateThatNobodyReachesIsNotWaitedForForEver(t *testing.T) {
	b := start(t, "strict", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := b.Gate(testserver.API, "").Wait(ctx, 1)
	require.ErrorIs(t, err, context.Canceled)
	assert.EqualError(t, err, "testserver: 0 of 1 requests at the gate: context canceled")
}

func TestClosingTheServerAbortsWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, "strict", func(c *testserver.Config) { c.TokenDelay = time.Hour })
		gate := b.Gate(testserver.API, testserver.BeforeHandler)
		held, delayed := make(chan answer, 1), make(chan answer, 1)
		go func() { held <- b.get("/api/me", "") }()
		go func() { delayed <- b.refresh("rt_garbage") }()
		require.NoError(t, gate.Wait(t.Context(), 1))
		synctest.Wait()

		b.Close()
		assert.True(t, (<-held).dropped)
		assert.True(t, (<-delayed).dropped)
		assert.True(t, b.get("/api/me", "").dropped, "a closed server takes no more requests")
	})
}

// Guards that the commit takes no context: with one, "the client is gone"
// would become "nothing happened".
func TestAClientThatLeavesDoesNotUndoTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, "strict", func(c *testserver.Config) { c.TokenDelay = time.Hour })
		token := b.login(t).Refresh
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		b.refreshAs(ctx, token)
		assert.Equal(t, time.Second, time.Since(began), "nobody waits for the rest of the delay")
		assert.Equal(t, 1, b.Stats().Rotations)
		assert.Equal(t, testserver.ReuseDetected, b.refresh(token).outcome())
		assert.Empty(t, b.rules(), "it had to try: it never got its answer")
	})
}
