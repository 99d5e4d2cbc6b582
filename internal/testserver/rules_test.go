package testserver_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

var teapot = testserver.Answer{Status: http.StatusTeapot}

// pattern asks the API n times and tells which requests were hit.
func (b bench) pattern(n int, access string) string {
	out := ""
	for range n {
		if b.get("/api/me", access).Code == http.StatusTeapot {
			out += "x"
		} else {
			out += "."
		}
	}
	return out
}

func TestAFaultHitsEverySoManieth(t *testing.T) {
	b := start(t, "strict", nil)
	access := b.login(t).Access
	b.fault(t, testserver.Fault{On: testserver.API, Nth: 2, Every: 3, Times: 3, Answer: &teapot})
	assert.Equal(t, ".x..x..x.....", b.pattern(13, access))
}

func TestChanceIsRepeatedFromItsSeed(t *testing.T) {
	draw := func(seed uint64) string {
		b := start(t, "strict", nil)
		access := b.login(t).Access
		b.fault(t, testserver.Fault{On: testserver.API, Probability: 0.5, Seed: seed, Times: testserver.Forever, Answer: &teapot})
		return b.pattern(64, access)
	}
	assert.Equal(t, draw(1), draw(1))
	assert.NotEqual(t, draw(1), draw(2))
	assert.Contains(t, draw(1), "x")
	assert.Contains(t, draw(1), ".")
}

func TestJitterIsRepeatedFromItsSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took [2]time.Duration
		for i := range took {
			b := start(t, "strict", nil)
			b.fault(t, testserver.Fault{On: testserver.API, Delay: time.Minute, Jitter: time.Hour, Seed: 7})
			began := time.Now()
			b.get("/api/me", "")
			took[i] = time.Since(began)
		}
		assert.Equal(t, took[0], took[1])
		assert.Greater(t, took[0], time.Minute)
		assert.Less(t, took[0], time.Hour+time.Minute)
	})
}

func TestAFaultHasAWindowOnTheServersClock(t *testing.T) {
	b := start(t, "strict", nil)
	now := b.Now()
	b.fault(t, testserver.Fault{On: testserver.API, From: now.Add(time.Minute), Until: now.Add(2 * time.Minute), Times: testserver.Forever, Answer: &teapot})
	access, got := b.login(t).Access, ""
	for range 4 {
		got += b.pattern(1, access)
		b.Advance(30 * time.Second)
	}
	assert.Equal(t, "..xx", got)
	assert.Equal(t, ".", b.pattern(1, access))
}

func TestAFaultKnowsWhoseRequestItIs(t *testing.T) {
	for name, f := range map[string]testserver.Fault{
		"user":    {User: "bob"},
		"device":  {Device: "phone"},
		"session": {Session: "bob's"},
		"header":  {Header: "X-Mark"},
		"value":   {Header: "X-Mark: bob"},
		"func":    {Match: func(r *http.Request) bool { return r.Header.Get("X-Mark") == "bob" }},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, "strict", nil)
			alice := b.login(t)
			bob, err := b.Login("bob", "phone")
			require.NoError(t, err)
			if f.Session != "" {
				f.Session = bob.Session
			}
			f.Times, f.Answer = testserver.Forever, &teapot
			b.fault(t, f)
			hits := func(r *http.Request, mark bool) bool {
				if mark {
					r.Header.Set("X-Mark", "bob")
				}
				return b.do(r).Code == http.StatusTeapot
			}
			call := func(access string) *http.Request {
				r := request(http.MethodGet, "/api/me", "", "")
				r.Header.Set("Authorization", "Bearer "+access)
				return r
			}
			assert.False(t, hits(call(alice.Access), false))
			assert.True(t, hits(call(bob.Access), true))
			assert.False(t, hits(oauth().request(alice.Refresh), false))
			assert.True(t, hits(oauth().request(bob.Refresh), true))
		})
	}
}

