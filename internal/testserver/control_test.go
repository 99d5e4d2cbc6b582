package testserver_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func controlRequest(method, path, body string) *http.Request {
	r := request(method, path, "application/json", body)
	r.RemoteAddr = "127.0.0.1:40000"
	return r
}

func (b bench) control(method, path, body string) answer {
	return b.do(controlRequest(method, path, body))
}

// created sends a control request that makes something, and returns its id.
func (b bench) created(t *testing.T, path, body string) string {
	t.Helper()
	got := b.control(http.MethodPost, path, body)
	require.Equal(t, http.StatusCreated, got.Code, got.Body.String())
	return got.field("id").(string)
}

func TestFaultsAreSetOverHTTP(t *testing.T) {
	b := start(t, "grace", nil)
	token := b.login(t).Refresh
	id := b.created(t, "/_test/faults", `{"on":"refresh","at":"after-commit","drop":true}`)
	assert.True(t, b.refresh(token).dropped)
	assert.JSONEq(t, `[{"id":"`+id+`","fired":1,"on":"refresh","at":"after-commit","nth":1,"every":1,"times":1,"drop":true}]`,
		b.control(http.MethodGet, "/_test/faults", "").Body.String())
	assert.Equal(t, http.StatusNoContent, b.control(http.MethodDelete, "/_test/faults/"+id, "").Code)
	assert.Equal(t, http.StatusNotFound, b.control(http.MethodDelete, "/_test/faults/"+id, "").Code)

	b.created(t, "/_test/faults", `{"on":"refresh","times":-1,"answer":{"status":503,"retryAfter":"7s"}}`)
	assert.Equal(t, "7", b.refresh(token).Header().Get("Retry-After"))
	assert.Equal(t, http.StatusNoContent, b.control(http.MethodDelete, "/_test/faults", "").Code)
	assert.Equal(t, testserver.ReplayedSame, b.refresh(token).outcome())
}

func TestWhatTheControlPlaneDoesNotKnowIsRefused(t *testing.T) {
	b := start(t, "strict", nil)
	for path, bodies := range map[string][]string{
		"/_test/faults": {`{"edit":"nonsense"}`, `{"drop":true,"onn":"refresh"}`, `{`, `[]`, `{"drop":true} {}`, `{"delay":"soon"}`,
			`{"drop":true,"from":"yesterday"}`, `{"drop":true,"on":"nowhere"}`, `{"incident":"nothing"}`, `{"delay":"99999999d"}`},
		"/_test/scripts":           {`{"on":"nowhere"}`, `{"steps":[{"nth":2,"drop":true}]}`, `{"steps":[{"on":"api","drop":true}]}`},
		"/_test/gates":             {`{"on":"nowhere"}`, `{"at":"on-accept"}`, `{"at":"later"}`},
		"/_test/gates/1/release":   {`{"how":"now"}`},
		"/_test/scenario":          {`{"faults":[{}]}`, `{"gates":[{"at":"later"}]}`},
		"/_test/clock":             {`{"advance":5}`, `{"set":"now"}`},
		"/_test/sessions/x/revoke": {`{"why":1}`},
	} {
		for _, body := range bodies {
			got := b.control(http.MethodPost, path, body)
			assert.Equal(t, http.StatusBadRequest, got.Code, "%s %s", path, body)
			assert.NotEmpty(t, got.field("error"))
		}
	}
	for _, path := range []string{"/_test/gates/99/release", "/_test/sessions/x/revoke", "/_test/sessions/x/killed", "/_test/users/nobody/bump", "/_test/users/nobody/disable"} {
		assert.Equal(t, http.StatusNotFound, b.control(http.MethodPost, path, "").Code, path)
	}
	assert.Equal(t, http.StatusNotFound, b.control(http.MethodGet, "/_test/sessions/x", "").Code)
	assert.Equal(t, http.StatusNotFound, b.control(http.MethodDelete, "/_test/gates/99", "").Code)
	assert.Empty(t, b.Unfired(), "nothing came into force")
}

