package drivers_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// raw is a request without a body or with a form.
func (n node) raw(method, path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://auth.test"+path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	n.Handler().ServeHTTP(w, r)
	return w
}

// Guards the condition on expires_at in get (the page), take (the user's yes)
// and update (the poll): nothing has swept by then, so the rows are there.
func TestWhatHasExpiredIsAbsentBeforeItIsSweptAway(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		n := p.serve(t, "strict", nil)
		leave := func() string {
			where, err := url.Parse(n.raw(http.MethodGet, "/oauth/end_session", nil).Header().Get("Location"))
			require.NoError(t, err)
			require.NotEmpty(t, where.Query().Get("request"))
			return where.Query().Get("request")
		}
		yes := func(request string) int {
			return n.raw(http.MethodPost, "/oauth/logout", url.Values{"request": {request}}).Code
		}
		early, late := leave(), leave()
		n.Advance(10*time.Minute - time.Millisecond)
		assert.Equal(t, http.StatusOK, n.raw(http.MethodGet, "/oauth/logout?request="+late, nil).Code)
		assert.Equal(t, http.StatusSeeOther, yes(early))
		n.Advance(time.Millisecond)
		assert.Equal(t, http.StatusBadRequest, n.raw(http.MethodGet, "/oauth/logout?request="+late, nil).Code)
		assert.Equal(t, http.StatusBadRequest, yes(late))

		asked := n.raw(http.MethodPost, "/oauth/device_authorization", url.Values{"client_id": {"cli"}})
		code := member(t, asked, "device_code")
		poll := func() string {
			return member(t, n.raw(http.MethodPost, "/oauth/token", url.Values{
				"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {"cli"}, "device_code": {code},
			}), "error")
		}
		n.Advance(24 * time.Hour)
		assert.Equal(t, "expired_token", poll())
		_, err := n.Fault(testserver.Fault{On: testserver.PollDevice, At: testserver.BeforeCommit, Do: func(context.Context) {
			n.Advance(8 * 24 * time.Hour)
		}})
		require.NoError(t, err)
		assert.Equal(t, "invalid_grant", poll(), "gone since it was looked up")
	})
}

// Guards that people are the database's: their passwords, and that they are
// locked out.
func TestAUserIsTheSameAtEveryServer(t *testing.T) {
	shared(t, func(t *testing.T, p place) {
		a, b := p.serve(t, "strict", nil), p.serve(t, "strict", nil)
		signIn := func(n node, password string) testserver.Outcome {
			return n.post("/oauth/token", url.Values{
				"grant_type": {"password"}, "client_id": {"cli"}, "username": {"carol"}, "password": {password},
			}).outcome
		}
		require.NoError(t, a.AddUser(testserver.User{Name: "carol", Password: "s3same"}))
		assert.Error(t, b.AddUser(testserver.User{Name: "carol", Password: "other"}))
		assert.Equal(t, testserver.LoggedIn, signIn(b, "s3same"))
		assert.Equal(t, testserver.WrongPassword, signIn(b, "other"))
		assert.Equal(t, testserver.LoggedIn, signIn(p.serve(t, "strict", nil), "s3same"), "after a restart")
		assert.NotContains(t, dumped(t, p.peek, "users"), "s3same")

		again := p.serve(t, "strict", func(c *testserver.Config) {
			c.Users = []testserver.User{{Name: "carol", Password: "another"}}
		})
		assert.Equal(t, testserver.LoggedIn, signIn(a, "another"), "what a later Config says")
		require.NoError(t, again.DisableUser("carol"))
		assert.Equal(t, testserver.WrongPassword, signIn(a, "another"))
	})
}

// Guards updateAll over a database; that it is one step is shown in memory.
func TestReuseMayEndAllSessionsOfAUser(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		farther := func(c *testserver.Config) { c.Profile.Replay.OnReuse = testserver.RevokeUser }
		a := p.serve(t, "strict", farther)
		b, counted := a, func() int { return a.Stats().FamiliesRevoked }
		if p.dsn != "" {
			b = p.serve(t, "strict", farther)
			counted = func() int { return a.Stats().FamiliesRevoked + b.Stats().FamiliesRevoked }
		}
		reused, other := a.login(t), a.login(t)
		bobs, err := a.Login("bob", "phone")
		require.NoError(t, err)
		require.Equal(t, testserver.Rotated, a.refresh(reused.Refresh).outcome)
		require.Equal(t, testserver.Rotated, b.refresh(other.Refresh).outcome)
		answers := race(reused.Refresh, 8, nil, a, b)
		assert.Equal(t, map[testserver.Outcome]int{testserver.ReuseDetected: 1, testserver.SessionRevoked: 7}, tally(answers))
		assert.Equal(t, testserver.SessionRevoked, b.refresh(other.Refresh).outcome)
		assert.Equal(t, testserver.Rotated, b.refresh(bobs.Refresh).outcome)
		assert.Equal(t, 2, counted())
		assert.Contains(t, []int{0, -1}, p.active(t, other.Session))
	})
}

func member(t *testing.T, w *httptest.ResponseRecorder, name string) string {
	t.Helper()
	return fields(t, w)[name]
}

// fields are the members of a JSON body that are strings.
func fields(t *testing.T, w *httptest.ResponseRecorder) map[string]string {
	t.Helper()
	var all map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &all))
	out := map[string]string{}
	for name, v := range all {
		if text, ok := v.(string); ok {
			out[name] = text
		}
	}
	return out
}

// Guards the lock of every session in changeUser: when it returns, no refresh
// that has read the old version is still to be committed.
func TestWhenAUserIsChangedNothingOldIsStillToCome(t *testing.T) {
	shared(t, func(t *testing.T, p place) {
		n := p.serve(t, "strict", nil)
		issued := func() (count int) {
			require.NoError(t, p.peek.QueryRow(`SELECT count(*) FROM refresh_tokens`).Scan(&count))
			return count
		}
		for range 2 {
			var all sync.WaitGroup
			busy := make(chan struct{}, 8)
			for range cap(busy) {
				token := n.login(t).Refresh
				all.Go(func() {
					got := n.refresh(token)
					busy <- struct{}{}
					for got.outcome == testserver.Rotated {
						got = n.refresh(got.refresh)
					}
					assert.Equal(t, testserver.VersionBumped, got.outcome)
				})
			}
			for range cap(busy) {
				<-busy
			}
			require.NoError(t, n.RevokeUser("alice"))
			then := issued()
			all.Wait()
			assert.Equal(t, then, issued())
		}
	})
}

// Guards wipe: what one server has wiped is gone for the other one, whose keys
// are those that the first one made.
func TestAWipedDatabaseKnowsNobodysTokens(t *testing.T) {
	shared(t, func(t *testing.T, p place) {
		a, b := p.serve(t, "strict", nil), p.serve(t, "strict", nil)
		tokens, code := a.login(t), a.code(t)
		require.NoError(t, a.Wipe())
		b.Advance(time.Second) // how long a server goes without a look at the keys
		assert.Equal(t, testserver.Unknown, b.refresh(tokens.Refresh).outcome)
		assert.Equal(t, http.StatusUnauthorized, b.me(tokens.Access).status)
		assert.Equal(t, http.StatusBadRequest, b.redeemCode(code).status)
		assert.Zero(t, p.active(t, tokens.Session))
		fresh := b.login(t)
		assert.Equal(t, http.StatusOK, a.me(fresh.Access).status)
		assert.Equal(t, testserver.Rotated, a.refresh(fresh.Refresh).outcome)
	})
}
