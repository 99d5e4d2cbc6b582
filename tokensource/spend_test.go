package tokensource_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Guards rule 6: mark in spend.
func TestTheRecordSaysThatATokenIsBeingSpentBeforeTheRequestLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		var marked bool
		r.before = func(context.Context, int) error { marked = stored(t, store).Marked; return nil }
		_, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.True(t, marked, "during the request")
		assert.False(t, stored(t, store).Marked, "after it")
	})
}

// Guards rule 6: the return on mark's error in spend.
func TestAStoreThatCannotBeWrittenIsFoundOutBeforeTheTokenIsSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		store.swap = func(context.Context, []byte) error { return errDisk }
		_, err := s.Token(t.Context())
		assert.Equal(t, tokensource.ReasonStore, typed(t, err).Reason)
		assert.ErrorIs(t, err, errDisk)
		assert.Zero(t, r.requests())
		store.swap = nil
		time.Sleep(2 * time.Second)
		_, err = s.Token(t.Context())
		require.NoError(t, err)
	})
}

// leaveMark makes a process mark the token as being spent and die.
func leaveMark(t *testing.T, r *rotor, store tokensource.Store) {
	t.Helper()
	r.before = func(context.Context, int) error { return unsent() }
	dying := newHookedStore()
	dying.MemoryStore = store.(*tokensource.MemoryStore)
	marks := 0
	dying.swap = func(context.Context, []byte) error {
		if marks++; marks > 1 {
			return errors.New("the process is dead")
		}
		return nil
	}
	s, err := tokensource.NewSession(tokensource.Config{Key: testKey, Store: dying, Refresher: r})
	require.NoError(t, err)
	_, err = s.Token(t.Context())
	require.Error(t, err)
	require.True(t, stored(t, store).Marked)
	r.before = nil
	r.mu.Lock()
	r.n = 0
	r.mu.Unlock()
}

// Guards rule 6: the waits in heedMark, and f.uncertain there.
func TestAHolderThatFindsAnothersMarkWaitsAsTheServerDemands(t *testing.T) {
	for _, c := range []struct {
		name     string
		rotation tokensource.Rotation
		least    time.Duration
		most     time.Duration
	}{
		{"unknown", tokensource.Rotation{}, time.Second, time.Second},
		{"answers well", tokensource.Rotation{Replay: tokensource.ReplayAnswered}, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
			_ = loggedIn(t, r, store)
			time.Sleep(2 * time.Hour)
			leaveMark(t, r, store)
			s := newSession(t, r, store, func(cfg *tokensource.Config) { cfg.Rotation = c.rotation })
			start := time.Now()
			_, err := s.Token(t.Context())
			require.NoError(t, err, c.name)
			assert.GreaterOrEqual(t, time.Since(start), c.least, c.name)
			assert.LessOrEqual(t, time.Since(start), c.most, c.name)
		})
	}
}

// Guards rule 6: ReplayLastWins in heedMark. The dead holder's request may
// still be processed, and would void what we get.
func TestWhereTheLastAnswerWinsAMarkIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		_ = loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		leaveMark(t, r, store)
		died := time.Now()
		s := newSession(t, r, store, func(cfg *tokensource.Config) { cfg.Rotation.Replay = tokensource.ReplayLastWins })
		for {
			_, err := s.Token(t.Context())
			if err == nil {
				break
			}
			e := typed(t, err)
			require.Equal(t, tokensource.ReasonBusy, e.Reason)
			time.Sleep(e.RetryAfter + time.Second)
		}
		assert.GreaterOrEqual(t, time.Since(died), 33*time.Second)
		assert.Equal(t, 1, r.requests())
	})
}

// Guards rule 6: f.uncertain in heedMark.
func TestARefusalAfterAnothersMarkIsUncertain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		_ = loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		leaveMark(t, r, store)
		r.dead = true // the dead holder's request had been processed
		_, err := newSession(t, r, store).Token(t.Context())
		e := typed(t, err)
		assert.ErrorIs(t, e, tokensource.ErrLoginRequired)
		assert.True(t, e.Uncertain)
	})
}

// Guards rule 7: the return on Extend's error in present.
func TestNothingIsSentWithoutTheLeasesCover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		failures := 3
		store.extend = func(_ context.Context, d time.Duration) error {
			assert.Greater(t, d, 5*time.Second)
			if failures > 0 {
				failures--
				require.Zero(t, r.requests())
				return errors.New("the lease is lost")
			}
			return nil
		}
		locks := store.locks.get()
		_, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, r.requests())
		assert.Equal(t, 4, store.locks.get()-locks, "each time it starts again at the lock")
	})
}

