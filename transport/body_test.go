package transport_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/transport"
)

// oneShot is a body that can be had only once. It counts, and cannot be read
// once it is closed.
type oneShot struct {
	io.Reader
	mu     sync.Mutex // guards the rest; not held while Reader is read
	read   int64
	closed int
}

func (o *oneShot) Read(p []byte) (int, error) {
	if o.closes() > 0 {
		return 0, os.ErrClosed
	}
	n, err := o.Reader.Read(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.read += int64(n)
	return n, err
}

func (o *oneShot) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed++
	return nil
}

func (o *oneShot) closes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

func (o *oneShot) bytesRead() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.read
}

// seekable is a oneShot that can be rewound.
type seekable struct {
	oneShot
	io.Seeker
}

func newSeekable(r io.ReadSeeker) *seekable { return &seekable{oneShot{Reader: r}, r} }

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// upload answers with what arrived: its hash, its length as it was announced,
// and how it was framed.
func upload(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	if _, err := io.Copy(h, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprintf(w, "%x %d %v", h.Sum(nil), r.ContentLength, r.TransferEncoding)
}

// late is an API that reads the whole body before it rejects the token.
func late(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != bearer(2) {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	from(2, upload)(w, r)
}

// early rejects the token without having read anything.
func early(w http.ResponseWriter, r *http.Request) { from(2, upload)(w, r) }

func post(t *testing.T, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	require.NoError(t, err)
	return req
}

func TestEveryKindOfBodyArrivesWholeInTheReplay(t *testing.T) {
	content := make([]byte, 100<<10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	path := filepath.Join(t.TempDir(), "upload")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	fromFile := func(t *testing.T, offset int64) *os.File {
		f, err := os.Open(path)
		require.NoError(t, err)
		_, err = f.Seek(offset, io.SeekStart)
		require.NoError(t, err)
		return f
	}
	fromPipe := func(t *testing.T) *os.File {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		go func() {
			_, _ = w.Write(content)
			_ = w.Close()
		}()
		return r
	}
	kinds := []struct {
		name   string
		body   func(*testing.T) io.Reader
		length int64 // announced; -1 unknown
		want   []byte
	}{
		{"none", func(*testing.T) io.Reader { return nil }, 0, nil},
		{"http.NoBody", func(*testing.T) io.Reader { return http.NoBody }, 0, nil},
		{"GetBody", func(*testing.T) io.Reader { return bytes.NewReader(content) }, 100 << 10, content},
		{"a file from an offset", func(t *testing.T) io.Reader { return fromFile(t, 1000) }, 100<<10 - 1000, content[1000:]},
		{"a file of unknown length", func(t *testing.T) io.Reader { return fromFile(t, 7) }, -1, content[7:]},
		{"a pipe, which is a file too", func(t *testing.T) io.Reader { return fromPipe(t) }, -1, content},
		{"a stream", func(*testing.T) io.Reader { return &oneShot{Reader: bytes.NewReader(content)} }, -1, content},
		{"a stream of known length", func(*testing.T) io.Reader { return &oneShot{Reader: bytes.NewReader(content)} }, 100 << 10, content},
		{"an empty stream", func(*testing.T) io.Reader { return &oneShot{Reader: strings.NewReader("")} }, -1, nil},
	}
	for protocol, start := range map[string]func(*httptest.Server){"HTTP/1.1": plain, "HTTP/2": http2} {
		for when, handle := range map[string]http.HandlerFunc{"late": late, "early": early} {
			api := serve(t, start, handle)
			for _, kind := range kinds {
				t.Run(protocol+" "+when+" "+kind.name, func(t *testing.T) {
					src := &source{}
					req := post(t, api.URL, kind.body(t))
					if req.Body != nil {
						req.ContentLength = kind.length
					}
					framing := "[]"
					if kind.length < 0 && protocol == "HTTP/1.1" {
						framing = "[chunked]"
					}
					before := len(api.sights())
					resp, err := api.client(t, src).Do(req)
					require.NoError(t, err)
					assert.Equal(t, fmt.Sprintf("%s %d %s", sum(kind.want), kind.length, framing), bodyOf(t, resp))
					assert.Equal(t, []string{bearer(1), bearer(2)}, api.auths()[before:])
					assert.Equal(t, []uint64{1}, src.renewals())
					for _, s := range api.sights()[before:] {
						assert.Empty(t, s.header.Get("Expect"), "pawl never adds Expect")
					}
				})
			}
		}
	}
}

func TestTheBodyIsClosedOnceAndOnlyAfterItsLastUse(t *testing.T) {
	ok, unauthorized := []int{200}, []int{401}
	for _, c := range []struct {
		name     string
		statuses []int // of the attempts; 0: the base fails
		renewErr error
		limit    int64
		wantErr  bool
	}{
		{"accepted", ok, nil, 0, false},
		{"replayed", []int{401, 200}, nil, 0, false},
		{"rejected twice", []int{401, 401}, nil, 0, false},
		{"not renewed", unauthorized, errors.New("no"), 0, true},
		{"too long to keep", unauthorized, nil, 2, false},
		{"the base fails", []int{0}, nil, 0, true},
		{"the replay fails", []int{401, 0}, nil, 0, true},
	} {
		for _, kind := range []string{"a stream", "a seeker"} {
			if c.limit > 0 && kind == "a seeker" {
				continue // nothing has to be kept
			}
			t.Run(c.name+" "+kind, func(t *testing.T) {
				stream := &oneShot{Reader: strings.NewReader("12345")}
				var body io.ReadCloser = stream
				if kind == "a seeker" {
					s := newSeekable(strings.NewReader("12345"))
					body, stream = s, &s.oneShot
				}
				attempt := 0
				base := roundTripper(func(r *http.Request) (*http.Response, error) {
					defer r.Body.Close()
					b, err := io.ReadAll(r.Body)
					assert.NoError(t, err)
					assert.Equal(t, "12345", string(b))
					status := c.statuses[attempt]
					if attempt++; status == 0 {
						return nil, errors.New("connection reset")
					}
					return answer(status, ""), nil
				})
				src := &source{renew: func(context.Context) error { return c.renewErr }}
				tr := newTransport(t, transport.Config{Source: src, Origins: []string{"https://api.example.com"}, Base: base, MaxReplay: c.limit})
				req := get(t, "https://api.example.com/")
				req.Body = body
				_, err := tr.RoundTrip(req)
				assert.Equal(t, c.wantErr, err != nil)
				assert.Len(t, c.statuses, attempt)
				assert.Equal(t, 1, stream.closes())
				assert.EqualValues(t, 5, min(stream.bytesRead(), 5))
			})
		}
	}
}

func TestABodyFromGetBodyIsClosedIfItIsNotSent(t *testing.T) {
	first, second := &oneShot{Reader: strings.NewReader("x")}, &oneShot{Reader: strings.NewReader("x")}
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		assert.Same(t, first, r.Body, "a body that can be had again is not wrapped")
		_ = r.Body.Close()
		return answer(401, ""), nil
	})
	src := &source{renew: func(context.Context) error { return errors.New("no") }}
	tr := newTransport(t, transport.Config{Source: src, Origins: []string{"https://api.example.com"}, Base: base})
	req := get(t, "https://api.example.com/")
	req.Body, req.GetBody = first, func() (io.ReadCloser, error) { return second, nil }
	_, err := tr.RoundTrip(req)
	require.Error(t, err)
	assert.Equal(t, 1, first.closes())
	assert.Equal(t, 1, second.closes())
}

func TestABodyThatGetBodyRefusesLeavesThe401ToTheCaller(t *testing.T) {
	api := serve(t, plain, late)
	req := post(t, api.URL, strings.NewReader("x"))
	req.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("gone") }
	resp, err := api.client(t, &source{}).Do(req)
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	assert.Equal(t, "no longer good\n", bodyOf(t, resp))
	assert.Len(t, api.sights(), 1)
}

