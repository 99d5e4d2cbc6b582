package drivers_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func (n node) logoutAll(access string) answer {
	r := httptest.NewRequest(http.MethodPost, "http://auth.test/logout-all", nil)
	r.Header.Set("Authorization", "Bearer "+access)
	return n.do(r)
}

func TestARefusalHasItsReasonWhereverTheSessionIsKept(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		n := p.serve(t, "strict", func(c *testserver.Config) { c.AbsoluteTTL, c.IdleTTL = 3*time.Hour, time.Hour })
		for want, arrange := range map[testserver.Outcome]func(testserver.Tokens){
			testserver.Rotated:        func(testserver.Tokens) {},
			testserver.SessionRevoked: func(tok testserver.Tokens) { assert.NoError(t, n.RevokeSession(tok.Session, "")) },
			testserver.VersionBumped:  func(testserver.Tokens) { assert.NoError(t, n.RevokeUser("alice")) },
			testserver.TokenExpired:   func(testserver.Tokens) { n.Advance(time.Hour) },
			testserver.SessionExpired: func(testserver.Tokens) { n.Advance(3 * time.Hour) },
			testserver.ReuseDetected:  func(tok testserver.Tokens) { n.refresh(tok.Refresh) },
		} {
			tokens := n.login(t)
			arrange(tokens)
			assert.Equal(t, want, n.refresh(tokens.Refresh).outcome)
		}
		assert.Equal(t, testserver.Unknown, n.refresh("rt_garbage").outcome)
		tokens := n.login(t)
		require.NoError(t, n.DisableUser("alice"))
		assert.Equal(t, testserver.UserDisabled, n.refresh(tokens.Refresh).outcome)
		assert.Equal(t, http.StatusUnauthorized, n.me(tokens.Access).status)
	})
}

// Guards min(now+idle, absolute): no rotation moves the hard end.
func TestNoRotationMovesTheHardEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		n := p.serve(t, "strict", func(c *testserver.Config) { c.AbsoluteTTL, c.IdleTTL = 5*time.Hour, 2*time.Hour })
		token := n.login(t).Refresh
		for range 4 {
			n.Advance(time.Hour)
			a := n.refresh(token)
			require.Equal(t, testserver.Rotated, a.outcome)
			token = a.refresh
		}
		n.Advance(time.Hour)
		assert.Equal(t, testserver.SessionExpired, n.refresh(token).outcome)
	})
}

func TestWhatIsListedIsWhatHappened(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		n := p.serve(t, "strict", nil)
		first := n.login(t)
		n.Advance(time.Minute)
		n.login(t)
		n.Advance(time.Minute)
		require.Equal(t, testserver.Rotated, n.refresh(first.Refresh).outcome)
		require.NoError(t, n.RevokeSession(first.Session, "lost"))
		list, err := n.Sessions("alice")
		require.NoError(t, err)
		require.Len(t, list, 2)
		assert.Equal(t, testserver.Session{
			ID: first.Session, Client: "cli", Device: "laptop", Refreshes: 1, Ended: "lost",
			CreatedAt: began(), LastUsedAt: began().Add(2 * time.Minute), ExpiresAt: began().Add(7 * 24 * time.Hour),
		}, list[0])
		assert.Empty(t, list[1].Ended)
		require.EqualError(t, n.RevokeSession("nothing", ""), "testserver: no such session")
		require.EqualError(t, n.RevokeUser("nobody"), "testserver: unknown user")
		require.EqualError(t, n.DisableUser("nobody"), "testserver: unknown user")
		_, err = n.Login("nobody", "")
		require.EqualError(t, err, "testserver: unknown user")
	})
}

func TestAnAccessTokenDiesAloneOrWithAllOthers(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		n := p.serve(t, "strict", nil)
		one, two := n.login(t), n.login(t)
		n.post("/oauth/revoke", url.Values{"client_id": {"cli"}, "token": {one.Access}})
		assert.Equal(t, http.StatusUnauthorized, n.me(one.Access).status)
		assert.Equal(t, http.StatusOK, n.me(two.Access).status)
		require.NoError(t, n.RevokeAccessTokens())
		assert.Equal(t, http.StatusUnauthorized, n.me(two.Access).status)
		again := n.refresh(two.Refresh)
		assert.Equal(t, testserver.Rotated, again.outcome, "the session lives")
		assert.Equal(t, http.StatusOK, n.me(again.access).status)
	})
}

// Guards sweep: a retired token is told apart from an unknown one for as long
// as its session could still live, and a dead session is remembered as long
// again.
func TestASessionIsForgottenOnlyLongAfterItsEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		n := p.serve(t, "firstparty", func(c *testserver.Config) { c.AbsoluteTTL = 4 * time.Hour })
		tokens := n.login(t)
		n.refresh(tokens.Refresh)
		n.Advance(7 * time.Hour)
		n.login(t) // sweeps
		assert.Equal(t, testserver.SessionExpired, n.refresh(tokens.Refresh).outcome)
		n.Advance(2 * time.Hour)
		kept := n.login(t)
		assert.Equal(t, testserver.Unknown, n.refresh(tokens.Refresh).outcome)
		list, err := n.Sessions("alice")
		require.NoError(t, err)
		assert.Len(t, list, 2)
		assert.Equal(t, testserver.Rotated, n.refresh(kept.Refresh).outcome)
	})
}