func TestScriptsAndGatesWorkOverHTTP(t *testing.T) {
	b := start(t, "strict", nil)
	access := b.login(t).Access
	got := b.control(http.MethodPost, "/_test/scripts", `{"on":"api","steps":[{"answer":{"status":418}},{},{"answer":{"status":418}}]}`)
	require.Equal(t, http.StatusNoContent, got.Code, got.Body.String())
	assert.Equal(t, "x.", b.pattern(2, access))
	assert.JSONEq(t, `[{"on":"api","steps":[{"at":"before-handler","answer":{"status":418}}]}]`, b.control(http.MethodGet, "/_test/scripts", "").Body.String())
	b.control(http.MethodDelete, "/_test/scripts", "")
	assert.Equal(t, ".", b.pattern(1, access))

	id := b.created(t, "/_test/gates", `{"on":"api","at":"before-commit"}`)
	done := make(chan int, 3)
	gate := b.Gate(testserver.API, testserver.BeforeHandler)
	for n := range 3 {
		go func() { b.get("/api/me", access); done <- n }()
		require.NoError(t, gate.Wait(t.Context(), 1))
		gate.ReleaseOne()
		require.Eventually(t, func() bool {
			return strings.Contains(b.control(http.MethodGet, "/_test/gates", "").Body.String(), `"held":`+string(rune('1'+n)))
		}, 5*time.Second, time.Millisecond)
	}
	gate.ReleaseAll()
	release := "/_test/gates/" + id + "/release"
	b.control(http.MethodPost, release, `{"last":true}`)
	assert.Equal(t, 2, <-done)
	b.control(http.MethodPost, release, "")
	assert.Equal(t, 0, <-done)
	assert.Equal(t, http.StatusNoContent, b.control(http.MethodDelete, "/_test/gates/"+id, "").Code)
	assert.Equal(t, 1, <-done)
}

func TestTheClocksAreSetOverHTTP(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	began := b.Now()
	b.control(http.MethodPost, "/_test/clock", `{"advance":"7d","skew":"-5m"}`)
	assert.Equal(t, 7*24*time.Hour, b.Now().Sub(began))
	got := b.refresh(tokens.Refresh)
	assert.Equal(t, testserver.SessionExpired, got.outcome())
	assert.Equal(t, b.Now().Add(-5*time.Minute).UTC().Format(http.TimeFormat), got.Header().Get("Date"))
	assert.Equal(t, "-5m0s", b.control(http.MethodPost, "/_test/clock", `{"set":"2030-01-01T00:00:00Z"}`).field("skew"))
	assert.True(t, b.Now().Equal(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)))
}

func TestSessionsAndUsersAreEndedOverHTTP(t *testing.T) {
	b := start(t, "strict", nil)
	one, two, three := b.login(t), b.login(t), b.login(t)
	b.control(http.MethodPost, "/_test/expire", "")
	assert.Equal(t, testserver.AccessInvalid, b.get("/api/me", one.Access).outcome())
	b.control(http.MethodPost, "/_test/sessions/"+one.Session+"/revoke", `{"reason":"stolen"}`)
	assert.Equal(t, testserver.SessionRevoked, b.refresh(one.Refresh).outcome())
	assert.Equal(t, "stolen", b.control(http.MethodGet, "/_test/sessions/"+one.Session, "").field("ended"))
	b.control(http.MethodPost, "/_test/users/alice/bump", "")
	assert.Equal(t, testserver.VersionBumped, b.refresh(two.Refresh).outcome())
	b.control(http.MethodPost, "/_test/users/alice/disable", "")
	assert.Equal(t, testserver.UserDisabled, b.refresh(three.Refresh).outcome())
}

func TestAFamilyIsToldByItsMarks(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	_, child := b.refresh(tokens.Refresh).tokens()
	b.refresh(child)
	var family struct {
		Tokens []struct{ Mark, Parent, Status string }
	}
	require.NoError(t, json.Unmarshal(b.control(http.MethodGet, "/_test/sessions/"+tokens.Session, "").Body.Bytes(), &family))
	require.Len(t, family.Tokens, 3)
	seen := b.Exchanges(testserver.Refresh)
	for i, status := range []string{"rotated", "rotated", "active"} {
		assert.Equal(t, status, family.Tokens[i].Status)
	}
	assert.Equal(t, seen[0].Presented, family.Tokens[0].Mark)
	assert.Equal(t, seen[1].Presented, family.Tokens[1].Mark)
	assert.Equal(t, family.Tokens[0].Mark, family.Tokens[1].Parent)
}

