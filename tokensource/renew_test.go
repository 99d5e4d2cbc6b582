package tokensource_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Guards rule 3: the first return in Renew.
func TestALateRejectionOfAnOldTokenRenewsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour)
		r.access = "the same bytes each time" // identity is the generation, never the text
		store := newHookedStore()
		s := loggedIn(t, r, store)
		old, err := s.Token(t.Context())
		require.NoError(t, err)
		current, err := s.Renew(t.Context(), old)
		require.NoError(t, err)
		require.Equal(t, 1, r.requests())
		loads := store.loads.get()
		together(1000, func(int) {
			tok, err := s.Renew(t.Context(), old)
			if assert.NoError(t, err) {
				assert.Equal(t, current.ID(), tok.ID())
			}
		})
		assert.Equal(t, 1, r.requests())
		assert.Equal(t, loads, store.loads.get(), "store reads: it returns at once")
	})
}

// Guards rule 3: cur.rejected in fresh. The next caller must not be sent to
// the API with a token that is known to be refused.
func TestARejectedTokenIsNotHandedOutWhileItIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour).slowly(time.Second)
		s := loggedIn(t, r, tokensource.NewMemoryStore())
		old, err := s.Token(t.Context())
		require.NoError(t, err)
		go func() { _, _ = s.Renew(t.Context(), old) }()
		synctest.Wait()
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.NotEqual(t, old.ID(), tok.ID())
		assert.Equal(t, 1, r.requests())
	})
}

// Guards rule 3: the cool-down in reject.
func TestAnAPIThatRefusesEveryNewTokenDoesNotRotateTheSessionWithEveryRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour)
		s := loggedIn(t, r, tokensource.NewMemoryStore())
		reject := func() error {
			tok, err := s.Token(t.Context())
			require.NoError(t, err)
			time.Sleep(100 * time.Millisecond)
			_, err = s.Renew(t.Context(), tok)
			return err
		}
		require.NoError(t, reject(), "the first rejection of a generation always renews")
		e := typed(t, reject())
		assert.ErrorIs(t, e, tokensource.ErrTryAgain)
		assert.Equal(t, 30*time.Second, e.RetryAfter)
		for range 100 {
			require.Error(t, reject())
		}
		assert.Equal(t, 1, r.requests(), "rotations before the cool-down ended")

		time.Sleep(30 * time.Second)
		require.NoError(t, reject(), "after the cool-down")
		assert.Equal(t, 60*time.Second, typed(t, reject()).RetryAfter, "the next one is twice as long")
		assert.Equal(t, 2, r.requests())
	})
}

// Guards rule 3: stormWindow. On a slow machine every token of two seconds is
// refused while its request is under way.
func TestRejectionsOfShortLivedTokensAreNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(2 * time.Second)
		s := loggedIn(t, r, tokensource.NewMemoryStore())
		for n := range 10 {
			tok, err := s.Token(t.Context())
			require.NoError(t, err)
			time.Sleep(600 * time.Millisecond)
			_, err = s.Renew(t.Context(), tok)
			require.NoError(t, err)
			require.Equal(t, n+1, r.requests())
		}
	})
}

// Guards rule 3: the age of follows in reject. A set that another process had
// obtained before our rejection is no answer to it.
func TestARejectedSetThatIsOlderThanTheLastRejectionIsNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		a := loggedIn(t, r, store)
		b := newSession(t, r, store)
		time.Sleep(time.Second)
		first, err := b.Token(t.Context())
		require.NoError(t, err)
		_, err = a.Renew(t.Context(), first)
		require.NoError(t, err)
		time.Sleep(time.Second) // now everything is revoked
		second, err := b.Renew(t.Context(), first)
		require.NoError(t, err)
		require.Equal(t, uint64(2), second.ID().Generation)
		third, err := b.Renew(t.Context(), second)
		require.NoError(t, err)
		assert.Equal(t, uint64(3), third.ID().Generation)
		assert.Equal(t, 2, r.requests())
	})
}

// Guards rule 3: the streak in reject ends with a rejection that is not early.
func TestRejectionsOfOldTokensAreNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour)
		s := loggedIn(t, r, tokensource.NewMemoryStore())
		for n := range 10 {
			time.Sleep(6 * time.Second)
			tok, err := s.Token(t.Context())
			require.NoError(t, err)
			_, err = s.Renew(t.Context(), tok)
			require.NoError(t, err)
			require.Equal(t, n+1, r.requests())
		}
	})
}

// Guards rule 3: the generation counts saved sets also where the refresh
// token is kept.
func TestTheGenerationCountsAlsoWhereTheServerDoesNotRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour)
		r.keepRefresh = true
		r.edit = func(g *tokensource.Grant) {
			if r.n > 0 {
				g.RefreshToken = tokensource.Secret{} // absent: the old one stays (RFC 6749 6)
			}
		}
		store := tokensource.NewMemoryStore()
		s := loggedIn(t, r, store)
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		for want := uint64(2); want < 5; want++ {
			time.Sleep(10 * time.Second)
			tok, err = s.Renew(t.Context(), tok)
			require.NoError(t, err)
			assert.Equal(t, want, tok.ID().Generation)
			assert.Equal(t, r.current(), stored(t, store).RefreshToken)
		}
	})
}
