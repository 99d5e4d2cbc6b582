package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/transport"
)

var _ transport.Renewer = (*tokensource.Session)(nil)

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
	method, path, auth, body string
	header                   http.Header
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

func TestNewListsEverythingThatIsWrong(t *testing.T) {
	_, err := transport.New(transport.Config{})
	require.Error(t, err)
	assert.ErrorContains(t, err, "Config.Source is required: a *tokensource.Session")
	assert.ErrorContains(t, err, `Config.Origins is required: list the API servers that may see the token, such as "https://api.example.com"`)
}

func TestTheConfigIsCopied(t *testing.T) {
	api := serve(t, plain, nil)
	other := serve(t, plain, nil)
	list := []string{api.URL}
	client := &http.Client{Transport: newTransport(t, transport.Config{Source: &source{}, Origins: list})}
	list[0] = other.URL
	for _, s := range []*server{api, other} {
		resp, err := client.Do(get(t, s.URL))
		require.NoError(t, err)
		bodyOf(t, resp)
	}
	assert.Equal(t, []string{bearer(1)}, api.auths())
	assert.Equal(t, []string{""}, other.auths())
}

func TestARejectedTokenIsRenewedAndTheRequestSentOnceMore(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){"HTTP/1.1": plain, "HTTP/2": http2} {
		t.Run(name, func(t *testing.T) {
			api := serve(t, start, from(2, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
			src := &source{}
			resp, err := api.client(t, src).Do(get(t, api.URL+"/thing?q=1"))
			require.NoError(t, err)
			assert.Equal(t, name, resp.Proto[:len(name)])
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			assert.Equal(t, "hello", bodyOf(t, resp))
			assert.Equal(t, []string{bearer(1), bearer(2)}, api.auths())
			assert.Equal(t, []uint64{1}, src.renewals())
			assert.Equal(t, 1, src.tokens())
		})
	}
}

func TestASecond401ReachesTheCallerWithItsBodyIntact(t *testing.T) {
	api := serve(t, plain, func(w http.ResponseWriter, _ *http.Request) { reject401(w) })
	src := &source{}
	resp, err := api.client(t, src).Do(get(t, api.URL))
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	assert.Equal(t, "no longer good\n", bodyOf(t, resp))
	assert.Equal(t, []string{bearer(1), bearer(2)}, api.auths())
	assert.Equal(t, []uint64{1}, src.renewals())
}

func TestAnswersThatRejectTheTokenAndAnswersThatDoNot(t *testing.T) {
	for _, c := range []struct {
		name     string
		status   int
		header   []string // WWW-Authenticate fields
		rejected bool
	}{
		{"invalid_token", 401, []string{`Bearer realm="api", error="invalid_token"`}, true},
		{"no challenge at all", 401, nil, true},
		{"no error code", 401, []string{`Bearer realm="api"`}, true},
		{"not for tokens", 401, []string{`Basic realm="api"`}, true},
		{"unreadable", 401, []string{`= , "`}, true},
		{"a code nobody registered", 401, []string{`Bearer error="token_expired"`}, true},
		{"behind schemes that are not ours", 401, []string{`Negotiate YII=, Basic realm="a, Bearer error=\"invalid_request\""`, `Bearer error=invalid_token`}, true},
		{"one of two says so", 401, []string{`DPoP error="use_dpop_nonce"`, `Bearer error="invalid_token"`}, true},
		{"another scheme's parameter", 401, []string{`Custom error="invalid_request"`}, true},
		{"step-up", 401, []string{`Bearer error="insufficient_user_authentication", acr_values="gold"`}, false},
		{"scope as a 401", 401, []string{`bearer error="insufficient_scope", scope="a b"`}, false},
		{"invalid_request", 401, []string{`Bearer error="invalid_request"`}, false},
		{"nonce", 401, []string{`DPoP error="use_dpop_nonce"`}, false},
		{"proof", 401, []string{`DPoP error="invalid_dpop_proof"`}, false},
		{"403 that says invalid_token", 403, []string{`Bearer error="invalid_token"`}, false},
		{"403 for scope", 403, []string{`Bearer error="insufficient_scope"`}, false},
		{"400", 400, []string{`Bearer error="invalid_token"`}, false},
		{"407", 407, []string{`Bearer error="invalid_token"`}, false},
		{"success", 200, []string{`Bearer error="invalid_token"`}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent := 0
			base := roundTripper(func(*http.Request) (*http.Response, error) {
				sent++
				resp := answer(c.status, "the body")
				resp.Header["Www-Authenticate"] = c.header
				return resp, nil
			})
			src := &source{}
			tr := newTransport(t, transport.Config{Source: src, Origins: []string{"https://api.example.com"}, Base: base})
			resp, err := tr.RoundTrip(get(t, "https://api.example.com/"))
			require.NoError(t, err)
			assert.Equal(t, c.status, resp.StatusCode)
			assert.Equal(t, "the body", bodyOf(t, resp))
			if c.rejected {
				assert.Equal(t, []uint64{1}, src.renewals())
				assert.Equal(t, 2, sent)
			} else {
				assert.Empty(t, src.renewals())
				assert.Equal(t, 1, sent)
			}
		})
	}
}

