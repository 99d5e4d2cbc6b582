package testserver_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func TestAConfigIsCheckedAtOnceAndWhole(t *testing.T) {
	_, err := testserver.New(testserver.Config{
		AccessTTL: time.Millisecond, MaxRefreshes: -1, TokenDelay: -1,
		Users: []testserver.User{{}}, Clients: []testserver.Client{{ID: "a"}, {ID: "a"}},
	})
	require.Error(t, err)
	assert.Equal(t, `testserver: Issuer must be an absolute URL
testserver: AccessTTL, IdleTTL and AbsoluteTTL must be at least a second
testserver: MaxRefreshes must not be negative
testserver: TokenDelay and the numbers of the profile must not be negative
testserver: Users need names of their own
testserver: Clients need ids of their own`, err.Error())

	for _, r := range []testserver.Replay{{Window: -1}, {AncestorWindow: -1}, {RaceWait: -1}, {Hold: -1}, {Max: -1}} {
		_, err = testserver.New(testserver.Config{Issuer: "http://auth.test", Profile: testserver.Profile{Name: "custom", Replay: r}})
		assert.EqualError(t, err, "testserver: TokenDelay and the numbers of the profile must not be negative")
	}

	_, err = testserver.ProfileNamed("nothing")
	assert.EqualError(t, err, `testserver: there is no profile "nothing"`)
}

func TestTheDefaultsAreThoseOfAStrictServer(t *testing.T) {
	s, err := testserver.New(testserver.Config{Issuer: "http://auth.test"})
	require.NoError(t, err)
	defer s.Close()
	tokens, err := s.Login("alice", "laptop")
	require.NoError(t, err)
	assert.Equal(t, 15*time.Minute, tokens.ExpiresIn)
	list, err := s.Sessions("alice")
	require.NoError(t, err)
	sess := list[0]
	assert.Equal(t, 7*24*time.Hour, sess.ExpiresAt.Sub(sess.CreatedAt))
	assert.Equal(t, "cli", sess.Client)
	assert.Regexp(t, `^rt_[A-Za-z0-9_-]{43}$`, tokens.Refresh)

	_, err = s.Login("nobody", "laptop")
	assert.EqualError(t, err, "testserver: unknown user")
	assert.EqualError(t, s.RevokeSession("nothing", "admin"), "testserver: no such session")
	assert.EqualError(t, s.RevokeUser("nobody"), "testserver: unknown user")
	assert.EqualError(t, s.DisableUser("nobody"), "testserver: unknown user")
	_, err = s.Sessions("")
	assert.EqualError(t, err, "testserver: unknown user")
}

// The store holds hashes and nonces: neither may be enough to mint.
func TestAChildFollowsFromItsParentAndTheServersKeyAlone(t *testing.T) {
	b, other := start(t, "grace", nil), start(t, "grace", nil)
	assert.Equal(t, b.Child("rt_a"), b.Child("rt_a"))
	assert.NotEqual(t, b.Child("rt_a"), b.Child("rt_b"))
	assert.NotEqual(t, b.Child("rt_a"), other.Child("rt_a"))
}