func TestAnIncidentBefallsWhoeverAsks(t *testing.T) {
	for incident, want := range map[string]testserver.Outcome{
		"revoke-session": testserver.SessionRevoked, "bump-user": testserver.VersionBumped,
		"disable-user": testserver.UserDisabled, "expire-access": testserver.Rotated,
	} {
		b := start(t, "strict", nil)
		other, err := b.Login("bob", "phone")
		require.NoError(t, err)
		b.created(t, "/_test/faults", `{"on":"refresh","at":"before-commit","incident":"`+incident+`"}`)
		assert.Equal(t, want, b.refresh(b.login(t).Refresh).outcome(), incident)
		assert.Equal(t, testserver.Rotated, b.refresh(other.Refresh).outcome())
		assert.Empty(t, b.Unfired())
	}
}

func TestTheControlPlaneTellsNoToken(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	access, refresh := b.refresh(tokens.Refresh).tokens()
	b.refresh(tokens.Refresh)
	b.get("/api/me?access_token="+access, access)
	b.do(loginRequest("bob", "hunter2", ""))
	for _, path := range []string{"/_test/requests", "/_test/requests?on=refresh", "/_test/state", "/_test/violations", "/_test/sessions/" + tokens.Session} {
		got := b.control(http.MethodGet, path, "")
		assert.Equal(t, http.StatusOK, got.Code)
		assert.Greater(t, got.Body.Len(), 50, path)
		for _, secret := range []string{tokens.Access, tokens.Refresh, access, refresh, "hunter2"} {
			assert.NotContains(t, got.Body.String(), secret)
		}
	}
}

func TestAResetMakesTheServerNewButForItsSessions(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	b.created(t, "/_test/faults", `{"on":"refresh","drop":true}`)
	b.control(http.MethodPost, "/_test/scripts", `{"on":"refresh","steps":[{"drop":true}]}`)
	b.created(t, "/_test/gates", `{"on":"refresh"}`)
	b.control(http.MethodPost, "/_test/clock", `{"advance":"1m","skew":"1h","accessLag":"1h"}`)
	b.get("/api/me", tokens.Refresh)
	began := b.Now()
	require.NotEmpty(t, b.Violations())
	assert.Equal(t, http.StatusNoContent, b.control(http.MethodPost, "/_test/reset", "").Code)
	assert.Empty(t, b.Violations())
	assert.Empty(t, b.Unfired())
	assert.Equal(t, testserver.Stats{}, b.Stats())
	assert.Equal(t, -time.Minute, b.Now().Sub(began))
	assert.Equal(t, b.Now(), b.Reported())
	assert.Equal(t, testserver.Rotated, b.refresh(tokens.Refresh).outcome())
}

func TestOffLoopbackTheControlPlaneNeedsItsKey(t *testing.T) {
	const key = "the key"
	for _, c := range []struct {
		name, key, given, remote, host, site string
		want                                 int
	}{
		{"from here", "", "", "127.0.0.1:1", "127.0.0.1:9400", "", 200},
		{"from here, IPv6", "", "", "[::1]:1", "[::1]:9400", "", 200},
		{"over a pipe", "", "", "pipe", "localhost", "", 200},
		{"by the server's own name", "", "", "127.0.0.1:1", "auth.test", "", 200},
		{"under a name of somebody's own", "", "", "127.0.0.1:1", "rebound.example.net", "", 403},
		{"from elsewhere", "", "", "192.0.2.1:1", "auth.test", "", 403},
		{"from elsewhere, with an empty key", "", " ", "192.0.2.1:1", "auth.test", "", 403},
		{"from elsewhere, with a wrong key", key, "a key", "192.0.2.1:1", "auth.test", "", 403},
		{"from elsewhere, with the key", key, key, "192.0.2.1:1", "auth.test", "", 200},
		{"from a page of another site", "", "", "127.0.0.1:1", "127.0.0.1:9400", "cross-site", 403},
	} {
		b := start(t, "strict", func(cfg *testserver.Config) { cfg.ControlKey = c.key })
		r := request(http.MethodPost, "/_test/clock", "", "")
		r.RemoteAddr, r.Host = c.remote, c.host
		r.Header.Set("X-Authtest-Key", c.given)
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		assert.Equal(t, c.want, b.do(r).Code, c.name)
	}
}

