package transport_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/transport"
)

func bearer(gen uint64) string { return fmt.Sprintf("Bearer token-%d", gen) }

func tokenOf(gen uint64, tokenType string) tokensource.Token {
	return tokensource.NewToken(tokensource.TokenID{Generation: gen}, tokensource.Grant{
		AccessToken: tokensource.NewSecret(fmt.Sprintf("token-%d", gen)),
		TokenType:   tokenType,
	})
}

// source is a Renewer that counts. Its tokens are called token-1, token-2 ...
type source struct {
	mu       sync.Mutex // guards the rest
	gen      uint64     // 0 counts as 1
	asked    int
	rejected []tokensource.Token
	// The three below are set before use. renew, if not nil, runs inside
	// Renew, without the lock.
	tokenErr  error
	tokenType string
	renew     func(context.Context) error
}

func (s *source) Token(context.Context) (tokensource.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	s.gen = max(s.gen, 1)
	return tokenOf(s.gen, s.tokenType), s.tokenErr
}

func (s *source) Renew(ctx context.Context, rejected tokensource.Token) (tokensource.Token, error) {
	s.mu.Lock()
	s.rejected = append(s.rejected, rejected)
	s.mu.Unlock()
	if s.renew != nil {
		if err := s.renew(ctx); err != nil {
			return tokensource.Token{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if rejected.ID().Generation == s.gen {
		s.gen++
	}
	return tokenOf(s.gen, s.tokenType), nil
}

// renewals returns the generations that were rejected.
func (s *source) renewals() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gens []uint64
	for _, t := range s.rejected {
		gens = append(gens, t.ID().Generation)
	}
	return gens
}

func (s *source) tokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// sight is a request as a server received it.
type sight struct {
	method, path, auth string
	header             http.Header
}

// server is an API that keeps what it saw. It answers through handle.
type server struct {
	*httptest.Server
	mu   sync.Mutex // guards seen and conns
	seen []sight
	// conns counts the connections that were opened.
	conns int
}

// serve starts an API on loopback. handle may be nil: 200 for every request.
func serve(t *testing.T, start func(*httptest.Server), handle http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.note(sight{method: r.Method, path: r.URL.Path, auth: r.Header.Get("Authorization"), header: r.Header.Clone()})
		if handle != nil {
			handle(w, r)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			s.conns++
			s.mu.Unlock()
		}
	}
	start(s.Server)
	t.Cleanup(s.Close)
	return s
}

func plain(s *httptest.Server)  { s.Start() }
func secure(s *httptest.Server) { s.StartTLS() }
func http2(s *httptest.Server)  { s.EnableHTTP2 = true; s.StartTLS() }

func (s *server) note(v sight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, v)
}

func (s *server) sights() []sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]sight(nil), s.seen...)
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// auths returns the Authorization fields that arrived, in order.
func (s *server) auths() []string {
	list := []string{}
	for _, v := range s.sights() {
		list = append(list, v.auth)
	}
	return list
}

// client returns a client of s through a Transport.
func (s *server) client(t *testing.T, src transport.Renewer, change ...func(*transport.Config)) *http.Client {
	t.Helper()
	cfg := transport.Config{Source: src, Origins: []string{s.URL}, Base: s.Client().Transport}
	for _, c := range change {
		c(&cfg)
	}
	return &http.Client{Transport: newTransport(t, cfg)}
}

func newTransport(t *testing.T, cfg transport.Config) *transport.Transport {
	t.Helper()
	tr, err := transport.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, tr.Close(context.WithoutCancel(t.Context()))) })
	return tr
}

// reject401 is how a resource server says that the token is no longer good.
func reject401(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	http.Error(w, "no longer good", http.StatusUnauthorized)
}

// from accepts tokens of generation gen only.
func from(gen uint64, ok http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != bearer(gen) {
			reject401(w)
			return
		}
		if ok != nil {
			ok(w, r)
		}
	}
}

// roundTripper is a base that tests write by hand.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer is a response as a base returns it.
func answer(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
}

func get(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	return req
}

func bodyOf(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(b)
}
