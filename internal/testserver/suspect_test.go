package testserver_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// journal is a log that a test reads. It is safe for concurrent use.
type journal struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) whole() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// lines returns those of one message and forgets everything so far.
func (j *journal) lines(t *testing.T, message string) []map[string]any {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []map[string]any
	for line := range strings.Lines(j.text.String()) {
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &entry))
		if entry["msg"] == message {
			out = append(out, entry)
		}
	}
	return out
}

func journaled(t *testing.T, profile string, edit func(*testserver.Config)) (bench, *journal) {
	t.Helper()
	j := &journal{}
	b := start(t, profile, func(c *testserver.Config) {
		c.Log = slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
		if edit != nil {
			edit(c)
		}
	})
	return b, j
}

func TestEveryRefusedRefreshHasALine(t *testing.T) {
	type refusal struct {
		outcome testserver.Outcome
		suspect testserver.Suspicion // empty: nothing suspicious
		arrange func(t *testing.T, b bench) *http.Request
	}
	after := func(do func(b bench, tokens testserver.Tokens)) func(*testing.T, bench) *http.Request {
		return func(t *testing.T, b bench) *http.Request {
			tokens := b.login(t)
			do(b, tokens)
			return oauth().request(tokens.Refresh)
		}
	}
	for _, c := range []refusal{
		{testserver.Unknown, "", func(*testing.T, bench) *http.Request { return oauth().request("rt_garbage") }},
		{testserver.MissingToken, "", func(*testing.T, bench) *http.Request { return oauth().request("") }},
		{testserver.ReuseDetected, testserver.Reuse, after(func(b bench, tok testserver.Tokens) { b.refresh(tok.Refresh) })},
		{testserver.ReplayRefused, testserver.Reuse, after(func(b bench, tok testserver.Tokens) {
			b.SetProfile(testserver.Profile{Name: "custom", Replay: testserver.Replay{Mode: testserver.Reject}})
			b.refresh(tok.Refresh)
		})},
		{testserver.SessionRevoked, testserver.RefreshOver, after(func(b bench, tok testserver.Tokens) { _ = b.RevokeSession(tok.Session, "admin") })},
		{testserver.SessionExpired, testserver.RefreshOver, after(func(b bench, _ testserver.Tokens) { b.Advance(8 * 24 * time.Hour) })},
		{testserver.VersionBumped, testserver.RefreshOver, after(func(b bench, _ testserver.Tokens) { _ = b.RevokeUser("alice") })},
		{testserver.UserDisabled, testserver.RefreshOver, after(func(b bench, _ testserver.Tokens) { _ = b.DisableUser("alice") })},
		{testserver.WrongClient, testserver.ForeignClient, func(t *testing.T, b bench) *http.Request {
			form := refreshForm(b.login(t).Refresh)
			form.Set("client_id", "other")
			return formRequest(tokenPath, form)
		}},
		{testserver.ClientRefused, "", func(t *testing.T, b bench) *http.Request {
			form := refreshForm(b.login(t).Refresh)
			form.Set("client_id", "nobody")
			return formRequest(tokenPath, form)
		}},
		{testserver.WrongKey, testserver.KeyMismatch, func(t *testing.T, b bench) *http.Request {
			_, refresh := dpopLogin(t, b, newHolder(t))
			return newHolder(t).proven(t, oauth().request(refresh), b.Now())
		}},
		{testserver.ProofInvalid, "", func(t *testing.T, b bench) *http.Request {
			_, refresh := dpopLogin(t, b, newHolder(t))
			return oauth().request(refresh)
		}},
		{"fault", "", func(t *testing.T, b bench) *http.Request {
			_, err := b.Fault(testserver.Fault{On: testserver.Refresh, Answer: &testserver.Answer{Status: 503}})
			require.NoError(t, err)
			return oauth().request(b.login(t).Refresh)
		}},
	} {
		t.Run(string(c.outcome), func(t *testing.T) {
			b, j := journaled(t, "strict", nil)
			r := c.arrange(t, b)
			b.do(r)
			refused, suspicious := j.lines(t, testserver.LineRefused), j.lines(t, testserver.LineSuspicious)
			require.Len(t, refused, 1)
			assert.Equal(t, "INFO", refused[0]["level"])
			assert.Equal(t, string(c.outcome), refused[0]["outcome"])
			assert.Equal(t, "refresh", refused[0]["endpoint"])
			assert.Equal(t, r.RemoteAddr, refused[0]["remote"])
			if c.suspect == "" {
				assert.Empty(t, suspicious)
				return
			}
			require.Len(t, suspicious, 1)
			assert.Equal(t, "WARN", suspicious[0]["level"])
			assert.Equal(t, string(c.suspect), suspicious[0]["reason"])
			assert.Equal(t, "alice", suspicious[0]["user"])
			assert.Contains(t, suspicious[0]["session"], "ses_")
			assert.NotEmpty(t, suspicious[0]["client"])
		})
	}
}

