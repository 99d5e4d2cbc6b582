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

// Guards rule 4: DoChan in await.
func TestTenThousandCallersOnAnExpiredTokenMakeOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour).slowly(100 * time.Millisecond)
		store := newHookedStore()
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		together(10_000, func(int) {
			if _, err := s.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
		assert.Equal(t, 1, r.requests())
		assert.Equal(t, 1, store.locks.get(), "flights")
	})
}

// Guards rule 4: context.Background in fly. Both leaders are tried: one that
// is cancelled during the request, and one that leaves before it is sent.
func TestACancelledLeaderNeitherStopsTheOthersNorLosesTheToken(t *testing.T) {
	for _, patience := range []time.Duration{0, 500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			r := newRotor(time.Hour)
			r.before = func(ctx context.Context, _ int) error {
				select {
				case <-time.After(time.Second):
					return nil
				case <-ctx.Done():
					return lost()
				}
			}
			store := tokensource.NewMemoryStore()
			s := loggedIn(t, r, store)
			time.Sleep(2 * time.Hour)

			why := errors.New("the user pressed the button")
			ctx, cancel := context.WithCancelCause(t.Context())
			left := make(chan error, 1)
			go func() { _, err := s.Token(ctx); left <- err }()
			synctest.Wait()
			time.Sleep(patience)
			cancel(why)
			assert.ErrorIs(t, <-left, why, "the leader hears its own cause")
			tok, err := s.Token(t.Context())
			require.NoError(t, err)
			assert.Equal(t, uint64(2), tok.ID().Generation)
			assert.Equal(t, r.current(), stored(t, store).RefreshToken, "saved")
			assert.Equal(t, 1, r.mostPresented())
		})
	}
}

// Guards rule 4: context.Background in fly. A trace of the caller would see
// the client's secret.
func TestNoValueOfTheCallersContextReachesTheRefresher(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour)
		var seen any = "never called"
		r.before = func(ctx context.Context, _ int) error { seen = ctx.Value(key{}); return nil }
		s := loggedIn(t, r, tokensource.NewMemoryStore())
		time.Sleep(2 * time.Hour)
		_, err := s.Token(context.WithValue(t.Context(), key{}, "trace"))
		require.NoError(t, err)
		assert.Nil(t, seen)
	})
}

// Guards rule 4: the timer in await. The Refresher here ignores its ctx.
func TestACallerLeavesAtTheBudgetWhateverTheFlightDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour).slowly(10 * time.Minute)
		s := loggedIn(t, r, tokensource.NewMemoryStore())
		time.Sleep(2 * time.Hour)
		start := time.Now()
		_, err := s.Token(t.Context())
		assert.ErrorIs(t, err, tokensource.ErrTryAgain)
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "the flight's deadline is not the caller's")
		assert.Equal(t, 30*time.Second, time.Since(start))
		time.Sleep(10 * time.Minute)
		tok, err := s.Token(t.Context())
		require.NoError(t, err, "what the slow request brought was kept")
		assert.Equal(t, uint64(2), tok.ID().Generation)
		assert.Equal(t, 1, r.requests())
	})
}

// Guards rule 4: asError masks the deadline of an attempt.
func TestTheDeadlineOfARefreshNeverLooksLikeTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour)
		r.before = func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return &tokensource.Error{Reason: tokensource.ReasonLost, Uncertain: true, Err: ctx.Err()}
		}
		s := loggedIn(t, r, tokensource.NewMemoryStore())
		time.Sleep(2 * time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 29*time.Second)
		defer cancel()
		_, err := s.Token(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded, "the caller's own")
		time.Sleep(time.Second)
		synctest.Wait()
		_, err = s.Token(t.Context())
		require.ErrorIs(t, err, tokensource.ErrTryAgain)
		assert.NotErrorIs(t, err, context.DeadlineExceeded)
		r.before = nil
	})
}

// Guards rule 4: the recover in guarded and in fly. A panic in DoChan would
// end the program.
func TestAPanicOfTheRefresherOrTheStoreIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		r.before = func(context.Context, int) error { panic("rt-canary") }
		_, err := s.Token(t.Context())
		e := typed(t, err)
		assert.ErrorIs(t, e, tokensource.ErrTryAgain)
		assert.True(t, e.Uncertain)
		assert.NotContains(t, e.Error(), "canary")

		r.before = nil
		time.Sleep(2 * time.Minute)
		store.load = func(context.Context) error { panic("rt-canary") }
		_, err = s.Token(t.Context())
		assert.ErrorIs(t, err, tokensource.ErrTryAgain)
		store.load = nil
		time.Sleep(2 * time.Minute)
		_, err = s.Token(t.Context())
		require.NoError(t, err)
	})
}

