package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/transport"
)

// gated is a source that hands out one chunk per Read, when the test puts one
// in. It reports Reads and Seeks that overlap.
type gated struct {
	t       *testing.T
	chunks  chan string // closed at the end
	inside  atomic.Int32
	entered chan struct{} // one element per Read that began
}

func newGated(t *testing.T) *gated {
	return &gated{t: t, chunks: make(chan string), entered: make(chan struct{}, 100)}
}

func (g *gated) enter() func() {
	if g.inside.Add(1) > 1 {
		g.t.Error("the source is used by two attempts at once")
	}
	return func() { g.inside.Add(-1) }
}

func (g *gated) Read(p []byte) (int, error) {
	defer g.enter()()
	g.entered <- struct{}{}
	chunk, ok := <-g.chunks
	if !ok {
		return 0, io.EOF
	}
	return copy(p, chunk), nil
}

func (g *gated) Close() error { return nil }

// gatedSeeker can be rewound as well.
type gatedSeeker struct {
	*gated
	sought atomic.Int32
}

func (g *gatedSeeker) Seek(_ int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		defer g.enter()()
		g.sought.Add(1)
	}
	return 0, nil
}

// slowLoop is a base whose first attempt is answered 401 while its write loop
// is still inside Read, as net/http's may be. What the loop read, and what
// stopped it, come out of old.
func slowLoop(g *gated, old chan<- string) roundTripper {
	first, replayed := true, make(chan struct{})
	return func(r *http.Request) (*http.Response, error) {
		if first {
			first = false
			go func() {
				b, err := io.ReadAll(r.Body)
				<-replayed // it closes its body last of all
				_ = r.Body.Close()
				old <- fmt.Sprintf("%s, then %v", b, err)
			}()
			<-g.entered
			return answer(401, ""), nil
		}
		defer close(replayed)
		b, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		return answer(200, string(b)), err
	}
}

// Guards, in body.go, the wait in begin (else two attempts read at once), the
// Broadcast in end (else the replay waits for ever), the check of current in
// begin (else the old loop goes on), and the append for the next attempt in
// end (else "one" is lost).
func TestAnOldWriteLoopNeitherStealsNorLosesWhatItReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, old := newGated(t), make(chan string, 1)
		tr := newTransport(t, transport.Config{Source: &source{}, Origins: []string{"https://api.example.com"}, Base: slowLoop(g, old)})
		req := get(t, "https://api.example.com/")
		req.Body = g
		got := make(chan string)
		go func() {
			resp, err := tr.RoundTrip(req)
			if assert.NoError(t, err) {
				b, _ := io.ReadAll(resp.Body)
				got <- string(b)
			}
		}()
		synctest.Wait() // the replay waits for the body, the old loop is inside Read
		g.chunks <- "one "
		g.chunks <- "two"
		close(g.chunks)
		assert.Equal(t, "one two", <-got)
		assert.Equal(t, "one , then transport: the request body was taken back for a replay", <-old)
	})
}

// Guards the wait in begin for a body that is rewound.
func TestABodyIsNotRewoundWhileAnOldWriteLoopIsInsideRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, old := newGated(t), make(chan string, 1)
		s := &gatedSeeker{gated: g}
		tr := newTransport(t, transport.Config{Source: &source{}, Origins: []string{"https://api.example.com"}, Base: slowLoop(g, old)})
		req := get(t, "https://api.example.com/")
		req.Body = s
		got := make(chan string)
		go func() {
			resp, err := tr.RoundTrip(req)
			if assert.NoError(t, err) {
				b, _ := io.ReadAll(resp.Body)
				got <- string(b)
			}
		}()
		synctest.Wait()
		assert.Zero(t, s.sought.Load())
		g.chunks <- "old"
		synctest.Wait()
		assert.EqualValues(t, 1, s.sought.Load())
		g.chunks <- "new"
		close(g.chunks)
		assert.Equal(t, "new", <-got, "what was read before the rewind is not part of the replay")
		assert.Contains(t, <-old, "taken back")
	})
}

// Guards the Broadcast in Close: a replay that is given up while it waits for
// the old write loop must not wait for ever.
func TestAReplayThatIsClosedStopsWaitingForTheOldWriteLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated(t)
		attempt, stopped := 0, make(chan error, 1)
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			if attempt++; attempt == 1 {
				go func() { _, _ = io.ReadAll(r.Body) }()
				<-g.entered
				return answer(401, ""), nil
			}
			go func() {
				_, err := io.ReadAll(r.Body)
				stopped <- err
			}()
			synctest.Wait() // inside the wait
			return answer(200, ""), r.Body.Close()
		})
		tr := newTransport(t, transport.Config{Source: &source{}, Origins: []string{"https://api.example.com"}, Base: base})
		req := get(t, "https://api.example.com/")
		req.Body = g
		_, err := tr.RoundTrip(req)
		require.NoError(t, err)
		assert.ErrorIs(t, <-stopped, http.ErrBodyReadAfterClose)
		close(g.chunks)
	})
}

