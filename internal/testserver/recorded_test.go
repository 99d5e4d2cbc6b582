package testserver_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// recorded is one exchange with a real server: see testdata/recorded.
type recorded struct {
	ID     string         `json:"id"`
	Kind   string         `json:"kind"` // login, refresh, access, revoke, logout
	At     int            `json:"at"`   // seconds since the first one
	Status int            `json:"status"`
	Token  string         `json:"token"` // a placeholder
	Body   map[string]any `json:"body"`
}

func readRecorded(t *testing.T, profile string) []recorded {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "recorded", profile+".jsonl"))
	require.NoError(t, err)
	var out []recorded
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		var e recorded
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e))
		out = append(out, e)
	}
	return out
}

// conversation repeats a recording with the profile made after it.
type conversation struct {
	bench
	profile testserver.Profile
	tokens  map[string]string // ours, by placeholder
}

func TestARecordedConversationGoesTheSameWay(t *testing.T) {
	asItIs := func(*testserver.Replay) {}
	for _, r := range []struct {
		profile string
		access  time.Duration
		change  func(*testserver.Replay) // where the real one was set up with other numbers
	}{
		{"hydra", 5 * time.Second, asItIs},
		{"hydra-grace", 5 * time.Second, func(r *testserver.Replay) { r.Window = 3 * time.Second }},
		{"dex", 5 * time.Second, asItIs},
		{"supabase", 5 * time.Second, func(r *testserver.Replay) { r.AncestorWindow = 3 * time.Second }},
		{"better-auth", 3 * time.Second, asItIs},
	} {
		t.Run(r.profile, func(t *testing.T) {
			profile, err := testserver.ProfileNamed(r.profile)
			require.NoError(t, err)
			r.change(&profile.Replay)
			b := start(t, r.profile, func(c *testserver.Config) { c.Profile, c.AccessTTL = profile, r.access })
			c := conversation{b, profile, make(map[string]string)}
			c.repeat(t, readRecorded(t, r.profile))
		})
	}
}

func (c conversation) repeat(t *testing.T, list []recorded) {
	t.Helper()
	at := 0
	for len(list) > 0 {
		e := list[0]
		c.Advance(time.Duration(e.At-at) * time.Second)
		at, list = e.At, list[1:]
		if strings.Contains(e.ID, "-concurrent-") && !strings.Contains(e.ID, "after") {
			c.race(t, e, list[0])
			list = list[1:]
			continue
		}
		c.step(t, e)
	}
}

// race repeats two refreshes that were under way at once: the one that was
// answered well is let through first.
func (c conversation) race(t *testing.T, one, other recorded) {
	t.Helper()
	if one.Status != http.StatusOK {
		one, other = other, one
	}
	d := dialect{"profile", func(token string) *http.Request { return c.request(recorded{}, token) }}
	winner, loser := inOrderBy(t, c.bench, d, c.tokens[one.Token], nil)
	c.compare(t, one, winner)
	c.compare(t, other, loser)
}

func (c conversation) step(t *testing.T, e recorded) {
	t.Helper()
	ours := c.tokens[e.Token]
	switch e.Kind {
	case "login":
		tokens := c.login(t)
		c.bind(e, tokens.Access, tokens.Refresh)
	case "refresh":
		c.compare(t, e, c.do(c.request(e, ours)))
	case "access":
		good := e.Status == http.StatusOK
		assert.Equal(t, good, c.get("/api/me", ours).Code == http.StatusOK, e.ID)
	case "revoke":
		got := c.do(formRequest("/oauth/revoke", url.Values{"client_id": {"cli"}, "token": {ours}}))
		assert.Equal(t, e.Status, got.Code, e.ID)
	case "logout":
		session, _ := part(t, ours, 1)["sid"].(string)
		require.NoError(t, c.RevokeSession(session, "logout"))
	}
}

// request presents a token where and how the profile's server wants it.
func (c conversation) request(e recorded, token string) *http.Request {
	if strings.HasSuffix(e.ID, "garbage") {
		token = "garbage"
	}
	form := refreshForm(token)
	if strings.Contains(e.ID, "by-other-client") {
		form.Set("client_id", "other")
	}
	if c.profile.Wire.Body != testserver.BodyGoTrue {
		return formRequest(c.profile.Wire.Path, form)
	}
	path := c.profile.Wire.Path + "?grant_type=refresh_token"
	if strings.HasSuffix(e.ID, "form-encoded") {
		return formRequest(path, form)
	}
	return jsonRequest(path, map[string]string{"refresh_token": token})
}

// compare holds an answer against the recorded one: the status, the words of a
// refusal, the members of a token answer, and which refresh token it holds.
func (c conversation) compare(t *testing.T, e recorded, got answer) {
	t.Helper()
	require.Equal(t, e.Status, got.Code, "%s: %s", e.ID, got.Body)
	if e.Status != http.StatusOK {
		want, err := json.Marshal(e.Body)
		require.NoError(t, err)
		assert.JSONEq(t, string(want), got.Body.String(), e.ID)
		return
	}
	members := slices.DeleteFunc(got.members(), func(name string) bool { return name == "scope" }) // none was asked for
	delete(e.Body, "scope")
	assert.ElementsMatch(t, slices.Collect(maps.Keys(e.Body)), members, e.ID)
	assert.Equal(t, e.Body["token_type"], got.field("token_type"), e.ID)
	access, refresh := got.tokens()
	label, _ := e.Body["refresh_token"].(string)
	if known, ok := c.tokens[label]; ok {
		assert.Equal(t, known, refresh, "%s: the same token as before", e.ID)
	} else {
		assert.NotContains(t, slices.Collect(maps.Values(c.tokens)), refresh, "%s: a new token", e.ID)
	}
	c.bind(e, access, refresh)
}

func (c conversation) bind(e recorded, access, refresh string) {
	for name, ours := range map[string]string{"access_token": access, "refresh_token": refresh} {
		if label, ok := e.Body[name].(string); ok {
			c.tokens[label] = ours
		}
	}
}
