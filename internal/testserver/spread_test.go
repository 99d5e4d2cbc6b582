package testserver_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// Guards updateAll: no refresh fits between the end of the session whose token
// came back and that of the others. The store stops before each of its steps,
// and whoever looks then finds all of them alive or none.
func TestReuseEndsAllThatItEndsInOneStep(t *testing.T) {
	for _, on := range []testserver.OnReuse{testserver.RevokeClientUser, testserver.RevokeUser} {
		var b bench
		looking, steps := false, 0
		second := ""
		b = start(t, "strict", func(c *testserver.Config) {
			c.Profile.Replay.OnReuse = on
			c.Store = testserver.Watched(testserver.MemoryStore(), func() {
				if !looking {
					return
				}
				looking = false // the refresh below takes steps, too
				defer func() { looking = true }()
				steps++
				over := b.sessions(t, "alice")[0].Ended != ""
				got := b.refresh(second)
				assert.Equal(t, over, got.outcome() != testserver.Rotated, "step %d: %s", steps, got.outcome())
				_, second = got.tokens()
			})
		})
		old, first := retire(t, b)
		second = b.login(t).Refresh
		theirs, err := b.Login("bob", "phone")
		require.NoError(t, err)

		looking = true
		assert.Equal(t, testserver.ReuseDetected, b.refresh(old).outcome())
		looking = false
		assert.GreaterOrEqual(t, steps, 2)
		assert.Equal(t, testserver.SessionRevoked, b.refresh(first).outcome())
		assert.Equal(t, testserver.SessionRevoked, b.refresh(second).outcome())
		assert.Equal(t, testserver.Rotated, b.refresh(theirs.Refresh).outcome(), "somebody else's")
		assert.Equal(t, 2, b.Stats().FamiliesRevoked)
	}
}

func TestReuseEndsNoOtherClientsSessionUnlessItEndsTheUsers(t *testing.T) {
	for on, want := range map[testserver.OnReuse]testserver.Outcome{
		testserver.RevokeClientUser: testserver.Rotated, testserver.RevokeUser: testserver.SessionRevoked,
	} {
		b := start(t, "strict", func(c *testserver.Config) { c.Profile.Replay.OnReuse = on })
		as := map[string]string{"clientId": serviceID, "clientSecret": serviceSecret, "username": "alice", "password": "secret"}
		_, other := b.do(jsonRequest("/login", as)).tokens()
		old, _ := retire(t, b)
		require.Equal(t, testserver.ReuseDetected, b.refresh(old).outcome())
		delete(as, "username")
		as["refreshToken"] = other
		assert.Equal(t, want, b.do(jsonRequest("/refresh", as)).outcome())
	}
}

// Guards the passage through the locks in changeUser: when it returns, nobody
// who has read the user as they were is still to commit.
func TestAChangedUserWaitsForWhoeverHoldsASession(t *testing.T) {
	store := testserver.MemoryStore()
	b := start(t, "strict", func(c *testserver.Config) { c.Store = store })
	id := b.login(t).Session
	var returned atomic.Bool
	done := make(chan error)
	require.NoError(t, testserver.Holding(store, id, func() {
		go func() {
			err := b.RevokeUser("alice")
			returned.Store(true)
			done <- err
		}()
		for testserver.Version(store, "alice") == 0 {
			runtime.Gosched()
		}
		for range 10_000 {
			runtime.Gosched()
		}
		assert.False(t, returned.Load())
	}))
	assert.NoError(t, <-done)
}
