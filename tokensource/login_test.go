package tokensource_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Guards rule 13: newFamily in Adopt, and child, which keeps it.
func TestALoginDrawsAFamilyAndARefreshKeepsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		s := loggedIn(t, r, store)
		first, err := s.Token(t.Context())
		require.NoError(t, err)
		second, err := s.Renew(t.Context(), first)
		require.NoError(t, err)
		assert.Equal(t, first.ID().Family, second.ID().Family)
		require.NoError(t, s.Adopt(t.Context(), r.login()))
		third, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.NotEqual(t, first.ID().Family, third.ID().Family)
		assert.Equal(t, uint64(1), third.ID().Generation)
	})
}

// Guards rule 13: the ended record against a refresh under way (lineage), in
// the same process and in another.
func TestALogoutWinsOverARefreshUnderWayWhoseTokensAreRevoked(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, store := newRotor(time.Hour).slowly(3*time.Second), tokensource.NewMemoryStore()
			s := loggedIn(t, r, store)
			out := s
			if elsewhere {
				out = newSession(t, r, store)
			}
			parent := r.current()
			time.Sleep(2 * time.Hour)
			got := make(chan error, 1)
			go func() { _, err := s.Token(t.Context()); got <- err }()
			synctest.Wait()
			require.NoError(t, out.End(t.Context()))
			err := <-got
			assert.ErrorIs(t, err, tokensource.ErrLoginRequired)
			assert.Equal(t, tokensource.ReasonLoggedOut, typed(t, err).Reason)
			synctest.Wait()
			assert.Equal(t, []string{parent, r.current()}, r.revoked)
			view := stored(t, store)
			assert.True(t, view.Ended)
			assert.False(t, view.HasTokens)
			require.NoError(t, out.End(t.Context()), "logging out twice")
			assert.False(t, s.Status().LoggedIn)
		})
	}
}

// Guards rule 13: Adopt replaces an ended record, whose tokens a refresh of
// the old family must not bring back.
func TestOnlyALoginReplacesAnEndedRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		s := loggedIn(t, r, store)
		require.NoError(t, s.End(t.Context()))
		_, err := s.Token(t.Context())
		assert.Equal(t, tokensource.ReasonLoggedOut, typed(t, err).Reason)
		_, err = newSession(t, r, store).Token(t.Context())
		assert.Equal(t, tokensource.ReasonLoggedOut, typed(t, err).Reason)
		require.NoError(t, s.Adopt(t.Context(), r.login()))
		_, err = s.Token(t.Context())
		require.NoError(t, err)
	})
}

// Guards rule 13: publish's epoch. A login during a refresh is not overtaken
// by what that refresh brings.
func TestALoginDuringARefreshStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour).slowly(3*time.Second), tokensource.NewMemoryStore()
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		done := make(chan struct{})
		go func() { defer close(done); _, _ = s.Token(t.Context()) }()
		synctest.Wait()
		other := newRotor(time.Hour)
		require.NoError(t, s.Adopt(t.Context(), other.login()))
		<-done
		synctest.Wait()
		assert.Equal(t, other.current(), stored(t, store).RefreshToken)
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, stored(t, store).ID, tok.ID())
		assert.Equal(t, []string{r.current()}, r.revoked, "the old session's new tokens")
	})
}

// Guards rule 13: the epoch in publish. What was read before a login is not
// published after it.
func TestAReadThatALoginOvertookDoesNotBringTheOldSessionBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		_ = loggedIn(t, r, store)
		s := newSession(t, r, store)
		other := newRotor(time.Hour)
		store.loaded = func() {
			store.loaded = nil
			assert.NoError(t, s.Adopt(t.Context(), other.login()))
		}
		_, err := s.Token(t.Context())
		require.NoError(t, err)
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, stored(t, store).ID, tok.ID())
	})
}