func TestAPredicateAddsRejectionsOfAProvider(t *testing.T) {
	api := serve(t, plain, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != bearer(2) {
			w.Header().Set("X-Token-Expired", "yes")
			w.WriteHeader(http.StatusForbidden)
		}
	})
	src := &source{}
	client := api.client(t, src, func(c *transport.Config) {
		c.Rejected = func(resp *http.Response) bool { return resp.Header.Get("X-Token-Expired") == "yes" }
	})
	resp, err := client.Do(get(t, api.URL))
	require.NoError(t, err)
	bodyOf(t, resp)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, []uint64{1}, src.renewals())
}

func TestAFailedRenewalIsATypedErrorThatKeepsTheAnswer(t *testing.T) {
	long := strings.Repeat("x", 20<<10)
	api := serve(t, plain, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="house", error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, long)
	})
	src := &source{renew: func(context.Context) error { return &tokensource.Error{Reason: tokensource.ReasonRejected} }}
	_, err := api.client(t, src).Do(get(t, api.URL))
	var urlErr *url.Error
	require.ErrorAs(t, err, &urlErr)
	assert.ErrorIs(t, err, tokensource.ErrLoginRequired)
	rejected, ok := errors.AsType[*transport.RejectedError](err)
	require.True(t, ok)
	assert.Equal(t, "transport: the token was rejected (HTTP status 401) and not renewed: "+
		"tokensource: the server rejected the refresh token; log in again", rejected.Error())
	assert.Equal(t, http.StatusUnauthorized, rejected.Response.StatusCode)
	assert.Equal(t, long[:8<<10], bodyOf(t, rejected.Response))
	challenge, ok := transport.ChallengeOf(rejected.Response)
	require.True(t, ok)
	assert.Equal(t, "house", challenge.Realm)
}

func TestARejectedErrorShowsNothingOfTheAnswer(t *testing.T) {
	base := roundTripper(func(*http.Request) (*http.Response, error) { return answer(401, "canary", "Set-Cookie", "canary"), nil })
	src := &source{renew: func(context.Context) error { return errors.New("no") }}
	tr := newTransport(t, transport.Config{Source: src, Origins: []string{"https://api.example.com"}, Base: base})
	_, err := tr.RoundTrip(get(t, "https://api.example.com/"))
	rejected, ok := errors.AsType[*transport.RejectedError](err)
	require.True(t, ok)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		assert.NotContains(t, fmt.Sprintf(verb, rejected), "canary", verb)
		assert.NotContains(t, fmt.Sprintf(verb, struct{ inner any }{rejected}), "canary", verb)
	}
}

func TestWithoutATokenNothingIsSentAndTheBodyIsClosed(t *testing.T) {
	for name, src := range map[string]*source{
		"the source fails":        {tokenErr: &tokensource.Error{Reason: tokensource.ReasonNoSession}},
		"the token is not Bearer": {tokenType: "DPoP"},
		"the token is no token":   {tokenType: "N_A"}, // RFC 8693 2.2.1
	} {
		t.Run(name, func(t *testing.T) {
			base := roundTripper(func(*http.Request) (*http.Response, error) {
				t.Error("the request was sent")
				return answer(200, ""), nil
			})
			tr := newTransport(t, transport.Config{Source: src, Origins: []string{"https://api.example.com"}, Base: base})
			body := &oneShot{Reader: strings.NewReader("x")}
			req := get(t, "https://api.example.com/")
			req.Body = body
			_, err := tr.RoundTrip(req)
			assert.ErrorContains(t, err, "transport: no token for the request: ")
			assert.Equal(t, 1, body.closes())
			if src.tokenErr != nil {
				assert.ErrorIs(t, err, tokensource.ErrLoginRequired)
				return
			}
			assert.ErrorIs(t, err, tokensource.ErrConfig)
			typed, ok := errors.AsType[*transport.TokenTypeError](err)
			require.True(t, ok)
			assert.Equal(t, src.tokenType, typed.Type)
			assert.NotContains(t, err.Error(), "token-1")
		})
	}
}

func TestATokenThatRenewalMadeUnusableIsNotSent(t *testing.T) {
	src := &source{}
	src.renew = func(context.Context) error { src.tokenType = "DPoP"; return nil }
	api := serve(t, plain, from(2, nil))
	_, err := api.client(t, src).Do(get(t, api.URL))
	assert.ErrorIs(t, err, tokensource.ErrConfig)
	assert.Equal(t, []string{bearer(1)}, api.auths())
}

