package client_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// canary is a refresh token that must not come out in any text.
const canary = "rt-canary/7f3e+51c9="

// seen is a request as the server got it.
type seen struct {
	*http.Request
	body string
}

// recorder keeps what a server was asked.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex // guards reqs
	reqs []seen
}

// record serves h on loopback and keeps every request.
func record(t *testing.T, h http.HandlerFunc) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(r.keep(h))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) keep(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.reqs = append(r.reqs, seen{req, string(body)})
		r.mu.Unlock()
		h(w, req)
	}
}

func (r *recorder) requests() []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reqs
}

// only returns the one request that the server must have seen.
func (r *recorder) only(t *testing.T) seen {
	t.Helper()
	reqs := r.requests()
	require.Len(t, reqs, 1, "requests that the server saw")
	return reqs[0]
}

// answering returns a handler that always gives this answer.
func answering(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func inJSON(status int, body string) http.HandlerFunc {
	return answering(status, "application/json", body)
}

// oauth returns a Provider for the token endpoint at base+"/token".
func oauth(t *testing.T, base string, change ...func(*client.OAuthConfig)) *client.Provider {
	t.Helper()
	cfg := client.OAuthConfig{TokenURL: base + "/token", RevocationURL: base + "/revoke", ClientID: "cli"}
	for _, f := range change {
		f(&cfg)
	}
	p, err := client.OAuthProvider(cfg)
	require.NoError(t, err)
	return p
}

func firstParty(t *testing.T, base string, change ...func(*client.JSONConfig)) *client.Provider {
	t.Helper()
	cfg := client.JSONConfig{BaseURL: base}
	for _, f := range change {
		f(&cfg)
	}
	p, err := client.JSONProvider(cfg)
	require.NoError(t, err)
	return p
}

func withRefreshToken(token string) tokensource.Grant {
	return tokensource.Grant{AccessToken: tokensource.NewSecret("at-old"), RefreshToken: tokensource.NewSecret(token)}
}

// refresh presents the canary.
func refresh(t *testing.T, p *client.Provider) (tokensource.Grant, error) {
	t.Helper()
	return p.Refresh(context.Background(), withRefreshToken(canary))
}

// facts returns the typed error of a failure, which every failure has.
func facts(t *testing.T, err error) *tokensource.Error {
	t.Helper()
	e, ok := errors.AsType[*tokensource.Error](err)
	require.True(t, ok, "%T: %v", err, err)
	return e
}

// assertClass checks that err is of one class and of no other.
func assertClass(t *testing.T, want, err error) {
	t.Helper()
	for _, class := range []error{tokensource.ErrLoginRequired, tokensource.ErrTryAgain, tokensource.ErrConfig} {
		assert.Equal(t, want == class, errors.Is(err, class), "errors.Is(%v, %v)", err, class)
	}
}

// quiet takes what a server logs about broken connections.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// containsToken reports whether a raw request holds the canary as a form has it.
func containsToken(raw string) bool {
	return strings.Contains(raw, "refresh_token="+url.QueryEscape(canary))
}
