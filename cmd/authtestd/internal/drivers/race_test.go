package drivers_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

const (
	racers = 32
	rounds = 25
	few    = 5 // rounds of what varies the theme: SQLite is slow under the race detector
)

// Guards the lock of Store.update.
func TestWhereChildrenAreToldAgainARoundHasOneRotation(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		n := p.serve(t, "grace", nil)
		tokens := n.login(t)
		token := tokens.Refresh
		for range rounds {
			answers := race(token, racers, nil, n)
			require.Equal(t, map[testserver.Outcome]int{
				testserver.Rotated: 1, testserver.ReplayedSame: racers - 1,
			}, tally(answers))
			for _, a := range answers {
				require.Equal(t, answers[0].refresh, a.refresh)
			}
			assert.Equal(t, http.StatusOK, n.me(answers[0].access).status)
			token = answers[0].refresh
		}
		assert.Equal(t, rounds, n.Stats().Rotations)
		assert.Contains(t, []int{1, -1}, p.active(t, tokens.Session))
	})
}

// Guards that the revocation is committed together with the refusal.
func TestOnAStrictServerARoundHasOneWinnerWhoLosesAll(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		n := p.serve(t, "strict", nil)
		for range rounds {
			tokens := n.login(t)
			answers := race(tokens.Refresh, racers, nil, n)
			require.Equal(t, map[testserver.Outcome]int{
				testserver.Rotated: 1, testserver.ReuseDetected: 1, testserver.SessionRevoked: racers - 2,
			}, tally(answers))
			requireDead(t, n, p, tokens.Session, answers)
		}
		assert.Equal(t, rounds, n.Stats().FamiliesRevoked)
	})
}

// requireDead proves that nothing which was answered is of use any more.
func requireDead(t *testing.T, n node, p place, session string, answers []answer) {
	t.Helper()
	for _, a := range answers {
		if a.refresh != "" {
			require.Equal(t, testserver.SessionRevoked, n.refresh(a.refresh).outcome)
			require.Equal(t, http.StatusUnauthorized, n.me(a.access).status)
		}
	}
	require.Contains(t, []int{0, -1}, p.active(t, session))
}

// Guards that a revocation takes the lock of a refresh.
func TestARefreshAgainstARevocationMintsNothingThatLives(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		for _, profile := range []string{"strict", "grace"} {
			n := p.serve(t, profile, nil)
			for range few {
				tokens := n.login(t)
				answers := race(tokens.Refresh, 8, func() {
					assert.NoError(t, n.RevokeSession(tokens.Session, "admin"))
				}, n)
				requireDead(t, n, p, tokens.Session, answers)
				require.Equal(t, testserver.SessionRevoked, n.refresh(tokens.Refresh).outcome)
			}
		}
	})
}

// Guards that the version is read under the lock, by a statement of its own.
func TestARefreshAgainstANewPasswordMintsNothingThatLives(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		n := p.serve(t, "grace", nil)
		for range few {
			tokens := n.login(t)
			answers := race(tokens.Refresh, 8, func() { assert.NoError(t, n.RevokeUser("alice")) }, n)
			for _, a := range answers {
				if a.refresh != "" {
					require.Equal(t, testserver.VersionBumped, n.refresh(a.refresh).outcome)
					require.Equal(t, http.StatusUnauthorized, n.me(a.access).status)
				}
			}
		}
	})
}

func TestARefreshAgainstALogoutEverywhereLeavesNothingAlive(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		n := p.serve(t, "strict", nil)
		for range few {
			tokens, other := n.login(t), n.login(t)
			answers := race(tokens.Refresh, 4, func() { n.logoutAll(other.Access) }, n)
			requireDead(t, n, p, tokens.Session, answers)
			require.Contains(t, []int{0, -1}, p.active(t, other.Session))
		}
	})
}
