package transport_test

import (
	"context"
	"math"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/transport"
)

// constant is a Renewer that costs nothing.
type constant struct{ token tokensource.Token }

func (c constant) Token(context.Context) (tokensource.Token, error) { return c.token, nil }

func (c constant) Renew(context.Context, tokensource.Token) (tokensource.Token, error) {
	return c.token, nil
}

// hot is what the budget is measured with: a stub base, a token of 900 bytes
// and a request with 5 header fields.
func hot(tb testing.TB) (*transport.Transport, *http.Request) {
	tb.Helper()
	token := tokensource.NewToken(tokensource.TokenID{Generation: 1},
		tokensource.Grant{AccessToken: tokensource.NewSecret(strings.Repeat("t", 900))})
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
	tr, err := transport.New(transport.Config{
		Source:  constant{token},
		Origins: []string{"https://api.example.com"},
		Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			if len(r.Header["Authorization"]) != 1 {
				tb.Error("no token")
			}
			return resp, nil
		}),
	})
	require.NoError(tb, err)
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "https://api.example.com/v1/things?page=2", nil)
	require.NoError(tb, err)
	for _, name := range []string{"Accept", "Accept-Language", "User-Agent", "X-Request-Id", "If-None-Match"} {
		req.Header.Set(name, "value of "+name)
	}
	return tr, req
}

func TestARoundTripCostsThreeAllocationsAnd800Bytes(t *testing.T) {
	tr, req := hot(t)
	trip := func() { _, _ = tr.RoundTrip(req) }
	assert.LessOrEqual(t, testing.AllocsPerRun(1000, trip), 3.0)

	const runs = 1000
	least := uint64(math.MaxUint64)
	for range 5 { // goroutines of other tests may still be ending
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			trip()
		}
		runtime.ReadMemStats(&after)
		least = min(least, (after.TotalAlloc-before.TotalAlloc)/runs)
	}
	assert.LessOrEqual(t, least, uint64(800), "bytes")
}

func BenchmarkRoundTrip(b *testing.B) {
	tr, req := hot(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.RoundTrip(req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRoundTripParallel(b *testing.B) {
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})
	tr, err := transport.New(transport.Config{Source: constant{tokenOf(1, "")}, Origins: []string{"https://api.example.com"}, Base: base})
	require.NoError(b, err)
	_, req := hot(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := tr.RoundTrip(req); err != nil {
				b.Error(err)
			}
		}
	})
}