func TestEventsAreToldAsTheyHappen(t *testing.T) {
	b := start(t, "strict", nil)
	srv := httptest.NewServer(b.Handler())
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL + "/_test/events")
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	b.get("/api/me", b.login(t).Refresh)
	lines := bufio.NewScanner(resp.Body)
	var got []string
	for len(got) < 2 && lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			got = append(got, data)
		}
	}
	require.Len(t, got, 2)
	assert.Contains(t, got[0], `{"violation":{"rule":"refresh-token-misplaced"`)
	assert.Contains(t, got[1], `{"exchange":{"number":1,`)
	b.Stop() // guards getEvents: a stream that stayed would hold Close up
}

func TestAScenarioIsPutInForceWholeOrNotAtAll(t *testing.T) {
	b := start(t, "strict", nil)
	read := func(text string) error {
		sc, err := testserver.ReadScenario(strings.NewReader(text))
		require.NoError(t, err)
		return b.Apply(sc)
	}
	require.Error(t, read(`{"clock":{"skew":"5m"},"faults":[{"on":"refresh","drop":true}],"gates":[{"at":"later"}]}`))
	assert.Empty(t, b.Unfired())
	assert.Equal(t, b.Now(), b.Reported())

	require.NoError(t, read(`{"clock":{"skew":"5m"},"faults":[{"on":"api","from":"+30s","answer":{"status":418}}],
		"scripts":[{"on":"refresh","steps":[{"answer":{"status":503}},{}]}]}`))
	assert.Equal(t, 5*time.Minute, b.Reported().Sub(b.Now()))
	tokens := b.login(t)
	assert.Equal(t, ".", b.pattern(1, tokens.Access))
	b.Advance(30 * time.Second)
	assert.Equal(t, "x", b.pattern(1, tokens.Access))
	assert.Equal(t, http.StatusServiceUnavailable, b.refresh(tokens.Refresh).Code)
	assert.Equal(t, http.StatusOK, b.refresh(tokens.Refresh).Code)
}

// What comes in as a scenario either makes sense or is refused; what was taken
// can be told again and taken again.
func FuzzScenario(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"clock":{"skew":"5m","advance":"7d","set":"2030-01-01T00:00:00Z","accessLag":"2s"}}`,
		`{"faults":[{"on":"refresh","at":"after-commit","drop":true,"from":"+30s","until":"2030-01-01T00:00:00Z"}]}`,
		`{"scripts":[{"on":"refresh","steps":[{"answer":{"status":503,"retryAfter":"date 1s","header":{"A":["b"]}}},{}]}]}`,
		`{"gates":[{"on":"refresh","at":"before-commit"}]}`, `{"faults":[{"times":-1,"probability":0.5,"jitter":"1ms","edit":"bom"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := start(t, "strict", nil)
		if b.control(http.MethodPost, "/_test/scenario", string(data)).Code != http.StatusNoContent {
			return
		}
		var list []map[string]any
		require.NoError(t, json.Unmarshal(b.control(http.MethodGet, "/_test/faults", "").Body.Bytes(), &list))
		for _, fault := range list {
			delete(fault, "id")
			delete(fault, "fired")
			again, err := json.Marshal(fault)
			require.NoError(t, err)
			assert.Equal(t, http.StatusCreated, b.control(http.MethodPost, "/_test/faults", string(again)).Code, "%s", again)
		}
	})
}
