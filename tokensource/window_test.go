package tokensource_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Guards rule 1: the return in Token before tokenSlow.
func TestAFreshTokenCostsNoAllocationAndNoStore(t *testing.T) {
	store := newHookedStore()
	s := loggedIn(t, newRotor(time.Hour), store)
	loads, locks := store.loads.get(), store.locks.get()
	ctx := t.Context()
	allocs := testing.AllocsPerRun(1000, func() {
		if _, err := s.Token(ctx); err != nil {
			t.Error(err)
		}
	})
	assert.Zero(t, allocs)
	assert.Equal(t, loads, store.loads.get(), "store reads")
	assert.Equal(t, locks, store.locks.get(), "leases taken")
}

// Guards rule 1: both halves of deadline.passed.
func TestADeadlineHasPassedWhenEitherClockSaysSo(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name       string
		mono, wall time.Duration
		want       bool
	}{
		{"neither", time.Hour, time.Hour, false},
		{"the laptop slept, the monotonic clock stood still", time.Hour, -time.Second, true},
		{"the wall clock was set back", -time.Second, time.Hour, true},
		{"exactly now", 0, 0, true},
	} {
		assert.Equal(t, c.want, tokensource.DeadlinePassed(now.Add(c.mono), now.Add(c.wall), now), c.name)
	}
}

// slowly makes every token request take d.
func (r *rotor) slowly(d time.Duration) *rotor {
	r.before = func(context.Context, int) error { time.Sleep(d); return nil }
	return r
}

// Guards rule 2: claim in tokenSlow.
func TestInTheAdvisoryWindowOneCallerRenewsAndTheOthersKeepTheCurrentToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour).slowly(2 * time.Second)
		s := loggedIn(t, r, tokensource.NewMemoryStore())
		first, err := s.Token(t.Context())
		require.NoError(t, err)
		time.Sleep(56 * time.Minute) // of 60; the window is 5 min, 10 % more or less

		var waited, kept counter
		together(50, func(int) {
			start := time.Now()
			tok, err := s.Token(t.Context())
			switch {
			case err != nil:
				t.Error(err)
			case time.Since(start) == 2*time.Second && tok.ID() != first.ID():
				waited.add()
			case time.Since(start) == 0 && tok.ID() == first.ID():
				kept.add()
			}
		})
		assert.Equal(t, 1, waited.get(), "callers that waited for the new token")
		assert.Equal(t, 49, kept.get(), "callers that kept the old one")
		assert.Equal(t, 1, r.requests())
	})
}

// Guards rule 2: pressing in tokenSlow.
func TestInTheMandatoryWindowEveryoneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour).slowly(2 * time.Second)
		s := loggedIn(t, r, tokensource.NewMemoryStore())
		first, err := s.Token(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Hour - 9*time.Second)
		together(50, func(int) {
			tok, err := s.Token(t.Context())
			if assert.NoError(t, err) {
				assert.NotEqual(t, first.ID(), tok.ID())
			}
		})
		assert.Equal(t, 1, r.requests())
	})
}

// Guards rule 2: the Background branch in tokenSlow.
func TestWithBackgroundNobodyWaitsForTheRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour).slowly(2 * time.Second)
		s := loggedIn(t, r, tokensource.NewMemoryStore(), func(c *tokensource.Config) { c.Background = true })
		first, err := s.Token(t.Context())
		require.NoError(t, err)
		time.Sleep(56 * time.Minute)
		start := time.Now()
		together(50, func(int) {
			tok, err := s.Token(t.Context())
			if assert.NoError(t, err) {
				assert.Equal(t, first.ID(), tok.ID())
			}
		})
		assert.Zero(t, time.Since(start))
		synctest.Wait()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, first.ID().Generation+1, tok.ID().Generation)
		assert.Equal(t, 1, r.requests())
	})
}

