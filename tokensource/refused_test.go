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

func rejected() error {
	return &tokensource.Error{Reason: tokensource.ReasonRejected, Status: 400, Code: "invalid_grant"}
}

// Guards rule 12: the second read in adjudicate. A process that does not
// know our lock renewed with the same token first.
func TestInvalidGrantIsNotBelievedWhereAnotherProcessHasRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, memory := newRotor(time.Hour), tokensource.NewMemoryStore()
		other := loggedIn(t, r, memory)
		time.Sleep(2 * time.Hour)
		r.before = func(_ context.Context, n int) error {
			if n > 1 {
				return nil
			}
			// While our request is under way the lease expires and another
			// holder renews.
			return rejectedAfter(t, other)
		}
		s := newSession(t, r, &lockless{memory})
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, uint64(2), tok.ID().Generation)
		assert.False(t, stored(t, memory).Suspect)
	})
}

func rejectedAfter(t *testing.T, other *tokensource.Session) error {
	if _, err := other.Token(t.Context()); err != nil {
		t.Error(err)
	}
	return rejected()
}

// lockless is a store whose leases exclude nobody.
type lockless struct{ *tokensource.MemoryStore }

func (l *lockless) Lock(context.Context, tokensource.Key) (tokensource.Lease, error) {
	return freeLease{}, nil
}

type freeLease struct{}

func (freeLease) Extend(context.Context, time.Duration) error { return nil }
func (freeLease) Release() error                              { return nil }

// Guards rule 12: suspect writes, never deletes, and is the fleet's word.
func TestARefusedTokenIsSuspectedNotDeletedAndNotPresentedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		s := loggedIn(t, r, store)
		rt := r.current()
		time.Sleep(2 * time.Hour)
		r.dead = true
		_, err := s.Token(t.Context())
		e := typed(t, err)
		assert.ErrorIs(t, e, tokensource.ErrLoginRequired)
		assert.Equal(t, tokensource.ReasonRejected, e.Reason)
		assert.False(t, e.Uncertain)
		view := stored(t, store)
		assert.True(t, view.Suspect)
		assert.Equal(t, rt, view.RefreshToken, "still there")
		assert.False(t, view.Marked, "a definitive answer")

		next := newSession(t, r, store)
		loads := store.loads.get()
		for range 100 {
			_, err := next.Token(t.Context())
			assert.ErrorIs(t, err, tokensource.ErrLoginRequired)
			time.Sleep(100 * time.Millisecond)
		}
		assert.Equal(t, 1, r.requests())
		assert.LessOrEqual(t, store.loads.get()-loads, 11, "reads in ten seconds")
	})
}

// Guards rule 12: the lag test in adjudicate.
func TestAYoungTokenIsGivenTimeToReachTheServersReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		s := loggedIn(t, r, store)
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		r.before = func(_ context.Context, n int) error {
			if n == 1 {
				return rejected()
			}
			return nil
		}
		time.Sleep(time.Second)
		start := time.Now()
		_, err = s.Renew(t.Context(), tok)
		require.NoError(t, err)
		assert.Equal(t, 5*time.Second, time.Since(start))
		assert.Equal(t, 2, r.requests())
	})
}

// Guards rule 12: usable in judgeDue and suspect's count.
func TestAValidAccessTokenIsServedUntilItExpiresAndTheSuspicionTestedOnceMore(t *testing.T) {
	for _, heals := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
			s := loggedIn(t, r, store)
			time.Sleep(57 * time.Minute)
			r.before = func(context.Context, int) error { return rejected() } // "still valid, come back later"
			for range 170 {
				tok, err := s.Token(t.Context())
				require.NoError(t, err)
				require.Equal(t, uint64(1), tok.ID().Generation)
				time.Sleep(time.Second)
			}
			require.Equal(t, 1, r.requests())
			time.Sleep(11 * time.Second)
			if heals {
				r.before = nil
				tok, err := s.Token(t.Context())
				require.NoError(t, err)
				assert.Equal(t, uint64(2), tok.ID().Generation)
				assert.False(t, stored(t, store).Suspect)
				return
			}
			for range 30 {
				_, err := s.Token(t.Context())
				require.ErrorIs(t, err, tokensource.ErrLoginRequired)
				time.Sleep(time.Second)
			}
			assert.Equal(t, 2, r.requests(), "tested once more, and never again")
		})
	}
}

// Guards rule 12: adjudicated, and note for an invalid request.
func TestAnInvalidRequestIsAdjudicatedAndThenAQuestionOfConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		r.before = func(context.Context, int) error {
			return &tokensource.Error{Reason: tokensource.ReasonRequest, Status: 400, Code: "invalid_request"}
		}
		_, err := s.Token(t.Context())
		assert.ErrorIs(t, err, tokensource.ErrConfig)
		assert.False(t, stored(t, store).Suspect)
		r.before = nil
		time.Sleep(2 * time.Second)
		_, err = s.Token(t.Context())
		require.NoError(t, err)
	})
}

// Guards the time in fail: a program that waits as long as it is told to, and
// not a moment longer, is served. Another process had been told to wait, and
// this one met the very end of that.
func TestWhoeverWaitsAsLongAsAnErrorSaysIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		other := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		r.before = func(_ context.Context, n int) error {
			if n == 1 {
				return &tokensource.Error{Reason: tokensource.ReasonRateLimited, Status: 429, RetryAfter: 5 * time.Second}
			}
			return nil
		}
		_, err := other.Token(t.Context())
		require.ErrorIs(t, err, tokensource.ErrTryAgain)
		time.Sleep(4970 * time.Millisecond)

		s := newSession(t, r, store)
		_, err = s.Token(t.Context())
		time.Sleep(typed(t, err).RetryAfter)
		_, err = s.Token(t.Context())
		assert.NoError(t, err)
	})
}