// Guards rule 13: merge.
func TestARefreshThatAnswersForAnotherAccountEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		r.edit = func(g *tokensource.Grant) { g.Subject = []string{"alice", "mallory"}[min(r.n, 1)] }
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		_, err := s.Token(t.Context())
		assert.Equal(t, tokensource.ReasonAccountChanged, typed(t, err).Reason)
		assert.False(t, stored(t, store).HasTokens)
		assert.Equal(t, []string{r.current()}, r.revoked)
	})
}

// Guards accountChanged: the end of the old session is not that of a new one.
func TestAnAnswerForAnotherAccountDoesNotEndALoginMadeMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		subject := "alice"
		r.edit = func(g *tokensource.Grant) { g.Subject = subject }
		s := loggedIn(t, r, store)
		other := newSession(t, r, store)
		time.Sleep(2 * time.Hour)
		r.after = func(context.Context, int) error {
			subject = "alice"
			return other.Adopt(t.Context(), r.login())
		}
		subject = "mallory"
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, other.Status().ID, tok.ID())
		assert.Len(t, r.revoked, 1, "what is not ours is handed back")
	})
}

// Guards rule 13: lostScopes, and merge for an answer without scopes.
func TestAScopeThatShrankIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotor(time.Hour)
		r.edit = func(g *tokensource.Grant) {
			g.Scopes = [][]string{{"read", "write"}, nil, {"read"}}[min(r.n, 2)]
		}
		var shrank [][]string
		s := loggedIn(t, r, tokensource.NewMemoryStore(), func(c *tokensource.Config) {
			c.Hooks.RefreshDone = func(i tokensource.RefreshDoneInfo) { shrank = append(shrank, i.LostScopes) }
		})
		for range 2 {
			time.Sleep(2 * time.Hour)
			_, err := s.Token(t.Context())
			require.NoError(t, err)
		}
		assert.Equal(t, [][]string{nil, {"write"}}, shrank)
	})
}

// Guards End: the local end stands whatever the server says.
func TestALogoutThatTheServerDoesNotHearOfEndsTheSessionHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		s := loggedIn(t, r, store, func(c *tokensource.Config) { c.Revoker = deafRevoker{} })
		err := s.End(t.Context())
		assert.ErrorIs(t, err, tokensource.ErrTryAgain)
		assert.True(t, stored(t, store).Ended)
		_, err = s.Token(t.Context())
		assert.ErrorIs(t, err, tokensource.ErrLoginRequired)
	})
}

type deafRevoker struct{}

func (deafRevoker) Revoke(context.Context, tokensource.Grant) error { return unsent() }

// Guards End and endedHere: a store that fails does not keep us logged in.
func TestALogoutThatCannotBeStoredStillEndsTheSessionInThisProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		s := loggedIn(t, r, store)
		rt := r.current()
		store.swap = func(context.Context, []byte) error { return errDisk }
		assert.ErrorIs(t, s.End(t.Context()), errDisk)
		store.swap = nil
		_, err := s.Token(t.Context())
		assert.ErrorIs(t, err, tokensource.ErrLoginRequired)
		assert.Equal(t, []string{rt}, r.revoked)
	})
}

// Guards read and replaceable: what a newer program wrote is left alone, what
// is damaged can be replaced by a login.
func TestARecordThatCannotBeReadIsNeverRotatedAndOnlyADamagedOneReplaced(t *testing.T) {
	for _, c := range []struct {
		name, data  string
		replaceable bool
	}{
		{"a newer format", `{"v":2,"secrets":"elsewhere"}`, false},
		{"garbage", "\x00\xffnot json", true},
		{"nothing", "", true},
		{"no token", `{"v":1,"family":"00000000000000000000000000000000","gen":1}`, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
			require.NoError(t, store.Swap(t.Context(), testKey, tokensource.Version{}, tokensource.Version{1}, []byte(c.data)))
			s := newSession(t, r, store)
			_, err := s.Token(t.Context())
			assert.ErrorIs(t, err, tokensource.ErrConfig, c.name)
			assert.Equal(t, tokensource.ReasonFormat, typed(t, err).Reason, c.name)
			err = s.Adopt(t.Context(), r.login())
			if c.replaceable {
				require.NoError(t, err, c.name)
				return
			}
			require.ErrorIs(t, err, tokensource.ErrConfig, c.name)
			_, data, err := store.Load(t.Context(), testKey)
			require.NoError(t, err)
			assert.Equal(t, c.data, string(data), c.name)
			assert.Zero(t, r.requests(), c.name)
		})
	}
}