// Guards rule 7: relook after a lost lease. Meanwhile another process renewed.
func TestAfterALostLeaseTheStoreIsJudgedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, memory := newRotor(time.Hour), tokensource.NewMemoryStore()
		other := loggedIn(t, r, memory)
		time.Sleep(2 * time.Hour)
		store := newHookedStore()
		store.MemoryStore = memory
		lease := make(chan func(), 1)
		once := true
		store.extend = func(context.Context, time.Duration) error {
			if !once {
				return nil
			}
			once = false
			(<-lease)()
			_, err := other.Token(t.Context())
			assert.NoError(t, err)
			return errors.New("the lease is lost")
		}
		real := &releasing{hookedStore: store, lease: lease}
		s := newSession(t, r, real)
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, uint64(2), tok.ID().Generation)
		assert.Equal(t, 1, r.requests())
		assert.Equal(t, 1, r.mostPresented())
	})
}

// releasing hands the first lease's Release to the test: the lease expires.
type releasing struct {
	*hookedStore
	lease chan func()
}

func (s *releasing) Lock(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
	l, err := s.hookedStore.Lock(ctx, key)
	if err == nil && s.lease != nil {
		s.lease <- func() { _ = l.Release() }
		s.lease = nil
	}
	return l, err
}

// Guards rule 9: the ReasonLost case in present.
func TestALostAnswerIsAskedForAgainAtOnceWithTheSameToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		r.grace = true
		r.after = func(_ context.Context, n int) error {
			if n == 1 {
				return lost()
			}
			return nil
		}
		s := loggedIn(t, r, store)
		rt := r.current()
		time.Sleep(2 * time.Hour)
		start := time.Now()
		_, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Zero(t, time.Since(start))
		assert.Equal(t, 2, r.presented[rt])
		assert.Equal(t, r.current(), stored(t, store).RefreshToken)
	})
}

// Guards rule 9: attemptTime.
func TestWhereAGraceIsKnownAnAttemptLeavesTimeForAnotherWithinIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		r.grace = true
		r.after = func(ctx context.Context, n int) error {
			if n == 1 {
				<-ctx.Done() // the answer hangs
				return lost()
			}
			return nil
		}
		store.extend = func(_ context.Context, d time.Duration) error {
			assert.LessOrEqual(t, d, 3*time.Second, "the lease is at most half the grace")
			return nil
		}
		s := loggedIn(t, r, store, func(c *tokensource.Config) {
			c.Rotation = tokensource.Rotation{Replay: tokensource.ReplayAnswered, Grace: 6 * time.Second}
		})
		time.Sleep(2 * time.Hour)
		start := time.Now()
		_, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2*time.Second, time.Since(start))
	})
}

// Guards rule 9: the ReasonNotSent case in present, and note's clearing of
// the mark.
func TestARequestThatWasNotSentIsTriedAgainAndItsMarkCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		r.before = func(_ context.Context, n int) error {
			if n < 3 {
				return unsent()
			}
			return nil
		}
		tok, err := s.Token(t.Context())
		require.NoError(t, err, "a short outage is ridden out")
		require.Equal(t, 3, r.requests())

		r.before = func(context.Context, int) error { return unsent() }
		time.Sleep(10 * time.Second)
		_, err = s.Renew(t.Context(), tok)
		e := typed(t, err)
		assert.Equal(t, tokensource.ReasonNotSent, e.Reason)
		assert.False(t, e.Uncertain)
		assert.False(t, stored(t, store).Marked)
		assert.Equal(t, 6, r.requests())
	})
}

// Guards rule 9: note keeps the mark of an uncertain failure.
func TestALostAnswerKeepsItsMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		r.before = func(context.Context, int) error { return lost() }
		_, err := s.Token(t.Context())
		e := typed(t, err)
		assert.Equal(t, tokensource.ReasonLost, e.Reason)
		assert.True(t, e.Uncertain)
		assert.True(t, stored(t, store).Marked)
		assert.Equal(t, 4, r.requests(), "presentations within one refresh")
	})
}

// Guards rule 9 on a strict server: one answer, with the flag, and no storm.
func TestALostAnswerOnAStrictServerIsOneUncertainLogInAgainAndNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		var ended counter
		hook := func(c *tokensource.Config) {
			c.Hooks.SessionEnded = func(tokensource.SessionEndedInfo) { ended.add() }
		}
		s := loggedIn(t, r, store, hook)
		r.after = func(_ context.Context, n int) error {
			if n == 1 {
				return lost()
			}
			return nil
		}
		time.Sleep(2 * time.Hour)
		other := newSession(t, r, store, hook)
		for range 200 {
			together(10, func(i int) {
				_, err := []*tokensource.Session{s, other}[i%2].Token(t.Context())
				var e *tokensource.Error
				if assert.ErrorAs(t, err, &e) {
					assert.ErrorIs(t, e, tokensource.ErrLoginRequired)
					assert.True(t, e.Uncertain)
				}
			})
			time.Sleep(time.Second)
		}
		assert.Equal(t, 2, r.requests(), "the loss and its repetition")
		assert.Equal(t, 2, ended.get(), "once per process")

		require.NoError(t, s.Adopt(t.Context(), r.login()))
		time.Sleep(2 * time.Second)
		_, err := other.Token(t.Context())
		require.NoError(t, err, "a login made elsewhere ends it")
	})
}
