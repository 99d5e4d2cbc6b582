package client_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/transport"
)

// assertHolds: the refresh token is in the store, under the key of issuer.
func (p *program) assertHolds(t *testing.T, refreshToken, issuer string) {
	t.Helper()
	_, data, err := p.store.Load(context.Background(), tokensource.NewKey(issuer, "cli", ""))
	require.NoError(t, err)
	assert.Contains(t, string(data), refreshToken, "the record still holds the refresh token")
}

func TestNoFailureLosesTheRefreshToken(t *testing.T) {
	for _, j := range oauthAnswers {
		if j.status > 599 {
			continue // authtest sends no such thing
		}
		t.Run(j.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := authtest.NewPipe(t, authtest.Config{})
				p := over(t, srv)
				c := start(t, srv, p, tokensource.NewMemoryStore())
				got := srv.Login("alice", "laptop")
				require.NoError(t, c.Session().Adopt(t.Context(), tokensource.Grant{
					AccessToken: tokensource.NewSecret(got.AccessToken), RefreshToken: tokensource.NewSecret(got.RefreshToken),
				}))
				time.Sleep(time.Minute)
				srv.RevokeAccessTokens()
				rule := srv.Fault(authtest.Fault{On: authtest.Refresh, Times: authtest.Forever, Answer: j.answer()})

				_, err := c.get("/api/me")
				assertClass(t, classes[j.class], err)
				assert.Equal(t, j.reason.String(), facts(t, err).Reason.String())
				c.assertHolds(t, got.RefreshToken, srv.URL()+"/oauth/token")
				rule.Remove()
				if j.class == login {
					return
				}
				time.Sleep(2 * time.Hour) // longer than any pause
				c.assertServed(t)
				assert.Zero(t, srv.Stats().FamiliesRevoked)
				assert.Equal(t, 1, srv.Stats().Rotations)
			})
		})
	}
}

func TestASessionOutlivesItsAccessTokens(t *testing.T) {
	for name, provider := range map[string]func(*testing.T, *authtest.Server) *client.Provider{"OAuth": over, "JSON": overJSON} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := authtest.NewPipe(t, authtest.Config{})
				c := signedIn(t, srv, provider(t, srv))
				for range 10 {
					time.Sleep(16 * time.Minute)
					c.assertServed(t)
				}
				assert.Equal(t, 10, srv.Stats().Rotations)
				assert.Equal(t, 1, srv.MaxRedemptions())
				assert.Zero(t, srv.Stats().APIUnauthorized, "renewed in time")
				assert.Empty(t, srv.Violations())
			})
		})
	}
}

func TestARejectedTokenIsRenewedOnceForEveryone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{})
		c := signedIn(t, srv, over(t, srv))
		time.Sleep(time.Minute)
		srv.RevokeAccessTokens()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				status, err := c.get("/api/me")
				assert.NoError(t, err)
				assert.Equal(t, 200, status)
			})
		}
		all.Wait()
		assert.Equal(t, 1, srv.Stats().RefreshRequests)
		assert.Empty(t, srv.Violations())
	})
}

// Guards the one flight of a process, and the return at once for the
// rejection of an old token: both counted by the server.
func TestTenThousandGoroutinesOnAnExpiredTokenCostTheServerOneRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{TokenDelay: 100 * time.Millisecond})
		c := signedIn(t, srv, over(t, srv))
		old, err := c.Session().Token(t.Context())
		require.NoError(t, err)
		time.Sleep(16 * time.Minute)
		everyone := func(call func() (tokensource.Token, error)) {
			var all sync.WaitGroup
			for range 10_000 {
				all.Go(func() {
					tok, err := call()
					if assert.NoError(t, err) {
						assert.Equal(t, old.ID().Generation+1, tok.ID().Generation)
					}
				})
			}
			all.Wait()
		}
		everyone(func() (tokensource.Token, error) { return c.Session().Token(t.Context()) })
		assert.Equal(t, 1, srv.Stats().RefreshRequests)
		everyone(func() (tokensource.Token, error) { return c.Session().Renew(t.Context(), old) })
		assert.Equal(t, 1, srv.Stats().RefreshRequests, "after ten thousand late rejections")
	})
}

// Guards onceMore in package transport, and the age in reject of package
// tokensource: what one program renewed is revoked with the rest, before the
// other has heard of it.
func TestARevocationOfAllTokensReachesNoProgramThoughOneHadJustRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{})
		p := over(t, srv)
		a := signedIn(t, srv, p)
		b := start(t, srv, p, a.store)
		b.assertServed(t)
		time.Sleep(time.Minute)
		tok, err := a.Session().Token(t.Context())
		require.NoError(t, err)
		_, err = a.Session().Renew(t.Context(), tok)
		require.NoError(t, err)
		time.Sleep(10 * time.Millisecond)
		srv.RevokeAccessTokens()
		b.assertServed(t)
		a.assertServed(t)
		assert.Equal(t, 2, srv.Stats().Rotations)
		assert.Empty(t, srv.Violations())
	})
}

func TestProgramsThatShareAStoreRefreshOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{TokenDelay: time.Second})
		p := over(t, srv)
		first := signedIn(t, srv, p)
		time.Sleep(16 * time.Minute)
		var all sync.WaitGroup
		for range 8 {
			c := start(t, srv, p, first.store)
			all.Go(func() {
				status, err := c.get("/api/me")
				assert.NoError(t, err)
				assert.Equal(t, 200, status)
			})
		}
		all.Wait()
		assert.Equal(t, 1, srv.Stats().RefreshRequests)
		assert.Empty(t, srv.Violations())
	})
}

func TestALostAnswerIsRecoveredWhereTheServerForgives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{Profile: authtest.Grace})
		c := signedIn(t, srv, over(t, srv))
		time.Sleep(16 * time.Minute)
		srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Drop: true})
		c.assertServed(t)
		assert.Equal(t, 2, srv.Stats().RefreshRequests)
		assert.Equal(t, 2, srv.MaxRedemptions(), "the same token again, at once")
		assert.Equal(t, 1, srv.Stats().Replays)
		assert.Zero(t, srv.Stats().FamiliesRevoked)
		time.Sleep(16 * time.Minute)
		c.assertServed(t)
		assert.Empty(t, srv.Violations())
	})
}

func TestALostAnswerOfAStrictServerAsksForALoginOnceAndMakesNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{})
		c := signedIn(t, srv, over(t, srv))
		time.Sleep(16 * time.Minute)
		srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Drop: true})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				_, err := c.get("/api/me")
				assertClass(t, tokensource.ErrLoginRequired, err)
				assert.True(t, facts(t, err).Uncertain, "the token was spent without an answer")
			})
		}
		all.Wait()
		sent := srv.Stats().RefreshRequests
		assert.LessOrEqual(t, sent, 3)
		for range 100 {
			time.Sleep(time.Minute)
			_, err := c.get("/api/me")
			assertClass(t, tokensource.ErrLoginRequired, err)
		}
		assert.Equal(t, sent, srv.Stats().RefreshRequests, "nobody asks a second time")
		assert.Zero(t, srv.Stats().APIRequests)
		require.NoError(t, c.Login(t.Context(), alice))
		c.assertServed(t)
	})
}

func TestTheHardEndOfAFirstPartySessionReachesTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{Profile: authtest.FirstParty, AbsoluteTTL: time.Hour})
		c := signedIn(t, srv, overJSON(t, srv))
		time.Sleep(50 * time.Minute)
		c.assertServed(t)
		time.Sleep(11 * time.Minute)
		_, err := c.get("/api/me")
		assertClass(t, tokensource.ErrLoginRequired, err)
		e := facts(t, err)
		assert.Equal(t, tokensource.ReasonHardEnd.String(), e.Reason.String())
		assert.Equal(t, http.StatusForbidden, e.Status)
		assert.False(t, e.Uncertain)
	})
}

func TestTheSentenceOfAHardEndIsKept(t *testing.T) {
	srv := record(t, inJSON(403, `{"message":"Session expired. Please log in again."}`))
	_, err := refresh(t, firstParty(t, srv.URL))
	assert.Equal(t, "Session expired. Please log in again.", facts(t, err).Description)
}

func TestNeitherTokenPassesForTheOther(t *testing.T) {
	srv := authtest.NewWith(t, authtest.Config{Profile: authtest.FirstParty})
	got := srv.Login("alice", "laptop")
	p := overJSON(t, srv)
	_, err := p.Refresh(t.Context(), withRefreshToken(got.AccessToken))
	assertClass(t, tokensource.ErrLoginRequired, err)
	assert.Equal(t, http.StatusUnauthorized, facts(t, err).Status)

	c := start(t, srv, p, tokensource.NewMemoryStore())
	require.NoError(t, c.Session().Adopt(t.Context(), tokensource.Grant{AccessToken: tokensource.NewSecret(got.RefreshToken)}))
	_, err = c.get("/api/me")
	assertClass(t, tokensource.ErrLoginRequired, err)
	rejected, ok := errors.AsType[*transport.RejectedError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, http.StatusUnauthorized, rejected.Response.StatusCode)
}

