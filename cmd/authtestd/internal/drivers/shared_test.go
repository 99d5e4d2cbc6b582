package drivers_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// Guards that locks, keys and the derivation of children are the database's
// and not the process's.
func TestTwoServersOverOneDatabaseBehaveAsOne(t *testing.T) {
	shared(t, func(t *testing.T, p place) {
		a, b := p.serve(t, "grace", nil), p.serve(t, "grace", nil)
		tokens := a.login(t)
		assert.Equal(t, http.StatusOK, b.me(tokens.Access).status, "signed there, known here")
		token := tokens.Refresh
		for range few {
			answers := race(token, racers, nil, a, b)
			require.Equal(t, map[testserver.Outcome]int{
				testserver.Rotated: 1, testserver.ReplayedSame: racers - 1,
			}, tally(answers))
			for _, one := range answers {
				require.Equal(t, answers[0].refresh, one.refresh)
			}
			token = answers[0].refresh
		}
		require.NoError(t, b.RevokeSession(tokens.Session, "admin"))
		assert.Equal(t, testserver.SessionRevoked, a.refresh(token).outcome)
		assert.Equal(t, http.StatusUnauthorized, a.me(tokens.Access).status)

		tokens = a.login(t)
		require.NoError(t, b.RevokeUser("alice"))
		assert.Equal(t, testserver.VersionBumped, a.refresh(tokens.Refresh).outcome)
		tokens = b.login(t)
		assert.Equal(t, http.StatusOK, a.me(tokens.Access).status)
		list, err := a.Sessions("alice")
		require.NoError(t, err)
		assert.Len(t, list, 3)
	})
}

func TestOverTwoStrictServersARaceHasOneWinnerWhoLosesAll(t *testing.T) {
	shared(t, func(t *testing.T, p place) {
		a, b := p.serve(t, "strict", nil), p.serve(t, "strict", nil)
		for range few {
			tokens := a.login(t)
			answers := race(tokens.Refresh, 8, nil, a, b)
			require.Equal(t, map[testserver.Outcome]int{
				testserver.Rotated: 1, testserver.ReuseDetected: 1, testserver.SessionRevoked: 6,
			}, tally(answers))
			requireDead(t, b, p, tokens.Session, answers)
		}
	})
}

func TestServersThatStartAtOnceMakeTheirTablesOnce(t *testing.T) {
	shared(t, func(t *testing.T, p place) {
		const many = 4
		stores := make([]testserver.Store, many)
		errs := make([]error, many)
		var wg sync.WaitGroup
		for i := range many {
			db, dialect := p.open(t)
			wg.Go(func() { stores[i], errs[i] = testserver.OpenSQL(t.Context(), db, dialect) })
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	})
}

func TestARestartForgetsNothing(t *testing.T) {
	for _, profile := range []string{"grace", "firstparty"} { // opaque tokens and JWTs
		t.Run(profile, func(t *testing.T) {
			shared(t, func(t *testing.T, p place) { restart(t, p, profile) })
		})
	}
}

func restart(t *testing.T, p place, profile string) {
	t.Helper()
	before := p.serve(t, profile, nil)
	tokens, ended := before.login(t), before.login(t)
	child := before.refresh(tokens.Refresh)
	require.Equal(t, testserver.Rotated, child.outcome)
	require.NoError(t, before.RevokeSession(ended.Session, "admin"))
	before.Close()

	after := p.serve(t, profile, nil)
	assert.Equal(t, http.StatusOK, after.me(child.access).status)
	assert.Equal(t, testserver.SessionRevoked, after.refresh(ended.Refresh).outcome)
	again := after.refresh(tokens.Refresh)
	if profile == "grace" {
		assert.Equal(t, testserver.ReplayedSame, again.outcome)
		assert.Equal(t, child.refresh, again.refresh, "the same child, from its hash alone")
		assert.Equal(t, testserver.Rotated, after.refresh(child.refresh).outcome)
	} else {
		assert.Equal(t, testserver.ReuseDetected, again.outcome)
	}
}

// Guards that hashes are all there is: whoever reads the tables can present
// nothing.
func TestTheDatabaseHoldsNoToken(t *testing.T) {
	shared(t, func(t *testing.T, p place) {
		n := p.serve(t, "grace", nil)
		tokens := n.login(t)
		child := n.refresh(tokens.Refresh)
		for _, table := range []string{"users", "sessions", "refresh_tokens", "access_tokens", "documents"} {
			dump := dumped(t, p.peek, table)
			for _, secret := range []string{tokens.Refresh, tokens.Access, child.refresh, child.access, "hunter2"} {
				assert.NotContains(t, dump, secret)
				assert.NotContains(t, dump, strings.TrimPrefix(secret, "rt_"))
			}
			if table != "documents" {
				assert.NotEmpty(t, dump)
			}
		}
	})
}
