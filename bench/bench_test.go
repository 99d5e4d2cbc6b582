package bench_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/oauth2"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/transport"
)

// accessToken is as long as a JWT with a dozen claims.
var accessToken = strings.Repeat("a", 900)

// endpoint stands for a token endpoint: it counts, and takes its time.
type endpoint struct {
	requests atomic.Int64
	latency  time.Duration
}

func (e *endpoint) issue() string {
	e.requests.Add(1)
	time.Sleep(e.latency)
	return accessToken
}

func (e *endpoint) Refresh(context.Context, tokensource.Grant) (tokensource.Grant, error) {
	return tokensource.Grant{AccessToken: tokensource.NewSecret(e.issue()), Expiry: time.Now().Add(time.Hour)}, nil
}

// Token is oauth2's side of the endpoint.
func (e *endpoint) Token() (*oauth2.Token, error) {
	return &oauth2.Token{AccessToken: e.issue(), Expiry: time.Now().Add(time.Hour)}, nil
}

// session returns a pawl session whose token is good for that long.
func session(b *testing.B, e *endpoint, good time.Duration) *tokensource.Session {
	b.Helper()
	s, err := tokensource.NewSession(tokensource.Config{
		Key: tokensource.NewKey("https://as.example", "bench", ""), Store: tokensource.NewMemoryStore(), Refresher: e,
	})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	err = s.Adopt(b.Context(), tokensource.Grant{
		AccessToken: tokensource.NewSecret(accessToken), RefreshToken: tokensource.NewSecret("rt"),
		IssuedAt: now.Add(-time.Hour), Expiry: now.Add(good),
	})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func oauth2Source(e *endpoint, good time.Duration) oauth2.TokenSource {
	return oauth2.ReuseTokenSource(&oauth2.Token{AccessToken: accessToken, Expiry: time.Now().Add(good)}, e)
}

// awsProvider is the AWS SDK's end of the same thing.
type awsProvider struct{}

func (awsProvider) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "a", SecretAccessKey: accessToken, CanExpire: true, Expires: time.Now().Add(10 * time.Hour)}, nil
}

// BenchmarkToken is the hot path: a current token, serially and in parallel.
func BenchmarkToken(b *testing.B) {
	ctx := context.Background()
	s, o := session(b, &endpoint{}, 10*time.Hour), oauth2Source(&endpoint{}, 10*time.Hour)
	a := aws.NewCredentialsCache(awsProvider{})
	for _, peer := range []struct {
		name string
		call func()
	}{
		{"clock", func() { _ = time.Now() }}, // what any expiry check costs at least
		{"pawl", func() { _, _ = s.Token(ctx) }},
		{"oauth2", func() { _, _ = o.Token() }},
		{"aws", func() { _, _ = a.Retrieve(ctx) }},
	} {
		b.Run("serial/"+peer.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				peer.call()
			}
		})
		b.Run("parallel/"+peer.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					peer.call()
				}
			})
		})
	}
}

// stub answers at once, so that only the transport above it is measured.
type stub struct{}

func (stub) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: nil, Request: req}, nil
}

func transports(b *testing.B, origin string, base http.RoundTripper) map[string]http.RoundTripper {
	b.Helper()
	t, err := transport.New(transport.Config{Source: session(b, &endpoint{}, 10*time.Hour), Origins: []string{origin}, Base: base})
	if err != nil {
		b.Fatal(err)
	}
	return map[string]http.RoundTripper{
		"bare": base, "pawl": t,
		"oauth2": &oauth2.Transport{Source: oauth2Source(&endpoint{}, 10*time.Hour), Base: base},
	}
}

var names = []string{"bare", "pawl", "oauth2"}

func request(b *testing.B, url string) *http.Request {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, h := range []string{"Accept", "Accept-Language", "User-Agent", "X-Request-Id", "X-Trace"} {
		req.Header.Set(h, "value")
	}
	return req
}

// BenchmarkRoundTrip is what the transport adds to a request: a 900-byte
// token, 5 headers, over a stub.
func BenchmarkRoundTrip(b *testing.B) {
	all := transports(b, "https://api.example", stub{})
	req := request(b, "https://api.example/v1/things")
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				resp, err := all[name].RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				_ = resp.Body.Close()
			}
		})
	}
}

// BenchmarkLoopback is a whole request to a server on this machine. The three
// take turns, so that whatever else the machine does falls on all of them.
func BenchmarkLoopback(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer srv.Close()
	all := transports(b, srv.URL, srv.Client().Transport)
	took := map[string][]time.Duration{}
	for b.Loop() {
		for _, name := range names {
			start := time.Now()
			resp, err := all[name].RoundTrip(request(b, srv.URL))
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			took[name] = append(took[name], time.Since(start))
		}
	}
	for _, name := range names {
		slices.Sort(took[name])
		b.ReportMetric(float64(took[name][len(took[name])/2])/float64(time.Microsecond), name+"-p50-us")
	}
}

// BenchmarkExpired is 10,000 callers that find an expired token at a token
// endpoint that takes 20 ms.
func BenchmarkExpired(b *testing.B) {
	const callers = 10_000
	run := func(b *testing.B, source func(e *endpoint) func() error) {
		var requests int64
		for b.Loop() {
			b.StopTimer()
			e := &endpoint{latency: 20 * time.Millisecond}
			call := source(e)
			b.StartTimer()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					if err := call(); err != nil {
						b.Error(err)
					}
				})
			}
			wg.Wait()
			requests += e.requests.Load()
		}
		b.ReportMetric(float64(requests)/float64(b.N), "token-requests")
	}
	b.Run("pawl", func(b *testing.B) {
		run(b, func(e *endpoint) func() error {
			s := session(b, e, -time.Minute)
			return func() error { _, err := s.Token(context.Background()); return err }
		})
	})
	b.Run("oauth2", func(b *testing.B) {
		run(b, func(e *endpoint) func() error {
			s := oauth2Source(e, -time.Minute)
			return func() error { _, err := s.Token(); return err }
		})
	})
}