func TestTheRefreshOfAFirstPartyAPIIgnoresAnExpiredAccessToken(t *testing.T) {
	srv := authtest.NewWith(t, authtest.Config{Profile: authtest.FirstParty})
	got := srv.Login("alice", "laptop")
	srv.Advance(time.Hour)
	req, err := http.NewRequest(http.MethodPost, srv.URL()+"/refresh", strings.NewReader(`{"refreshToken":"`+got.RefreshToken+`"}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+got.AccessToken)
	resp, err := srv.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestALogoutEndsTheSessionHereAndAtTheServer(t *testing.T) {
	for name, provider := range map[string]func(*testing.T, *authtest.Server) *client.Provider{"OAuth": over, "JSON": overJSON} {
		t.Run(name, func(t *testing.T) {
			srv := authtest.New(t)
			p := provider(t, srv)
			c := signedIn(t, srv, p)
			require.NoError(t, c.Logout(t.Context()))
			sessions := srv.Sessions("alice")
			require.Len(t, sessions, 1)
			assert.NotEmpty(t, sessions[0].Ended)
			for _, who := range []*program{c, start(t, srv, p, c.store)} {
				_, err := who.get("/api/me")
				assertClass(t, tokensource.ErrLoginRequired, err)
				assert.Equal(t, tokensource.ReasonLoggedOut, facts(t, err).Reason)
			}
			assert.NoError(t, c.Logout(t.Context()), "logging out again is no error")
			assert.Zero(t, srv.Stats().APIRequests)
		})
	}
}

func TestALogoutHoldsAlsoWhenTheServerCannotBeTold(t *testing.T) {
	srv := authtest.New(t)
	p := over(t, srv)
	c := signedIn(t, srv, p)
	srv.Fault(authtest.Fault{On: authtest.Revoke, Drop: true})
	err := c.Logout(t.Context())
	assertClass(t, tokensource.ErrTryAgain, err)
	assert.ErrorContains(t, err, "client: logout: ")
	for _, who := range []*program{c, start(t, srv, p, c.store)} {
		_, err := who.get("/api/me")
		assertClass(t, tokensource.ErrLoginRequired, err)
	}
	assert.Zero(t, srv.Stats().APIRequests)
	require.NoError(t, c.Login(t.Context(), alice))
	c.assertServed(t)
}

func TestCloseWaitsForTheRefreshAndIsNoLogout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{TokenDelay: 20 * time.Second})
		p := over(t, srv)
		c := signedIn(t, srv, p, func(c *client.Config) { c.Background = true })
		time.Sleep(14*time.Minute + 30*time.Second) // its token is refreshed early, in the background
		c.assertServed(t)
		require.NoError(t, c.Close(t.Context()))
		assert.Equal(t, 1, srv.Stats().Rotations)
		_, err := c.get("/api/me")
		assert.ErrorIs(t, err, tokensource.ErrClosed)
		require.NoError(t, c.Close(t.Context()), "it may be called again")

		next := start(t, srv, p, c.store)
		next.assertServed(t)
		assert.Equal(t, 1, srv.MaxRedemptions())
		assert.Empty(t, srv.Violations())
	})
}

func TestAnIdleSessionIsKeptAliveWhereAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{IdleTTL: 24 * time.Hour})
		c := signedIn(t, srv, over(t, srv), func(c *client.Config) { c.KeepAlive = 12 * time.Hour })
		time.Sleep(72 * time.Hour)
		c.assertServed(t)
		require.NoError(t, c.Close(t.Context()))
	})
}

func TestWhatIsKnownOfTheServersGraceShortensAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{Profile: authtest.Grace, Grace: 6 * time.Second})
		p, err := client.OAuthProvider(client.OAuthConfig{
			TokenURL: srv.URL() + "/oauth/token", ClientID: "cli", Transport: srv.Client().Transport.(*http.Transport),
			Rotation: tokensource.Rotation{Replay: tokensource.ReplayAnswered, Grace: 6 * time.Second},
		})
		require.NoError(t, err)
		c := signedIn(t, srv, p)
		time.Sleep(16 * time.Minute)
		srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Delay: 20 * time.Second})
		begin := time.Now()
		c.assertServed(t)
		assert.Less(t, time.Since(begin), 6*time.Second, "asked again while the server still answers")
		assert.Equal(t, 2, srv.MaxRedemptions())
		assert.Zero(t, srv.Stats().FamiliesRevoked)
	})
}

func TestALogoutOfAFirstPartyAPIShowsTheAccessTokenOnlyWhileItLasts(t *testing.T) {
	srv := record(t, answering(204, "", ""))
	for want, expiry := range map[string]time.Time{"Bearer at-old": time.Now().Add(time.Hour), "": time.Now().Add(-time.Hour)} {
		g := withRefreshToken(canary)
		g.Expiry = expiry
		require.NoError(t, firstParty(t, srv.URL).Revoke(t.Context(), g))
		reqs := srv.requests()
		assert.Equal(t, want, reqs[len(reqs)-1].Header.Get("Authorization"))
	}
}

func TestAProgramThatActsForItselfMintsItsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{})
		p, err := client.OAuthProvider(client.OAuthConfig{
			TokenURL: srv.URL() + "/oauth/token", ClientID: "service", ClientSecret: tokensource.NewSecret("service-secret"),
			ClientCredentials: true, Transport: srv.Client().Transport.(*http.Transport),
		})
		require.NoError(t, err)
		c := start(t, srv, p, tokensource.NewMemoryStore())
		assertClass(t, tokensource.ErrConfig, c.Login(t.Context(), alice))
		for range 3 {
			c.assertServed(t)
			time.Sleep(16 * time.Minute)
		}
		assert.Zero(t, srv.Stats().RefreshRequests)
		assert.Zero(t, srv.Stats().Logins)
	})
}
