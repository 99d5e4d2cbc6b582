//go:build unix

package fleet_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// freeze stops a process as a debugger, a suspended machine or a paused
// container does; what it returns lets it go on.
func (m *member) freeze(t *testing.T) (thaw func()) {
	t.Helper()
	require.NoError(t, m.cmd.Process.Signal(syscall.SIGSTOP))
	return func() { assert.NoError(t, m.cmd.Process.Signal(syscall.SIGCONT)) }
}

// Guards rule 5 and the lock itself, which is never stolen from a holder that
// is merely slow: the others hear that the session is busy, within the budget
// of a refresh.
func TestAStoppedHolderKeepsTheOthersWaitingAndBreaksNone(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, j job) {
		srv := authtest.New(t)
		j.Deed, j.Server = "once", srv.URL()
		c := logIn(t, srv, j, 0, time.Hour)
		gate := srv.Gate(authtest.Refresh, authtest.BeforeCommit)
		holder := start(t, j)
		require.NoError(t, gate.Wait(t.Context(), 1))
		thaw := holder.freeze(t)

		other := start(t, j)
		assert.EqualValues(t, 1, other.await(t, "has").Generation)
		busy := other.await(t, "trouble")
		assert.Contains(t, busy.Err, "busy")
		t.Logf("busy after %s", busy.Took)
		assert.Equal(t, 1, srv.Stats().RefreshRequests, "only the holder has sent anything")

		thaw()
		gate.ReleaseAll()
		assert.EqualValues(t, 2, holder.await(t, "renewed").Generation)
		require.NoError(t, holder.finish())
		other.await(t, "renewed")
		require.NoError(t, other.finish())
		stillGood(t, c)
		assert.Equal(t, 1, srv.MaxRedemptions())
		assert.Empty(t, violations(srv))
	})
}

// Guards rule 9 and the kernel's lock, which no lease outlives: a holder is
// stopped when the server has rotated. On a strict server it hears its answer
// when it goes on. Where there is a grace it is stopped for longer than it was
// covered for, its attempt is over, and it presents the same refresh token again.
func TestAHolderThatIsStoppedBetweenTheRotationAndItsSaveLosesNothing(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, j job) {
		for _, kind := range []struct {
			name     string
			config   authtest.Config
			rotation tokensource.Rotation
			answered bool // while it is stopped
		}{
			{name: "strict", answered: true},
			// The server waits for longer than it says: how fast this machine is
			// must not decide.
			{name: "grace", config: authtest.Config{Profile: authtest.Grace, Grace: 5 * time.Minute}, rotation: tenSeconds},
		} {
			t.Run(kind.name, func(t *testing.T) {
				t.Parallel()
				srv := authtest.NewWith(t, kind.config)
				j := newJob(t, j.Store)
				j.Deed, j.Server, j.Rotation = "once", srv.URL(), kind.rotation
				c := logIn(t, srv, j, 0, time.Hour)
				gate := srv.Gate(authtest.Refresh, authtest.AfterCommit)
				holder := start(t, j)
				require.NoError(t, gate.Wait(t.Context(), 1))
				thaw := holder.freeze(t)
				if kind.answered {
					gate.ReleaseAll()
				}
				other := start(t, j)
				other.await(t, "has")
				// Half the grace is what a request is covered for.
				rest(t.Context(), tenSeconds.Grace/2+time.Second)
				assert.Equal(t, 1, srv.Stats().RefreshRequests, "nobody took the holder's place")

				thaw()
				if !kind.answered {
					waitFor(t, func() bool { return srv.Stats().RefreshRequests > 1 })
				}
				gate.ReleaseAll()
				holder.await(t, "renewed")
				require.NoError(t, holder.finish())
				other.await(t, "renewed")
				require.NoError(t, other.finish())
				stillGood(t, c)
				assert.Zero(t, srv.Stats().FamiliesRevoked)
				assert.Equal(t, kind.answered, srv.Stats().Replays == 0, "answered from the grace")
			})
		}
	})
}