func TestASeekThatFailsInTheReplayIsItsError(t *testing.T) {
	s := &seekable{oneShot{Reader: strings.NewReader("x")}, &seekOnce{}}
	attempt := 0
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		defer r.Body.Close()
		if _, err := io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		attempt++
		return answer(401, ""), nil
	})
	tr := newTransport(t, transport.Config{Source: &source{}, Origins: []string{"https://api.example.com"}, Base: base})
	req := get(t, "https://api.example.com/")
	req.Body = s
	_, err := tr.RoundTrip(req)
	assert.ErrorContains(t, err, "no seeking twice")
	assert.Equal(t, 1, attempt)
	assert.Equal(t, 1, s.closes())
}

// seekOnce tells its offset and then refuses.
type seekOnce struct{ calls int }

func (s *seekOnce) Seek(int64, int) (int64, error) {
	if s.calls++; s.calls > 1 {
		return 0, errors.New("no seeking twice")
	}
	return 0, nil
}

func TestMaxReplayIsTheLastLengthThatIsReplayed(t *testing.T) {
	for _, c := range []struct {
		limit    int64
		length   int
		replayed bool
	}{
		{10, 10, true}, {10, 11, false}, {-1, 1, false}, {-1, 0, true}, {0, 1 << 20, true}, {0, 1<<20 + 1, false},
	} {
		t.Run(fmt.Sprintf("%d of %d", c.length, c.limit), func(t *testing.T) {
			content := bytes.Repeat([]byte("x"), c.length)
			api := serve(t, plain, late)
			client := api.client(t, &source{}, func(cfg *transport.Config) { cfg.MaxReplay = c.limit })
			resp, err := client.Do(post(t, api.URL, &oneShot{Reader: bytes.NewReader(content)}))
			require.NoError(t, err)
			text := bodyOf(t, resp)
			if c.replayed {
				assert.Equal(t, sum(content), strings.Fields(text)[0])
				assert.Len(t, api.sights(), 2)
			} else {
				assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
				assert.Equal(t, "no longer good\n", text)
				assert.Len(t, api.sights(), 1)
			}
		})
	}
}

func TestTrailersAndTheRestOfTheRequestArePreservedInTheReplay(t *testing.T) {
	got := make(chan http.Header, 1)
	api := serve(t, plain, from(2, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got <- r.Trailer
	}))
	req := post(t, api.URL+"/a?b=c", nil)
	req.Trailer = http.Header{"X-Sum": nil}
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader("content"), readFunc(func([]byte) (int, error) {
		req.Trailer.Set("X-Sum", "42")
		return 0, io.EOF
	})))
	req.ContentLength = -1
	req.Header.Set("X-Mine", "1")
	resp, err := api.client(t, &source{}).Do(req)
	require.NoError(t, err)
	bodyOf(t, resp)
	assert.Equal(t, http.Header{"X-Sum": {"42"}}, <-got)
	sights := api.sights()
	require.Len(t, sights, 2)
	assert.Equal(t, sights[0].header["X-Mine"], sights[1].header["X-Mine"])
	assert.Equal(t, sights[0].path, sights[1].path)
	assert.Equal(t, http.MethodPost, sights[1].method)
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