func TestAFaultKnowsTheClientAndUserOfAForm(t *testing.T) {
	b := start(t, "strict", nil)
	b.fault(t, testserver.Fault{Client: "other", Times: testserver.Forever, Answer: &teapot})
	b.fault(t, testserver.Fault{User: "bob", Times: testserver.Forever, Answer: &teapot})
	form := passwordForm("")
	assert.Equal(t, http.StatusOK, b.do(formRequest("/oauth/token", form)).Code)
	form.Set("client_id", "other")
	assert.Equal(t, http.StatusTeapot, b.do(formRequest("/oauth/token", form)).Code)
	assert.Equal(t, http.StatusTeapot, b.do(loginRequest("bob", "hunter2", "")).Code)
	assert.Equal(t, http.StatusOK, b.do(loginRequest("alice", "secret", "")).Code)
	basic := formRequest("/oauth/token", form)
	basic.SetBasicAuth("other", "")
	assert.Equal(t, http.StatusTeapot, b.do(basic).Code)
}

// A proxy that saw no answer in time sends the request again.
func TestARequestDeliveredTwiceIsNoFaultOfItsClient(t *testing.T) {
	for profile, want := range map[string]testserver.Outcome{"strict": testserver.ReuseDetected, "grace": testserver.ReplayedSame} {
		for _, d := range dialects() {
			b := start(t, profile, nil)
			token := b.login(t).Refresh
			b.fault(t, testserver.Fault{On: testserver.Refresh, Twice: true})
			assert.Equal(t, want, b.do(d.request(token)).outcome())
			assert.Equal(t, 2, b.Redemptions(token))
			assert.Equal(t, 2, b.Stats().RefreshRequests)
			assert.Empty(t, b.rules())
		}
	}
}

func TestABodyDeliveredTwiceIsTheSameBody(t *testing.T) {
	b := start(t, "strict", nil)
	r := request(http.MethodPost, "/api/echo", "", "hello")
	r.Header.Set("Authorization", "Bearer "+b.login(t).Access)
	b.fault(t, testserver.Fault{On: testserver.API, Twice: true})
	assert.EqualValues(t, 5, b.do(r).field("bodyLength"))
}

func TestOneStepOfAScriptMeetsOneRequest(t *testing.T) {
	b := start(t, "strict", nil)
	access := b.login(t).Access
	require.NoError(t, b.Script(testserver.API, testserver.Fault{Answer: &teapot}, testserver.Fault{}, testserver.Fault{Answer: &teapot}))
	require.NoError(t, b.Script(testserver.API, testserver.Fault{Answer: &teapot}))
	require.Error(t, b.Script(testserver.API, testserver.Fault{Edit: "nonsense"}))
	require.Error(t, b.Script("nonsense"))
	assert.Equal(t, "x.", b.pattern(2, access))
	assert.Len(t, b.Unfired(), 2)
	assert.Equal(t, "xx..", b.pattern(4, access))
	assert.Empty(t, b.Unfired())
}

// A step whose stage its request never reaches has not fired.
func TestAStepThatItsRequestEscapedIsUnfired(t *testing.T) {
	b := start(t, "strict", nil)
	require.NoError(t, b.Script(testserver.Refresh, testserver.Fault{At: testserver.AfterCommit, Drop: true}))
	b.refresh("rt_unknown")
	assert.Len(t, b.Unfired(), 1)
}

func TestTheLastMayBeAnsweredFirst(t *testing.T) {
	b := start(t, "strict", nil)
	gate := b.Gate(testserver.API, testserver.AfterCommit)
	done := make(chan int, 2)
	for n := range 2 {
		go func() { b.get("/api/401-always", ""); done <- n }()
		require.NoError(t, gate.Wait(t.Context(), n+1))
	}
	require.True(t, gate.ReleaseLast())
	assert.Equal(t, 1, <-done)
	require.True(t, gate.ReleaseLast())
	assert.Equal(t, 0, <-done)
	assert.False(t, gate.ReleaseLast())
}