// Guards that nothing is read ahead, and, in discard, that nobody waits until
// the first attempt has ended: its write loop ends when the caller writes, and
// the caller writes when it has seen the answer's header.
func TestAFullDuplexExchangeDoesNotDeadlock(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex() // HTTP/2 always is, and says so by an error
		_ = rc.Flush()
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			_, _ = fmt.Fprintf(w, "echo %s\n", lines.Text())
			_ = rc.Flush()
		}
	}
	for protocol, start := range map[string]func(*httptest.Server){"HTTP/1.1": plain, "HTTP/2": http2} {
		for name, gen := range map[string]uint64{"accepted": 1, "after a 401": 2} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				api := serve(t, start, func(w http.ResponseWriter, r *http.Request) {
					_ = http.NewResponseController(w).EnableFullDuplex()
					from(gen, echo)(w, r)
				})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				body, app := io.Pipe()
				req := post(t, api.URL, body).WithContext(ctx)
				resp, err := api.client(t, &source{}).Do(req)
				require.NoError(t, err)
				lines := bufio.NewScanner(resp.Body)
				for _, word := range []string{"one", "two", "three"} {
					_, err = io.WriteString(app, word+"\n")
					require.NoError(t, err)
					require.True(t, lines.Scan(), "%v", lines.Err())
					assert.Equal(t, "echo "+word, lines.Text())
				}
				require.NoError(t, app.Close())
				assert.False(t, lines.Scan())
				assert.NoError(t, resp.Body.Close())
				assert.Len(t, api.sights(), int(gen))
			})
		}
	}
}

// pattern is an endless stream whose period fits no buffer.
type pattern struct {
	block []byte
	at    int
}

func newPattern() *pattern {
	p := &pattern{block: make([]byte, 65521)}
	_, _ = rand.NewChaCha8([32]byte{2}).Read(p.block)
	return p
}

func (p *pattern) Read(b []byte) (int, error) {
	n := copy(b, p.block[p.at:])
	p.at = (p.at + n) % len(p.block)
	return n, nil
}

const huge = 64 << 20

func TestA64MiBStreamWithAnEarly401ArrivesWhole(t *testing.T) {
	h := sha256.New()
	_, err := io.CopyN(h, newPattern(), huge)
	require.NoError(t, err)
	want := fmt.Sprintf("%x %d []", h.Sum(nil), huge)

	api := serve(t, http2, early)
	src := &source{}
	// Flow control stops an HTTP/2 upload that is not read after 1 MiB.
	client := api.client(t, src, func(c *transport.Config) { c.MaxReplay = 8 << 20 })
	body := &oneShot{Reader: io.LimitReader(newPattern(), huge)}
	req := post(t, api.URL, body)
	req.ContentLength = huge
	resp, err := client.Do(req)
	require.NoError(t, err)
	assert.Equal(t, want, bodyOf(t, resp))
	assert.EqualValues(t, huge, body.bytesRead(), "nothing is read twice")
	assert.Equal(t, []string{bearer(1), bearer(2)}, api.auths())
}

func TestAStreamThatIsTooLongToReplayKeepsIts401AndStartsTheRenewal(t *testing.T) {
	api := serve(t, http2, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != bearer(2) {
			_, _ = io.CopyN(io.Discard, r.Body, 4<<20)
		}
		early(w, r)
	})
	renewing, release := make(chan struct{}), make(chan struct{})
	src := &source{renew: func(context.Context) error {
		close(renewing)
		<-release
		return nil
	}}
	client := api.client(t, src)
	body := &oneShot{Reader: io.LimitReader(newPattern(), huge)}
	resp, err := client.Do(post(t, api.URL, body))
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	assert.Equal(t, "no longer good\n", bodyOf(t, resp))
	assert.Less(t, body.bytesRead(), int64(huge))
	<-renewing // began without anyone waiting for it
	close(release)
	require.NoError(t, client.Transport.(*transport.Transport).Close(t.Context()))
	assert.Equal(t, []uint64{1}, src.renewals())

	resp, err = client.Do(get(t, api.URL))
	require.NoError(t, err)
	bodyOf(t, resp)
	assert.Equal(t, []string{bearer(1), bearer(2)}, api.auths(), "the next request has the new token")
}

func TestWithExpectContinueABodyThatIsNeverKeptIsReplayed(t *testing.T) {
	for protocol, start := range map[string]func(*httptest.Server){"HTTP/1.1": plain, "HTTP/2": http2} {
		t.Run(protocol, func(t *testing.T) {
			content := bytes.Repeat([]byte("content "), 10000)
			body := &oneShot{Reader: bytes.NewReader(content)}
			var before int64 = -1
			api := serve(t, start, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == bearer(1) {
					before = body.bytesRead()
				}
				early(w, r)
			})
			api.Client().Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
			client := api.client(t, &source{}, func(c *transport.Config) { c.MaxReplay = -1 })
			req := post(t, api.URL, body)
			req.Header.Set("Expect", "100-continue")
			resp, err := client.Do(req)
			require.NoError(t, err)
			assert.Equal(t, sum(content), strings.Fields(bodyOf(t, resp))[0])
			assert.Zero(t, before, "bytes that left before the 401")
			sights := api.sights()
			require.Len(t, sights, 2)
			if protocol == "HTTP/1.1" { // the HTTP/2 server removes the field
				assert.Equal(t, "100-continue", sights[0].header.Get("Expect"))
				assert.Equal(t, "100-continue", sights[1].header.Get("Expect"))
			}
		})
	}
}
