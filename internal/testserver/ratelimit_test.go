package testserver_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func limited(limits testserver.RateLimits) func(*testserver.Config) {
	return func(c *testserver.Config) { c.RateLimits = limits }
}

func TestARateLimitNeverSpendsTheToken(t *testing.T) {
	once := testserver.Rate{Every: 10 * time.Second}
	for kind, limits := range map[string]testserver.RateLimits{
		"address": {IP: once}, "client": {Client: once}, "session": {Session: once},
	} {
		for _, d := range dialects() {
			t.Run(kind+" "+d.name, func(t *testing.T) {
				b := start(t, "strict", limited(limits))
				_, refresh := b.do(d.request(b.login(t).Refresh)).tokens()
				require.NotEmpty(t, refresh)
				for range 3 {
					got := b.do(d.request(refresh))
					assert.Equal(t, http.StatusTooManyRequests, got.Code)
					assert.Equal(t, testserver.RateLimited, got.outcome())
					assert.Equal(t, "10", got.Header().Get("Retry-After"))
					assert.Equal(t, "no-store", got.Header().Get("Cache-Control"))
					if d.name == "oauth" {
						assert.Equal(t, "temporarily_unavailable", got.field("error"))
					} else {
						assert.Equal(t, "Too many requests", got.field("error"))
					}
				}
				b.Advance(10 * time.Second)
				assert.Equal(t, testserver.Rotated, b.do(d.request(refresh)).outcome(), "who waits as told gets through")
			})
		}
	}
}

func TestEachLimitCountsItsOwn(t *testing.T) {
	once := testserver.Rate{Every: time.Minute}
	from := func(r *http.Request, address string) *http.Request {
		r.RemoteAddr = address
		return r
	}
	t.Run("address", func(t *testing.T) {
		b := start(t, "strict", limited(testserver.RateLimits{IP: once}))
		login := func() *http.Request { return formRequest(tokenPath, passwordForm("")) }
		assert.Equal(t, http.StatusOK, b.do(from(login(), "192.0.2.1:1000")).Code)
		assert.Equal(t, http.StatusTooManyRequests, b.do(from(login(), "192.0.2.1:2000")).Code, "whatever the port")
		assert.Equal(t, http.StatusOK, b.do(from(login(), "192.0.2.2:1000")).Code)
		assert.Equal(t, http.StatusOK, b.do(from(login(), "[2001:db8::1]:1000")).Code)
		forwarded := from(login(), "192.0.2.1:1000")
		forwarded.Header.Set("X-Forwarded-For", "192.0.2.9")
		assert.Equal(t, http.StatusTooManyRequests, b.do(forwarded).Code, "anybody can write that header")
	})
	t.Run("client", func(t *testing.T) {
		b := start(t, "strict", limited(testserver.RateLimits{Client: once}))
		login := func(id string) answer {
			form := passwordForm("")
			form.Set("client_id", id)
			return b.do(formRequest(tokenPath, form))
		}
		assert.Equal(t, http.StatusOK, login("cli").Code)
		assert.Equal(t, http.StatusTooManyRequests, login("cli").Code)
		assert.Equal(t, http.StatusOK, login("other").Code)
		for range 2 { // who is not registered has no bucket, or a flood of names would be one of buckets
			assert.Equal(t, http.StatusUnauthorized, login("nobody").Code)
		}
	})
	t.Run("session", func(t *testing.T) {
		b := start(t, "strict", limited(testserver.RateLimits{Session: once}))
		here, there := b.login(t), b.login(t)
		assert.Equal(t, http.StatusOK, b.refresh(here.Refresh).Code)
		assert.Equal(t, http.StatusTooManyRequests, b.refresh(here.Refresh).Code, "a retired token is not judged, either")
		assert.Equal(t, http.StatusOK, b.refresh(there.Refresh).Code)
	})
}

func TestARefusedRequestIsCountedNowhere(t *testing.T) {
	b := start(t, "strict", limited(testserver.RateLimits{
		IP: testserver.Rate{Every: time.Hour, Burst: 3}, Client: testserver.Rate{Every: time.Minute},
	}))
	login := func() int { return b.do(formRequest(tokenPath, passwordForm(""))).Code }
	require.Equal(t, http.StatusOK, login())
	for range 10 {
		require.Equal(t, http.StatusTooManyRequests, login())
	}
	for range 2 { // the ten have left the other two of the address alone
		b.Advance(time.Minute)
		assert.Equal(t, http.StatusOK, login())
	}
	b.Advance(time.Minute)
	assert.Equal(t, http.StatusTooManyRequests, login())
}

func TestABurstIsLetThrough(t *testing.T) {
	b := start(t, "strict", limited(testserver.RateLimits{IP: testserver.Rate{Every: time.Minute, Burst: 3}}))
	for range 3 {
		require.Equal(t, http.StatusOK, b.do(formRequest(tokenPath, passwordForm(""))).Code)
	}
	assert.Equal(t, http.StatusTooManyRequests, b.do(formRequest(tokenPath, passwordForm(""))).Code)
	b.Advance(time.Hour)
	for range 3 {
		require.Equal(t, http.StatusOK, b.do(formRequest(tokenPath, passwordForm(""))).Code)
	}
}

func TestTheRefusalComesInTheFormThatTheConfigAsksFor(t *testing.T) {
	once := testserver.Rate{Every: 90 * time.Second}
	b := start(t, "strict", limited(testserver.RateLimits{IP: once, RetryAfterDate: true, Body: "<h1>Slow down</h1>"}))
	token := b.login(t).Refresh
	_, next := b.refresh(token).tokens()
	got := b.refresh(next)
	assert.Equal(t, "<h1>Slow down</h1>", got.Body.String())
	assert.Equal(t, "text/html; charset=utf-8", got.Header().Get("Content-Type"))
	at, err := http.ParseTime(got.Header().Get("Retry-After"))
	require.NoError(t, err, "RFC 9110 10.2.3")
	assert.Equal(t, b.Now().Add(90*time.Second+400*time.Millisecond), at, "rounded up to the second")
	b.Advance(at.Sub(b.Now()))
	assert.Equal(t, testserver.Rotated, b.refresh(next).outcome())
}

func TestTheAPIHasNoLimit(t *testing.T) {
	once := testserver.Rate{Every: time.Hour}
	b := start(t, "strict", limited(testserver.RateLimits{IP: once, Client: once, Session: once}))
	access := b.login(t).Access
	for range 5 {
		assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
	}
}

func TestAGuessedPasswordCostsATurn(t *testing.T) {
	b := start(t, "strict", limited(testserver.RateLimits{IP: testserver.Rate{Every: time.Minute, Burst: 2}}))
	guess := url.Values{"grant_type": {"password"}, "client_id": {"cli"}, "username": {"alice"}, "password": {"guess"}}
	for range 2 {
		require.Equal(t, http.StatusBadRequest, b.do(formRequest(tokenPath, guess)).Code)
	}
	assert.Equal(t, http.StatusTooManyRequests, b.do(formRequest(tokenPath, passwordForm(""))).Code)
}

func TestALimitThatMakesNoSenseIsRefused(t *testing.T) {
	p, err := testserver.ProfileNamed("strict")
	require.NoError(t, err)
	for _, r := range []testserver.Rate{{Every: -1}, {Burst: 1}, {Every: 1, Burst: -1}} {
		_, err := testserver.New(testserver.Config{Issuer: "http://auth.test", Profile: p, RateLimits: testserver.RateLimits{Session: r}})
		assert.Error(t, err)
	}
}