// Guards rule 4: note writes the pause into the record, judgeDue obeys it.
func TestAFailureIsSharedWithTheFleetAndWithTheNextProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		a := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		r.before = func(context.Context, int) error {
			return &tokensource.Error{Reason: tokensource.ReasonRateLimited, Status: 429, RetryAfter: 20 * time.Second}
		}
		_, err := a.Token(t.Context())
		require.Equal(t, tokensource.ReasonRateLimited, typed(t, err).Reason)
		next := newSession(t, r, store)
		for range 10 {
			for _, s := range []*tokensource.Session{a, next} {
				_, err := s.Token(t.Context())
				assert.Equal(t, tokensource.ReasonRateLimited, typed(t, err).Reason)
			}
			time.Sleep(1900 * time.Millisecond)
		}
		assert.Equal(t, 1, r.requests(), "in 19 of the 20 seconds")
		r.before = nil
		time.Sleep(time.Second)
		_, err = next.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, r.requests())
	})
}

// Guards rule 4: the doubling in note.
func TestPausesDoubleFromOneSecondToOneMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour)
		s := loggedIn(t, r, tokensource.NewMemoryStore())
		time.Sleep(2 * time.Hour)
		r.before = func(context.Context, int) error {
			return &tokensource.Error{Reason: tokensource.ReasonIntercepted, Status: 403}
		}
		var pauses []time.Duration
		for range 8 {
			_, err := s.Token(t.Context())
			pause := typed(t, err).RetryAfter
			pauses = append(pauses, pause)
			time.Sleep(pause + time.Millisecond)
		}
		sec := time.Second
		assert.Equal(t, []time.Duration{1 * sec, 2 * sec, 4 * sec, 8 * sec, 16 * sec, 32 * sec, 60 * sec, 60 * sec}, pauses)
	})
}

// Guards rule 5: lock, and the look under it. The server is slower than a
// holder is patient with a mark, so that the lock alone keeps them apart.
func TestTwoSessionsOverOneStoreRenewOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour).slowly(3*time.Second), tokensource.NewMemoryStore()
		a := loggedIn(t, r, store)
		b := newSession(t, r, store)
		for round := range 20 {
			time.Sleep(2 * time.Hour)
			together(20, func(i int) {
				if _, err := []*tokensource.Session{a, b}[i%2].Token(t.Context()); err != nil {
					t.Error(err)
				}
			})
			require.Equal(t, round+1, r.requests())
		}
		assert.Equal(t, 1, r.mostPresented())
	})
}

// Guards rule 5: the look before the lock.
func TestWhatAnotherProcessRenewedIsAdoptedWithoutTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		a := loggedIn(t, r, store)
		b := newSession(t, r, store)
		old, err := b.Token(t.Context())
		require.NoError(t, err)
		_, err = a.Renew(t.Context(), old)
		require.NoError(t, err)
		locks := store.locks.get()
		tok, err := b.Renew(t.Context(), old) // the API killed the old one as it rotated
		require.NoError(t, err)
		assert.Equal(t, uint64(2), tok.ID().Generation)
		assert.Equal(t, locks, store.locks.get())
		assert.Equal(t, 1, r.requests())
	})
}

// Guards rule 5: restore.
func TestAStoreThatWasRolledBackIsMendedAndItsOldTokenNeverPresented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		var anomalies counter
		s := loggedIn(t, r, store, func(c *tokensource.Config) {
			c.Hooks.Anomaly = func(tokensource.AnomalyInfo) { anomalies.add() }
		})
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		_, backup, err := store.Load(t.Context(), testKey)
		require.NoError(t, err)
		tok, err = s.Renew(t.Context(), tok)
		require.NoError(t, err)

		ver, _, err := store.Load(t.Context(), testKey)
		require.NoError(t, err)
		require.NoError(t, store.Swap(t.Context(), testKey, ver, tokensource.Version{1}, backup))
		time.Sleep(10 * time.Second)
		next, err := s.Renew(t.Context(), tok)
		require.NoError(t, err)
		assert.Equal(t, uint64(3), next.ID().Generation)
		assert.Equal(t, r.current(), stored(t, store).RefreshToken)
		assert.Equal(t, 1, r.mostPresented())
		assert.Equal(t, 1, anomalies.get())
	})
}

// Guards rule 5: lock. A session that nobody lets go of is busy, not over.
func TestAStuckHolderOfTheLeaseMakesTheSessionBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		lease, err := store.Lock(t.Context(), testKey)
		require.NoError(t, err)
		start := time.Now()
		_, err = s.Token(t.Context())
		assert.Equal(t, tokensource.ReasonBusy, typed(t, err).Reason)
		assert.LessOrEqual(t, time.Since(start), 30*time.Second)
		require.NoError(t, lease.Release())
		time.Sleep(time.Minute)
		_, err = s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, r.requests())
	})
}
