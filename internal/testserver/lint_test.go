package testserver_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// wired is a request that came over a connection to ip.
func wired(r *http.Request, ip string) *http.Request {
	addr := &net.TCPAddr{IP: net.ParseIP(ip), Port: 80}
	r.Header.Set("User-Agent", "test/1")
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(addr)))
}

func withHeader(r *http.Request, name, value string) *http.Request {
	r.Header.Set(name, value)
	return r
}

func authorizeRequest(values url.Values) *http.Request {
	q := url.Values{"client_id": {"cli"}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1/cb"}}
	for k, v := range values {
		q[k] = v
	}
	return request(http.MethodGet, "/oauth/authorize?"+q.Encode(), "", "")
}

// habit is a client that breaks a rule, and one that does the same job and
// does not.
type habit struct{ bad, good func(t *testing.T, b bench) }

// send is a client that sends one request, made from a session's tokens.
func send(make func(testserver.Tokens) *http.Request) func(*testing.T, bench) {
	return func(t *testing.T, b bench) { b.do(make(b.login(t))) }
}

// times refreshes again and again, with a pause between.
func times(n int, pause time.Duration) func(*testing.T, bench) {
	return func(t *testing.T, b bench) {
		token := b.login(t).Refresh
		for range n {
			_, token = b.refresh(token).tokens()
			b.Advance(pause)
		}
	}
}

// comeBack presents a token after the answer to it was delivered and then
// the successor was used or not.
func comeBack(after time.Duration, used bool) func(*testing.T, bench) {
	return func(t *testing.T, b bench) {
		token := b.login(t).Refresh
		_, child := b.refresh(token).tokens()
		if used {
			b.refresh(child)
		}
		b.Advance(after)
		b.refresh(token)
	}
}

func refreshAfter(age time.Duration, refused bool) func(*testing.T, bench) {
	return func(t *testing.T, b bench) {
		tokens := b.login(t)
		_, token := b.refresh(tokens.Refresh).tokens()
		access := tokens.Access
		b.Advance(age)
		if refused {
			require.NoError(t, b.RevokeAccessTokens())
			b.get("/api/me", access)
		}
		b.refresh(token)
	}
}

func knock(n int) func(*testing.T, bench) {
	return func(t *testing.T, b bench) {
		access := b.login(t).Access
		require.NoError(t, b.RevokeAccessTokens())
		for range n {
			b.get("/api/me", access)
		}
	}
}

func habits() map[string]habit {
	form := func(change func(url.Values)) func(*testing.T, bench) {
		return send(func(tok testserver.Tokens) *http.Request {
			values := refreshForm(tok.Refresh)
			change(values)
			return formRequest("/oauth/token", values)
		})
	}
	plainly := func(tok testserver.Tokens) *http.Request { return oauth().request(tok.Refresh) }
	tidy := send(func(tok testserver.Tokens) *http.Request { return wired(plainly(tok), "127.0.0.1") })
	s256 := url.Values{"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}}
	password := url.Values{"username": {"alice"}, "password": {"secret"}}
	ask := func(values url.Values) func(*testing.T, bench) {
		return func(_ *testing.T, b bench) { b.do(authorizeRequest(values)) }
	}
	return map[string]habit{
		testserver.RefreshReused:  {bad: comeBack(0, false), good: tidy},
		testserver.RefreshUnsaved: {bad: comeBack(time.Hour, false), good: comeBack(time.Hour, true)},
		testserver.RefreshLoop:    {bad: times(301, 100*time.Millisecond), good: times(301, time.Second)},
		testserver.APIStorm:       {bad: knock(201), good: knock(200)},
		testserver.RefreshKeyed: {good: tidy, bad: send(func(tok testserver.Tokens) *http.Request {
			return withHeader(plainly(tok), "Idempotency-Key", "1")
		})},
		testserver.RefreshMisplaced: {good: tidy, bad: send(func(tok testserver.Tokens) *http.Request {
			return withHeader(request(http.MethodGet, "/api/me", "", ""), "Authorization", "Bearer "+tok.Refresh)
		})},
		testserver.RefreshInURL: {good: tidy, bad: send(func(tok testserver.Tokens) *http.Request {
			return formRequest("/oauth/token?token="+tok.Refresh, refreshForm(tok.Refresh))
		})},
		testserver.RefreshInClear: {
			bad: send(func(tok testserver.Tokens) *http.Request { return wired(plainly(tok), "192.0.2.7") }),
			good: send(func(tok testserver.Tokens) *http.Request {
				r := wired(plainly(tok), "192.0.2.7")
				r.TLS = &tls.ConnectionState{}
				return r
			}),
		},
		testserver.BearerAbroad: {good: tidy, bad: send(func(tok testserver.Tokens) *http.Request {
			r := withHeader(request(http.MethodGet, "/api/echo", "", ""), "Authorization", "Bearer "+tok.Access)
			r.Host = "evil.example.com"
			return r
		})},
		testserver.GrantMalformed: {good: tidy, bad: form(func(v url.Values) { v.Del("refresh_token") })},
		testserver.ClientUnnamed:  {good: tidy, bad: form(func(v url.Values) { v.Del("client_id") })},
		testserver.ScopeWidened:   {good: tidy, bad: form(func(v url.Values) { v.Set("scope", "admin") })},
		testserver.AgentUnnamed: {good: tidy, bad: send(func(tok testserver.Tokens) *http.Request {
			return withHeader(wired(plainly(tok), "127.0.0.1"), "User-Agent", "")
		})},
		testserver.PKCEMissing: {bad: ask(nil), good: ask(s256)},
		testserver.PKCEPlain:   {bad: ask(url.Values{"code_challenge": {"secret"}}), good: ask(s256)},
		testserver.ProofReused: {
			bad: func(t *testing.T, b bench) {
				for range 2 {
					b.do(withHeader(plainly(b.login(t)), "DPoP", "the same"))
				}
			},
			good: func(t *testing.T, b bench) {
				for _, proof := range []string{"one", "two"} {
					b.do(withHeader(plainly(b.login(t)), "DPoP", proof))
				}
			},
		},
		testserver.LoginScraped: {
			bad: func(_ *testing.T, b bench) { b.do(formRequest("/oauth/authorize", password)) },
			good: func(_ *testing.T, b bench) {
				b.do(withHeader(formRequest("/oauth/authorize", password), "Sec-Fetch-Site", "same-origin"))
			},
		},
	}
}

func TestARuleTellsTheClientThatBreaksItFromTheOneThatDoesNot(t *testing.T) {
	for rule, h := range habits() {
		t.Run(rule, func(t *testing.T) {
			b := start(t, "strict", nil)
			h.bad(t, b)
			assert.Contains(t, b.rules(), rule)
			b = start(t, "strict", nil)
			h.good(t, b)
			assert.NotContains(t, b.rules(), rule)
		})
	}
}

func TestEveryRuleHasAName(t *testing.T) {
	elsewhere := []string{testserver.RefreshOverlap, testserver.RefreshAfterEnd, testserver.RefreshEarly} // in tests of their own
	for _, rule := range testserver.Rules() {
		_, ok := habits()[rule]
		assert.True(t, ok || assert.Contains(t, elsewhere, rule), rule)
	}
	assert.Len(t, testserver.Rules(), len(habits())+len(elsewhere))
}

func TestARefreshIsEarlyOnlyWithoutAReason(t *testing.T) {
	margin := func(d time.Duration) func(*testserver.Config) {
		return func(c *testserver.Config) { c.EarlyRefresh = d }
	}
	for _, c := range []struct {
		name    string
		margin  time.Duration
		age     time.Duration
		refused bool
		want    int
	}{
		{"nobody asked for the rule", 0, 0, false, 0},
		{"at once", 5 * time.Minute, 0, false, 2},
		{"half way", 5 * time.Minute, 7 * time.Minute, false, 2},
		{"near the end", 5 * time.Minute, 10 * time.Minute, false, 1},
		{"the API had refused", 5 * time.Minute, 0, true, 1},
	} {
		b := start(t, "strict", margin(c.margin))
		refreshAfter(c.age, c.refused)(t, b)
		early := 0
		for _, rule := range b.rules() {
			if rule == testserver.RefreshEarly {
				early++
			}
		}
		assert.Equal(t, c.want, early, "%s: the first of the two refreshes is always early", c.name)
	}
}

func TestARefusalIsAReasonForOneRefreshAlone(t *testing.T) {
	b := start(t, "strict", func(c *testserver.Config) { c.EarlyRefresh = 5 * time.Minute })
	tokens := b.login(t)
	require.NoError(t, b.RevokeAccessTokens())
	b.get("/api/me", tokens.Access)
	_, child := b.refresh(tokens.Refresh).tokens()
	assert.Empty(t, b.rules())
	b.refresh(child)
	assert.Equal(t, []string{testserver.RefreshEarly}, b.rules())
}

func TestAViolationNamesTheRequestThatUsedTheTokenFirst(t *testing.T) {
	b := start(t, "strict", nil)
	token := b.login(t).Refresh
	b.get("/api/me", "")
	b.refresh(token)
	b.get("/api/me", "")
	b.refresh(token)
	require.Len(t, b.Violations(), 1)
	assert.Equal(t, 2, b.Violations()[0].First)
	assert.Equal(t, 4, b.Violations()[0].Exchange)
	assert.Equal(t, b.Exchanges(testserver.Refresh)[0].Presented, b.Exchanges(testserver.Refresh)[1].Presented)
}

func TestATokenOfAHolderWhoWasKilledMayComeBack(t *testing.T) {
	for name, killed := range map[string]time.Duration{"after the answer": time.Second, "before it": 0} {
		b := start(t, "strict", nil)
		tokens := b.login(t)
		began := b.Now()
		b.refresh(tokens.Refresh)
		b.HolderKilled(tokens.Session, began.Add(killed))
		b.Advance(time.Minute)
		b.refresh(tokens.Refresh)
		if killed == 0 {
			assert.Empty(t, b.rules(), name)
			assert.Equal(t, 1, b.Stats().Recoveries)
		} else {
			assert.Contains(t, b.rules(), testserver.RefreshReused, name)
		}
	}
}

func TestAnExchangeIsKeptWithoutItsTokens(t *testing.T) {
	b := start(t, "strict", nil)
	b.fault(t, testserver.Fault{On: testserver.API, Drop: true})
	tokens := b.login(t)
	b.refresh(tokens.Refresh)
	b.get("/api/me?x="+tokens.Access, tokens.Access)
	got := b.Exchanges(testserver.AnyEndpoint)
	require.Len(t, got, 2)
	assert.Equal(t, testserver.Rotated, got[0].Outcome)
	assert.Equal(t, "cli", got[0].Client)
	assert.Equal(t, tokens.Session, got[0].Session)
	assert.True(t, got[0].Delivered)
	assert.Len(t, got[0].Presented, 8)
	assert.Equal(t, 0, got[1].Status)
	assert.Equal(t, []string{"before-handler drop"}, got[1].Faults)
	assert.Equal(t, tokens.Session, got[1].Session)
	assert.False(t, got[1].Delivered)
	assert.Equal(t, "/api/me", got[1].Path)
}
