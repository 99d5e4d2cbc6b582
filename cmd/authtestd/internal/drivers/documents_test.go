package drivers_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

const (
	callback = "http://127.0.0.1:4711/callback"
	verifier = "a-verifier-that-is-long-enough-to-be-one-of-them"
)

// code is one that alice agreed to.
func (n node) code(t *testing.T) string {
	t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	location, err := n.Approve(t.Context(), "http://auth.test/oauth/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {"cli"}, "redirect_uri": {callback}, "scope": {"notes"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode(), "alice")
	require.NoError(t, err)
	u, err := url.Parse(location)
	require.NoError(t, err)
	return u.Query().Get("code")
}

func (n node) redeemCode(code string) answer {
	return n.post("/oauth/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"cli"}, "code": {code},
		"redirect_uri": {callback}, "code_verifier": {verifier},
	})
}

// Guards documents.update, and RFC 6749 4.1.2: a code that is shown twice ends
// what it began, also where another process was shown it first.
func TestACodeIsGoodOnceWhicheverServerIsShownIt(t *testing.T) {
	shared(t, func(t *testing.T, p place) {
		nodes := []node{p.serve(t, "strict", nil), p.serve(t, "strict", nil)}
		code := nodes[0].code(t)
		first := nodes[0].redeemCode(code)
		assert.Equal(t, http.StatusOK, first.status)
		assert.Equal(t, http.StatusBadRequest, nodes[1].redeemCode(code).status)
		assert.Equal(t, testserver.SessionRevoked, nodes[0].refresh(first.refresh).outcome)
		for range few {
			code, good := nodes[0].code(t), atomic.Int64{}
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					if nodes[i%2].redeemCode(code).status == http.StatusOK {
						good.Add(1)
					}
				})
			}
			wg.Wait()
			assert.LessOrEqual(t, good.Load(), int64(1))
		}
		list, err := nodes[1].Sessions("alice")
		require.NoError(t, err)
		for _, sess := range list {
			assert.NotEmpty(t, sess.Ended)
		}
	})
}

// Guards sweep: what has expired by the server's clock does not pile up.
func TestACodeEndsByTheServersClockAndIsThenForgotten(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		n := p.serve(t, "strict", nil)
		code, late := n.code(t), n.code(t)
		assert.Equal(t, http.StatusOK, n.redeemCode(code).status)
		n.Advance(time.Hour)
		assert.Equal(t, http.StatusBadRequest, n.redeemCode(late).status)
		if p.dsn == "" {
			return
		}
		ending := func() (count int) {
			require.NoError(t, p.peek.QueryRow(`SELECT count(*) FROM documents WHERE expires_at IS NOT NULL`).Scan(&count))
			return count
		}
		assert.NotZero(t, ending())
		n.Advance(8 * 24 * time.Hour)
		n.login(t) // sweeps
		assert.Zero(t, ending())
	})
}

func TestAClientThatRegisteredIsKnownAfterARestart(t *testing.T) {
	shared(t, func(t *testing.T, p place) {
		r := httptest.NewRequest(http.MethodPost, "http://auth.test/oauth/register", strings.NewReader(
			`{"redirect_uris":["http://127.0.0.1/cb"],"grant_types":["client_credentials"],"token_endpoint_auth_method":"client_secret_post"}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		before := p.serve(t, "strict", nil)
		before.Handler().ServeHTTP(w, r)
		require.Equal(t, http.StatusCreated, w.Code, w.Body.String())
		var client struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &client))
		before.Close()

		got := p.serve(t, "strict", nil).post("/oauth/token", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {client.ID}, "client_secret": {client.Secret},
		})
		assert.Equal(t, http.StatusOK, got.status)
		assert.Equal(t, testserver.Minted, got.outcome)
	})
}

// Guards the branches: siblings live side by side, and nothing else does.
func TestEveryModeOfReplayWorksWhereverTheSessionIsKept(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		for profile, want := range map[string]struct {
			outcome testserver.Outcome
			active  int
		}{
			"hydra-grace": {testserver.Forked, 2},
			"mas":         {testserver.Replaced, 1},
			"flowfuse":    {testserver.OnlyAccess, 1},
			"duende":      {testserver.ReplayRefused, 1},
			"supabase":    {testserver.ReplayedSame, 1},
			"hydra":       {testserver.ReuseDetected, 0},
		} {
			n := p.serve(t, profile, nil)
			tokens := n.login(t)
			require.Equal(t, http.StatusOK, n.refresh(tokens.Refresh).status, profile)
			assert.Equal(t, want.outcome, n.refresh(tokens.Refresh).outcome, profile)
			assert.Contains(t, []int{want.active, -1}, p.active(t, tokens.Session), profile)
		}
	})
}