// Guards rule 2: the windows in newSnapshot. A caller arrives every
// millisecond and the moment of the renewal is noted.
func TestTheWindowsAreProportionalToTheLifetime(t *testing.T) {
	for _, c := range []struct{ lifetime, earliest, latest time.Duration }{
		{10 * time.Hour, 10*time.Hour - 330*time.Second, 10*time.Hour - 270*time.Second},
		{100 * time.Second, 78 * time.Second, 82 * time.Second},
		{2 * time.Second, 1560 * time.Millisecond, 1640 * time.Millisecond},
		// Never within a second of issue, though the window begins at 0.8 s.
		{time.Second, time.Second, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRotor(c.lifetime)
			s := loggedIn(t, r, tokensource.NewMemoryStore())
			start := time.Now()
			time.Sleep(c.earliest)
			for r.requests() == 0 && time.Since(start) <= c.latest {
				_, err := s.Token(t.Context())
				require.NoError(t, err)
				time.Sleep(time.Millisecond)
			}
			require.Equal(t, 1, r.requests(), "lifetime %v: renewed by %v", c.lifetime, c.latest)
		})
		synctest.Test(t, func(t *testing.T) {
			r := newRotor(c.lifetime)
			s := loggedIn(t, r, tokensource.NewMemoryStore())
			time.Sleep(c.earliest - time.Millisecond)
			_, err := s.Token(t.Context())
			require.NoError(t, err)
			require.Zero(t, r.requests(), "lifetime %v: not before %v", c.lifetime, c.earliest)
		})
	}
}

// Guards rule 2: the jitter in newSnapshot.
func TestProcessesThatShareASessionDoNotWakeAtOneMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		due := map[time.Duration]bool{}
		for range 8 {
			r := newRotor(10 * time.Hour)
			s := loggedIn(t, r, tokensource.NewMemoryStore())
			start := time.Now()
			time.Sleep(10*time.Hour - 331*time.Second)
			for r.requests() == 0 {
				_, err := s.Token(t.Context())
				require.NoError(t, err)
				time.Sleep(time.Second)
			}
			due[time.Since(start)] = true
		}
		assert.Greater(t, len(due), 1, "eight sessions were due at one and the same second")
	})
}

// Guards rule 2: an unknown lifetime has no window (newSnapshot).
func TestATokenOfUnknownLifetimeIsRenewedByARejectionAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(0)
		s := loggedIn(t, r, tokensource.NewMemoryStore())
		time.Sleep(1000 * time.Hour)
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		require.Zero(t, r.requests())
		next, err := s.Renew(t.Context(), tok)
		require.NoError(t, err)
		assert.NotEqual(t, tok.ID(), next.ID())
		assert.Equal(t, 1, r.requests())
	})
}

// Guards rule 2: keepAlive in publish.
func TestKeepAliveRenewsASessionThatNobodyUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour)
		s := loggedIn(t, r, tokensource.NewMemoryStore(), func(c *tokensource.Config) { c.KeepAlive = 24 * time.Hour })
		time.Sleep(10*time.Hour + time.Second)
		synctest.Wait()
		assert.Equal(t, 11, r.requests()+1, "once per access token lifetime, the shorter of the two")
		require.NoError(t, s.Close(t.Context()))
		before := r.requests()
		time.Sleep(100 * time.Hour)
		synctest.Wait()
		assert.Equal(t, before, r.requests(), "requests after Close")
	})
}

// Guards rule 2: keepAliveTime.
func TestKeepAliveComesBeforeTheRefreshTokensIdleEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(0)
		r.edit = func(g *tokensource.Grant) { g.IdleEnd = g.IssuedAt.Add(10 * time.Hour) }
		_ = loggedIn(t, r, tokensource.NewMemoryStore(), func(c *tokensource.Config) { c.KeepAlive = 24 * time.Hour })
		time.Sleep(9*time.Hour - time.Second)
		synctest.Wait()
		assert.Zero(t, r.requests())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, 1, r.requests())
	})
}
