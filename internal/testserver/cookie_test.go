package testserver_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// cookieRequest is one of a page: the refresh token is in the cookie.
func cookieRequest(path, token string) *http.Request {
	r := request(http.MethodPost, path, "", "")
	if token != "" {
		r.Header.Set("Cookie", "theme=dark; rt="+token)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// cookie is the one that the answer sets; nil if it leaves it alone.
func (a answer) cookie(t *testing.T) *http.Cookie {
	t.Helper()
	set := a.Result().Cookies()
	if len(set) == 0 {
		return nil
	}
	require.Len(t, set, 1)
	c := set[0]
	assert.True(t, c.HttpOnly)
	assert.Equal(t, http.SameSiteStrictMode, c.SameSite)
	assert.Equal(t, "/session", c.Path)
	assert.Empty(t, c.Domain)
	return c
}

// The cookie column of the table: what the refusals of the JSON column do to
// the cookie on top of their statuses and bodies.
func TestARefusalTakesTheCookieBackWhereTheSessionIsOver(t *testing.T) {
	for _, profile := range profiles() {
		for _, row := range refusalRows() {
			for _, path := range []string{"/session/refresh", "/session/refresh-token"} {
				t.Run(profile+"/"+row.name+path, func(t *testing.T) {
					b := start(t, profile, row.change)
					got := b.do(cookieRequest(path, row.arrange(t, b)))
					assert.Equal(t, row.json.status, got.Code)
					assert.JSONEq(t, row.json.body, got.Body.String())
					assert.Equal(t, row.outcome, got.outcome())
					assertTokenHeaders(t, got)
					c := got.cookie(t)
					if row.outcome == testserver.MissingToken {
						assert.Nil(t, c, "there is nothing to take back")
						return
					}
					require.NotNil(t, c)
					assert.Equal(t, "rt", c.Name)
					assert.Empty(t, c.Value)
					assert.Equal(t, -1, c.MaxAge)
				})
			}
		}
	}
}

func TestTheCookieHoldsTheNewTokenAndTheBodyDoesNot(t *testing.T) {
	for _, profile := range profiles() {
		b := start(t, profile, nil)
		login := loginRequest("alice", "secret", "laptop")
		login.URL.Path = "/session/login"
		got := b.do(login)
		for _, want := range []testserver.Outcome{testserver.LoggedIn, testserver.Rotated, testserver.Rotated} {
			require.Equal(t, http.StatusOK, got.Code)
			assert.Equal(t, want, got.outcome())
			assertTokenHeaders(t, got)
			assert.ElementsMatch(t, []string{"accessToken", "expiresIn"}, got.members())
			c := got.cookie(t)
			require.NotNil(t, c)
			assert.True(t, c.Secure)
			assert.Equal(t, 7*24*60*60, c.MaxAge)
			assert.NotContains(t, got.Body.String(), c.Value)
			access, _ := got.tokens()
			assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
			got = b.do(cookieRequest("/session/refresh", c.Value))
		}
		assert.Empty(t, b.rules())
	}
}

func TestAReplayInTheGraceSetsTheSameCookie(t *testing.T) {
	b := start(t, "grace", nil)
	parent := b.login(t).Refresh
	first := b.do(cookieRequest("/session/refresh", parent)).cookie(t)
	again := b.do(cookieRequest("/session/refresh", parent))
	assert.Equal(t, testserver.ReplayedSame, again.outcome())
	assert.Equal(t, first.Value, again.cookie(t).Value)
	assert.Equal(t, []string{testserver.RefreshReused}, b.rules(), "the cookie had been delivered")
}

func TestAnAnswerWithAnAccessTokenAloneLeavesTheCookie(t *testing.T) {
	b := start(t, "flowfuse", nil)
	token := b.login(t).Refresh
	require.NotNil(t, b.do(cookieRequest("/session/refresh", token)).cookie(t))
	got := b.do(cookieRequest("/session/refresh", token))
	require.Equal(t, testserver.OnlyAccess, got.outcome())
	assert.ElementsMatch(t, []string{"accessToken"}, got.members())
	assert.Nil(t, got.cookie(t))
}

// The loser's answer may come after the winner's, and would erase its cookie.
func TestTheLoserOfARaceLeavesTheWinnersCookie(t *testing.T) {
	for profile, want := range map[string]testserver.Outcome{
		"hydra": testserver.RaceRetry, "supabase": testserver.RaceConflict, "dex": testserver.RaceFailed, "duende": testserver.ReplayRefused,
	} {
		b := start(t, profile, nil)
		token := b.login(t).Refresh
		gate := b.Gate(testserver.Refresh, testserver.BeforeCommit)
		answers := make(chan answer, 2)
		for n := range 2 {
			go func() { answers <- b.do(cookieRequest("/session/refresh", token)) }()
			require.NoError(t, gate.Wait(t.Context(), n+1))
		}
		if profile == "supabase" || profile == "dex" {
			b.Advance(6 * time.Second) // these servers wait for so long before they give up
		}
		gate.ReleaseOne()
		first := <-answers
		gate.ReleaseAll()
		second := <-answers
		assert.NotNil(t, first.cookie(t), profile)
		if assert.Equal(t, want, second.outcome(), profile) {
			assert.Nil(t, second.cookie(t), profile)
		}
	}
}

func TestAServerThatIsBusyOrDownLeavesTheCookie(t *testing.T) {
	b := start(t, "strict", func(c *testserver.Config) {
		c.RateLimits.Session = testserver.Rate{Every: time.Hour, Burst: 1}
	})
	token := b.login(t).Refresh
	b.fault(t, testserver.Fault{On: testserver.Refresh, Answer: &testserver.Answer{Status: 503, RetryAfter: "1s"}})
	got := b.do(cookieRequest("/session/refresh", token))
	assert.Equal(t, http.StatusServiceUnavailable, got.Code)
	assert.Nil(t, got.cookie(t))

	live := b.do(cookieRequest("/session/refresh", token)).cookie(t)
	require.NotNil(t, live)
	got = b.do(cookieRequest("/session/refresh", live.Value))
	assert.Equal(t, http.StatusTooManyRequests, got.Code)
	assert.JSONEq(t, `{"error":"Too many requests"}`, got.Body.String())
	assert.NotEmpty(t, got.Header().Get("Retry-After"))
	assert.Nil(t, got.cookie(t))
}

func TestTheRestOfTheCookieColumn(t *testing.T) {
	b := start(t, "strict", nil)
	login := loginRequest("alice", "wrong", "")
	login.URL.Path = "/session/login"
	got := b.do(login)
	assert.Equal(t, http.StatusUnauthorized, got.Code)
	assert.JSONEq(t, `{"error":"Invalid credentials"}`, got.Body.String())
	assert.Nil(t, got.cookie(t))

	one, two := b.login(t), b.login(t)
	assert.Equal(t, http.StatusOK, b.get("/session/sessions", one.Access).Code)
	got = b.as(http.MethodDelete, "/session/sessions/"+two.Session, one.Access)
	assert.Equal(t, http.StatusNoContent, got.Code)
	assert.Equal(t, http.StatusNotFound, b.as(http.MethodDelete, "/session/sessions/nothing", one.Access).Code)

	for range 2 { // it may be repeated
		got = b.do(cookieRequest("/session/logout", one.Refresh))
		assert.Equal(t, http.StatusNoContent, got.Code)
		assert.Equal(t, -1, got.cookie(t).MaxAge)
	}
	assert.Equal(t, testserver.SessionRevoked, b.refresh(one.Refresh).outcome())

	three := b.login(t)
	all := cookieRequest("/session/logout-all", three.Refresh)
	all.Header.Set("Authorization", "Bearer "+three.Access)
	got = b.do(all)
	assert.Equal(t, http.StatusNoContent, got.Code)
	assert.Equal(t, -1, got.cookie(t).MaxAge)
	assert.Contains(t, []testserver.Outcome{testserver.SessionRevoked, testserver.VersionBumped}, b.refresh(three.Refresh).outcome())
}

func TestTheBodyOfAPageIsNotAskedForAToken(t *testing.T) {
	b := start(t, "strict", nil)
	r := jsonRequest("/session/refresh", map[string]string{"refreshToken": b.login(t).Refresh})
	assert.Equal(t, testserver.MissingToken, b.do(r).outcome())
}

func TestTheCookieIsNamedAndMarkedByItsConnection(t *testing.T) {
	for _, c := range []struct {
		issuer   string
		tls      bool
		insecure bool
		want     string
		secure   bool
	}{
		{"http://auth.test", false, false, "rt", true},
		{"http://auth.test", false, true, "rt", false},
		{"http://auth.test", true, false, "__Secure-rt", true},
		{"https://auth.test", false, true, "__Secure-rt", true},
	} {
		b := start(t, "strict", func(cfg *testserver.Config) { cfg.Issuer, cfg.InsecureCookie = c.issuer, c.insecure })
		r := request(http.MethodPost, "/session/refresh", "", "")
		r.Header.Set("Cookie", c.want+"="+b.login(t).Refresh)
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		got := b.do(r).cookie(t)
		require.NotNil(t, got)
		assert.Equal(t, c.want, got.Name)
		assert.Equal(t, c.secure, got.Secure)
	}
}

func TestAPageOfAnotherSiteCannotUseTheCookie(t *testing.T) {
	b := start(t, "strict", nil)
	token := b.login(t).Refresh
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		r := cookieRequest("/session/refresh", token)
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set(name, value)
		got := b.do(r)
		assert.Equal(t, http.StatusForbidden, got.Code, name)
		assert.Equal(t, testserver.CrossOrigin, got.outcome())
		assert.Nil(t, got.cookie(t))
	}
	assert.Zero(t, b.Stats().RefreshRequests)
	r := cookieRequest("/session/refresh", token)
	r.Header.Del("Sec-Fetch-Site")
	assert.Equal(t, testserver.Rotated, b.do(r).outcome(), "what is no browser sends no such header")
}

func TestALostCookieIsRecoveredFromInTheGrace(t *testing.T) {
	b := start(t, "grace", nil)
	token := b.login(t).Refresh
	b.fault(t, testserver.Fault{On: testserver.Refresh, At: testserver.AfterCommit, Edit: testserver.NoRefreshToken})
	assert.Nil(t, b.do(cookieRequest("/session/refresh", token)).cookie(t))
	assert.Equal(t, testserver.ReplayedSame, b.do(cookieRequest("/session/refresh", token)).outcome())
	assert.Empty(t, b.rules())
}

// Whatever is in the Cookie header, the answer is a refusal or a rotation.
func FuzzCookie(f *testing.F) {
	for _, seed := range []string{"rt=", "rt=rt_x", "rt=a; rt=b", "rt", "=", "rt=\"quoted\"", "__Secure-rt=x", strings.Repeat("a=b;", 999)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		b := start(t, "strict", nil)
		r := request(http.MethodPost, "/session/refresh", "", "")
		r.Header["Cookie"] = []string{header}
		if got := b.do(r); got.Code != http.StatusUnauthorized {
			t.Fatalf("%d for %q", got.Code, header)
		}
	})
}