func TestTheCallerSeesItsOwnRequestWithoutTheToken(t *testing.T) {
	api := serve(t, plain, from(2, nil))
	tr := api.client(t, &source{}).Transport
	req := get(t, api.URL)
	req.Header.Set("X-Mine", "1")
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	bodyOf(t, resp)
	assert.Same(t, req, resp.Request)
	assert.Equal(t, http.Header{"X-Mine": {"1"}}, req.Header)
	assert.Equal(t, []string{bearer(1), bearer(2)}, api.auths())
}

// Guards the clipped value slices and the header map of withToken: with the
// caller's map or slices in its hands, a base that adds a field would write
// into what other requests read.
func TestRequestsMayShareOneHeader(t *testing.T) {
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		r.Header.Add("X-Shared", "from the base")
		r.Header.Set("X-Base", "1")
		return answer(200, r.Header.Get("Authorization")), nil
	})
	tr := newTransport(t, transport.Config{Source: &source{}, Origins: []string{"https://api.example.com"}, Base: base})
	roomy := append(make([]string, 0, 8), "a")
	shared := http.Header{"X-Shared": roomy}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/", nil)
			assert.NoError(t, err)
			req.Header = shared
			for range 50 {
				resp, err := tr.RoundTrip(req)
				if assert.NoError(t, err) {
					b, _ := io.ReadAll(resp.Body)
					assert.Equal(t, bearer(1), string(b))
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, http.Header{"X-Shared": {"a"}}, shared)
	assert.Equal(t, []string{"a", ""}, roomy[:2])
}

// Guards the argument of Renew in again: each request must pass the token it
// was sent with, whatever the current one is by then.
func TestAThousandRejectedRequestsEachPassTheTokenTheyWereSentWith(t *testing.T) {
	const n = 1000
	var arrived sync.WaitGroup
	arrived.Add(n)
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") == bearer(1) {
			arrived.Done()
			arrived.Wait() // until every request was sent with token-1
			return answer(401, ""), nil
		}
		return answer(200, r.Header.Get("Authorization")), nil
	})
	src := &source{}
	tr := newTransport(t, transport.Config{Source: src, Origins: []string{"https://api.example.com"}, Base: base})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/", nil)
			resp, err := tr.RoundTrip(req)
			if assert.NoError(t, err) {
				b, _ := io.ReadAll(resp.Body)
				assert.Equal(t, bearer(2), string(b))
			}
		})
	}
	wg.Wait()
	gens := src.renewals()
	require.Len(t, gens, n)
	for _, gen := range gens {
		require.Equal(t, uint64(1), gen)
	}
}

// Guards the context that again gives to Renew.
func TestACallerLeavesARenewalWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{renew: func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			_, _ = io.ReadAll(r.Body)
			_ = r.Body.Close()
			return answer(401, ""), nil
		})
		tr := newTransport(t, transport.Config{Source: src, Origins: []string{"https://api.example.com"}, Base: base})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		body := &oneShot{Reader: strings.NewReader("x")}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.example.com/", body)
		require.NoError(t, err)
		begun := time.Now()
		_, err = tr.RoundTrip(req)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(begun))
		assert.Equal(t, 1, body.closes())
	})
}

func TestAnErrorOfTheBaseIsNotARejection(t *testing.T) {
	failure := errors.New("connection reset")
	sent := 0
	base := roundTripper(func(*http.Request) (*http.Response, error) { sent++; return nil, failure })
	src := &source{}
	tr := newTransport(t, transport.Config{Source: src, Origins: []string{"https://api.example.com"}, Base: base})
	_, err := tr.RoundTrip(get(t, "https://api.example.com/"))
	assert.Equal(t, failure, err)
	assert.Equal(t, 1, sent)
	assert.Empty(t, src.renewals())
}

func TestABaseThatReturnsNothingIsAnError(t *testing.T) {
	base := roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil })
	tr := newTransport(t, transport.Config{Source: &source{}, Origins: []string{"https://api.example.com"}, Base: base})
	_, err := tr.RoundTrip(get(t, "https://api.example.com/"))
	assert.EqualError(t, err, "transport: the base returned neither a response nor an error")
}

func TestCloseIdleConnectionsReachesTheBase(t *testing.T) {
	base := &idler{}
	tr := newTransport(t, transport.Config{Source: &source{}, Origins: []string{"https://api.example.com"}, Base: base})
	(&http.Client{Transport: tr}).CloseIdleConnections()
	assert.Equal(t, 1, base.closed)
}

type idler struct {
	http.RoundTripper
	closed int
}

func (i *idler) CloseIdleConnections() { i.closed++ }