func TestAGoodRefreshHasNoLine(t *testing.T) {
	b, j := journaled(t, "grace", nil)
	token := b.login(t).Refresh
	b.refresh(token)
	b.refresh(token)
	assert.Empty(t, j.lines(t, testserver.LineRefused))
	assert.Empty(t, j.lines(t, testserver.LineSuspicious))
}

func TestMisplacedAndReplayedCredentialsHaveALine(t *testing.T) {
	b, j := journaled(t, "strict", func(c *testserver.Config) {
		c.Clients = append(c.Clients, testserver.Client{ID: "bound", CertificateBound: true})
	})
	tokens, h := b.login(t), newHolder(t)
	reasons := func() []string {
		var out []string
		for _, l := range j.lines(t, testserver.LineSuspicious) {
			out = append(out, l["reason"].(string))
		}
		return out
	}
	b.get("/api/me", tokens.Refresh)
	assert.Equal(t, []string{testserver.RefreshMisplaced}, reasons())
	b.get("/api/me?token="+tokens.Refresh, "")
	assert.Contains(t, reasons(), testserver.RefreshInURL)
	b.do(withScheme(request(http.MethodGet, "/api/dpop", "", ""), "DPoP "+tokens.Refresh))
	assert.Equal(t, []string{testserver.RefreshMisplaced, testserver.RefreshInURL, testserver.RefreshMisplaced}, reasons())

	r := h.proven(t, formRequest(tokenPath, passwordForm("")), b.Now())
	b.do(r)
	again := formRequest(tokenPath, passwordForm(""))
	again.Header = r.Header
	b.do(again)
	assert.Contains(t, reasons(), string(testserver.ProofReplayed))

	form := passwordForm("")
	form.Set("client_id", "bound")
	access, _ := b.do(certified(formRequest(tokenPath, form), "mine")).tokens()
	b.do(certified(withBearer(request(http.MethodGet, "/api/me", "", ""), access), "stolen"))
	assert.Contains(t, reasons(), string(testserver.CertificateMismatch))

	access, _ = dpopLogin(t, b, h)
	b.do(newHolder(t).shown(t, request(http.MethodGet, "/api/dpop", "", ""), access, b.Now()))
	assert.Contains(t, reasons(), string(testserver.KeyMismatch))
}

func TestAReplayedAssertionHasALine(t *testing.T) {
	h, j := newHolder(t), &journal{}
	b := start(t, "strict", func(c *testserver.Config) {
		c.Log = slog.New(slog.NewJSONHandler(j, nil))
		c.Clients = append(c.Clients, testserver.Client{ID: "signer", JWKS: h.jwks()})
	})
	form := assertionForm(h.assertion(t, "signer", b.Now()))
	b.do(formRequest(tokenPath, form))
	b.do(formRequest(tokenPath, form))
	lines := j.lines(t, testserver.LineSuspicious)
	require.Len(t, lines, 1)
	assert.Equal(t, string(testserver.AssertionReplayed), lines[0]["reason"])
}

// What a stranger writes may be a token that went astray: no line repeats it.
func TestNoLineHoldsATokenOrWhatAStrangerWrote(t *testing.T) {
	b, j := journaled(t, "strict", nil)
	tokens, h := b.login(t), newHolder(t)
	access, refresh := dpopLogin(t, b, h)
	r := h.proven(t, formRequest(tokenPath, refreshForm(refresh)), b.Now())
	proof := r.Header.Get("DPoP")
	assertion := h.assertion(t, "signer", b.Now())
	b.do(r)
	b.do(h.proven(t, formRequest(tokenPath, refreshForm(refresh)), b.Now()))

	stray := refreshForm(tokens.Refresh)
	stray.Set("client_id", tokens.Refresh)
	straying := formRequest(tokenPath, stray)
	straying.Header.Set("User-Agent", tokens.Access)
	b.do(straying)
	b.do(formRequest(tokenPath, assertionForm(assertion)))
	b.get("/api/me?x="+tokens.Refresh, tokens.Refresh)
	b.get("/api/scope/"+tokens.Refresh, tokens.Access)
	b.as(http.MethodDelete, "/sessions/"+tokens.Refresh, tokens.Access)

	for name, secret := range map[string]string{
		"access": tokens.Access, "refresh": tokens.Refresh, "bound access": access, "bound refresh": refresh,
		"proof": proof, "assertion": assertion, "password": "secret\"",
	} {
		assert.NotContains(t, j.whole(), secret, name)
	}
}
