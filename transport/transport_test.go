package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
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