// Guards look: one resource per session.
func TestASessionForAnotherResourceIsAQuestionOfConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		_ = loggedIn(t, r, store)
		s := newSession(t, r, store, func(c *tokensource.Config) { c.Resource = "https://api.example" })
		_, err := s.Token(t.Context())
		assert.Equal(t, tokensource.ReasonResource, typed(t, err).Reason)
		assert.ErrorIs(t, err, tokensource.ErrConfig)
	})
}

func TestWithoutALoginThereIsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t, newRotor(time.Hour), tokensource.NewMemoryStore())
		_, err := s.Token(t.Context())
		assert.Equal(t, tokensource.ReasonNoSession, typed(t, err).Reason)
		assert.NoError(t, s.End(t.Context()))
		assert.Error(t, s.Adopt(t.Context(), tokensource.Grant{}))
	})
}

func TestAConfigIsRefusedWithEveryFaultNamedAtOnce(t *testing.T) {
	_, err := tokensource.NewSession(tokensource.Config{KeepAlive: time.Second, Rotation: tokensource.Rotation{Grace: -1, Replay: 9}})
	require.Error(t, err)
	for _, field := range []string{"Key", "Store", "Refresher", "Rotation.Grace", "Rotation.Replay", "KeepAlive"} {
		assert.Contains(t, err.Error(), "Config."+field)
	}
	_, err = tokensource.NewSession(tokensource.Config{Key: testKey, Store: tokensource.NewMemoryStore(), Refresher: newRotor(0), Minter: &mint{}})
	assert.ErrorContains(t, err, "choose one")
}

// mint hands out tokens without a refresh token.
type mint struct {
	n   int
	err error
}

func (m *mint) Mint(context.Context) (tokensource.Grant, error) {
	m.n++
	if m.err != nil {
		return tokensource.Grant{}, m.err
	}
	return tokensource.Grant{
		AccessToken:  tokensource.NewSecret(strings.Repeat("m", m.n)),
		RefreshToken: tokensource.NewSecret("should not be there"),
		Expiry:       time.Now().Add(time.Hour),
	}, nil
}

// Guards mint.
func TestAMachineSessionMintsOncePerFleetAndServesWhatItCannotSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := &mint{}, newHookedStore()
		minting := func(c *tokensource.Config) { c.Minter, c.Refresher = m, nil }
		a := newSession(t, nil, store, minting)
		b := newSession(t, nil, store, minting)
		for round := range 3 {
			for _, s := range []*tokensource.Session{a, b, a} {
				_, err := s.Token(t.Context())
				require.NoError(t, err)
			}
			require.Equal(t, round+1, m.n)
			time.Sleep(2 * time.Hour)
		}
		assert.Empty(t, stored(t, store).RefreshToken)
		store.swap = func(context.Context, []byte) error { return errDisk }
		tok, err := a.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "mmmm", tok.AccessToken().Reveal())
		store.swap = nil

		time.Sleep(2 * time.Hour)
		m.err = &tokensource.Error{Reason: tokensource.ReasonClient, Status: 401, Code: "invalid_client"}
		_, err = a.Token(t.Context())
		assert.ErrorIs(t, err, tokensource.ErrConfig)
		m.err = errors.New("at-canary")
		time.Sleep(2 * time.Hour)
		_, err = a.Token(t.Context())
		assert.ErrorIs(t, err, tokensource.ErrTryAgain)
		assert.NotContains(t, err.Error(), "canary")
	})
}
