package transport_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/transport"
)

func TestASmall401IsDrainedSoThatItsConnectionIsReused(t *testing.T) {
	for _, c := range []struct {
		name        string
		length      int
		chunked     bool
		connections int
	}{
		{"empty", 0, false, 1},
		{"small", 100, false, 1},
		{"longer than what is kept", 60 << 10, false, 1},
		{"small, length unknown", 100, true, 1},
		{"large", 1 << 20, false, 2},
		{"large, length unknown", 1 << 20, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			api := serve(t, plain, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == bearer(2) {
					return
				}
				if !c.chunked {
					w.Header().Set("Content-Length", fmt.Sprint(c.length))
				}
				w.WriteHeader(http.StatusUnauthorized)
				_ = http.NewResponseController(w).Flush()
				_, _ = io.WriteString(w, strings.Repeat("x", c.length))
			})
			resp, err := api.client(t, &source{}).Do(get(t, api.URL))
			require.NoError(t, err)
			bodyOf(t, resp)
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			assert.Equal(t, c.connections, api.connections())
		})
	}
}

func TestNoMoreOfA401IsReadThanIsKeptOrWorthIt(t *testing.T) {
	for name, c := range map[string]struct{ announced, most int64 }{
		"small":          {60 << 10, 60 << 10},
		"large":          {1 << 20, 8 << 10},
		"length unknown": {-1, 8 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			body := &oneShot{Reader: io.LimitReader(newPattern(), max(c.announced, 60<<10))}
			base := roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("Authorization") == bearer(2) {
					return answer(200, ""), nil
				}
				resp := answer(401, "")
				resp.Body, resp.ContentLength = body, c.announced
				return resp, nil
			})
			tr := newTransport(t, transport.Config{Source: &source{}, Origins: []string{"https://api.example.com"}, Base: base})
			_, err := tr.RoundTrip(get(t, "https://api.example.com/"))
			require.NoError(t, err)
			assert.Equal(t, c.most, body.bytesRead())
			assert.Equal(t, 1, body.closes())
		})
	}
}

// trickle is a body that never ends, and whose Read ends when it is closed.
type trickle struct {
	once   sync.Once
	closed chan struct{}
}

func (b *trickle) Read([]byte) (int, error) {
	<-b.closed
	return 0, io.ErrUnexpectedEOF
}

func (b *trickle) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// Guards the AfterFunc in discard.
func TestA401ThatNeverEndsHoldsTheReplayUpForASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &trickle{closed: make(chan struct{})}
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Authorization") == bearer(2) {
				return answer(200, ""), nil
			}
			resp := answer(401, "")
			resp.Body, resp.ContentLength = body, -1
			return resp, nil
		})
		tr := newTransport(t, transport.Config{Source: &source{}, Origins: []string{"https://api.example.com"}, Base: base})
		begun := time.Now()
		resp, err := tr.RoundTrip(get(t, "https://api.example.com/"))
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, time.Second, time.Since(begun))
	})
}

func TestAStreamOfEventsIsNotHeldBack(t *testing.T) {
	for protocol, start := range map[string]func(*httptest.Server){"HTTP/1.1": plain, "HTTP/2": http2} {
		t.Run(protocol, func(t *testing.T) {
			read := make(chan struct{})
			api := serve(t, start, from(2, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.Header().Set("Trailer", "X-End")
				for i := range 3 {
					_, _ = fmt.Fprintf(w, "data: %d\n", i)
					_ = http.NewResponseController(w).Flush()
					select { // the next event follows when this one was read
					case <-read:
					case <-r.Context().Done():
					}
				}
				w.Header().Set("X-End", "yes")
			}))
			resp, err := api.client(t, &source{}).Do(get(t, api.URL))
			require.NoError(t, err)
			defer resp.Body.Close()
			events := bufio.NewScanner(resp.Body)
			for i := range 3 {
				require.True(t, events.Scan())
				assert.Equal(t, fmt.Sprintf("data: %d", i), events.Text())
				read <- struct{}{}
			}
			assert.False(t, events.Scan())
			assert.Equal(t, http.Header{"X-End": {"yes"}}, resp.Trailer)
		})
	}
}

func TestAnUpgradedConnectionIsTheCallers(t *testing.T) {
	api := serve(t, plain, from(2, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(conn, rw)
	}))
	req := get(t, api.URL)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := api.client(t, &source{}).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	conn, ok := resp.Body.(io.ReadWriteCloser)
	require.True(t, ok)
	_, err = io.WriteString(conn, "hello")
	require.NoError(t, err)
	b := make([]byte, 5)
	_, err = io.ReadFull(conn, b)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(b))
}

// The three that follow are the sharp edges that the package doc names.

func TestAClientTraceSeesTheFieldItAskedFor(t *testing.T) {
	api := serve(t, plain, nil)
	var mu sync.Mutex // guards seen: hooks run in the write loop
	var seen []string
	trace := &httptrace.ClientTrace{WroteHeaderField: func(name string, values []string) {
		mu.Lock()
		defer mu.Unlock()
		if name == "Authorization" {
			seen = append(seen, values...)
		}
	}}
	req := get(t, api.URL)
	resp, err := api.client(t, &source{}).Do(req.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
	require.NoError(t, err)
	bodyOf(t, resp)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, []string{bearer(1)}, seen)
}

func TestACookieOfADiscarded401DoesNotReachTheJar(t *testing.T) {
	api := serve(t, plain, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: r.Header.Get("Authorization")[len("Bearer "):], Value: "1"})
		from(2, nil)(w, r)
	})
	client := api.client(t, &source{})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client.Jar = jar
	req := get(t, api.URL)
	resp, err := client.Do(req)
	require.NoError(t, err)
	bodyOf(t, resp)
	cookies := jar.Cookies(req.URL)
	require.Len(t, cookies, 1)
	assert.Equal(t, "token-2", cookies[0].Name)
}

func TestTheTimeoutOfAClientReplacesTheTypedError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := roundTripper(func(*http.Request) (*http.Response, error) { return answer(401, ""), nil })
		src := &source{renew: func(ctx context.Context) error {
			err := waitForEnd(ctx)
			time.Sleep(time.Second) // past the end, so that the client has no doubt
			return err
		}}
		client := &http.Client{Transport: newTransport(t, transport.Config{Source: src, Origins: []string{"https://api.example.com"}, Base: base})}
		client.Timeout = time.Minute
		_, err := client.Do(get(t, "https://api.example.com/"))
		assert.ErrorContains(t, err, "Client.Timeout exceeded")
		var typed *transport.RejectedError
		assert.NotErrorAs(t, err, &typed)
	})
}
