package client_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// assertLost: it may have been processed.
func assertLost(t *testing.T, err error) *tokensource.Error {
	t.Helper()
	e := facts(t, err)
	assert.Equal(t, tokensource.ReasonLost.String(), e.Reason.String())
	assert.True(t, e.Uncertain, "uncertain")
	assertClass(t, tokensource.ErrTryAgain, err)
	return e
}

// assertNotSent: the token is still here.
func assertNotSent(t *testing.T, err error) *tokensource.Error {
	t.Helper()
	e := facts(t, err)
	assert.Equal(t, tokensource.ReasonNotSent.String(), e.Reason.String())
	assert.False(t, e.Uncertain, "uncertain")
	assertClass(t, tokensource.ErrTryAgain, err)
	return e
}

// hijacked takes the connection over, after the request was read.
func hijacked(t *testing.T, then func(net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		then(conn)
		assert.NoError(t, conn.Close())
	}
}

func saying(t *testing.T, text string) http.HandlerFunc {
	return hijacked(t, func(c net.Conn) { _, _ = io.WriteString(c, text) })
}

func TestAnAnswerThatDoesNotArriveWholeIsLost(t *testing.T) {
	ok := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for name, h := range map[string]http.HandlerFunc{
		"dropped before the header": saying(t, ""),
		"dropped in the header":     saying(t, "HTTP/1.1 200 OK\r\nContent-Ty"),
		"dropped after the header":  saying(t, ok+"Content-Length: 100\r\n\r\n"),
		"dropped in the body":       saying(t, ok+"Content-Length: 100\r\n\r\n"+`{"access_token":`),
		"dropped in a chunk":        saying(t, ok+"Transfer-Encoding: chunked\r\n\r\n40\r\n"+`{"access_token":`),
		"a malformed chunk":         saying(t, ok+"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
		"not HTTP":                  saying(t, `{"access_token":"new-canary"}`+"\r\n\r\n"),
		"a malformed status":        saying(t, "HTTP/1.1 new-canary\r\n\r\n"),
		"a header of 5 MiB":         saying(t, ok+"X: "+strings.Repeat("x", 5<<20)+"\r\nContent-Length: 22\r\n\r\n"+`{"access_token":"at1"}`),
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, h)
			_, err := refresh(t, oauth(t, srv.URL))
			assertLost(t, err)
			assert.NotContains(t, err.Error(), "canary", "net/http quotes what it cannot parse")
			srv.only(t)
		})
	}
}

func TestAnAnswerOf64MiBIsReadToItsFirst(t *testing.T) {
	taken := make(chan int, 1)
	srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk, n := []byte(strings.Repeat(" ", 1<<20)), 0
		for ; n < 64; n++ {
			if _, err := w.Write(chunk); err != nil {
				break
			}
		}
		taken <- n
	})
	_, err := refresh(t, oauth(t, srv.URL))
	assertLost(t, err)
	assert.ErrorContains(t, err, "longer than 1 MiB")
	assert.Less(t, <-taken, 64, "MiB that the client took")
	srv.only(t)
}

func TestAResetConnectionIsALostAnswer(t *testing.T) {
	srv := record(t, hijacked(t, func(c net.Conn) { assert.NoError(t, c.(*net.TCPConn).SetLinger(0)) }))
	_, err := refresh(t, oauth(t, srv.URL))
	assertLost(t, err)
	assert.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF), "the cause is kept: %v", err)
	srv.only(t)
}

func TestAHangingServerIsLeftWhenTheContextEnds(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	srv := record(t, func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	})
	t.Cleanup(func() { close(release) })
	why := errors.New("the flight is over")
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		<-arrived
		cancel(why)
	}()
	_, err := oauth(t, srv.URL).Refresh(ctx, withRefreshToken(canary))
	assertLost(t, err)
	assert.ErrorIs(t, err, why)
	srv.only(t)
}

func TestAHangInTheMiddleOfTheAnswerIsLeftToo(t *testing.T) {
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"access_token":`)
		assert.NoError(t, http.NewResponseController(w).Flush())
		cancel()
		<-release
	})
	t.Cleanup(func() { close(release) })
	_, err := oauth(t, srv.URL).Refresh(ctx, withRefreshToken(canary))
	assertLost(t, err)
	srv.only(t)
}

func TestWithoutAConnectionNothingIsSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	_, err = refresh(t, oauth(t, "http://"+address))
	assertNotSent(t, err)
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestNothingIsSentToAServerThatIsNotTrusted(t *testing.T) {
	srv := &recorder{}
	srv.Server = httptest.NewUnstartedServer(srv.keep(inJSON(200, tokens)))
	srv.Config.ErrorLog = quiet()
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, err := refresh(t, oauth(t, srv.URL))
	assertNotSent(t, err)
	_, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	assert.True(t, isCertificate, "the cause is kept: %v", err)
	assert.Empty(t, srv.requests())
}

func TestAProxyThatRefusesLetsNothingThrough(t *testing.T) {
	proxy := record(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) })
	proxyURL, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	through := func(c *client.OAuthConfig) { c.Transport = &http.Transport{Proxy: http.ProxyURL(proxyURL)} }

	_, err = refresh(t, oauth(t, "https://id.example.com", through))
	assertNotSent(t, err)
	req := proxy.only(t)
	assert.Equal(t, http.MethodConnect, req.Method)
	assert.Empty(t, req.body)

	// Without TLS the proxy sees the request itself, and answers it.
	_, err = refresh(t, oauth(t, "http://127.0.0.1:1", through))
	assert.Equal(t, tokensource.ReasonIntercepted.String(), facts(t, err).Reason.String())
}

func TestUnderAnEndedContextNothingIsSent(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	why := errors.New("closed")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	_, err := oauth(t, srv.URL).Refresh(ctx, withRefreshToken(canary))
	assertNotSent(t, err)
	assert.Empty(t, srv.requests())
}

// piped is a Transport whose connections end at server, in memory.
func piped(server func(net.Conn)) *http.Transport {
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go server(theirs)
		return ours, nil
	}}
}

func TestATokenThatHasNotLeftInTenSecondsStaysHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan string, 1)
		stuck := piped(func(c net.Conn) {
			// Accepts the connection and reads nothing until it is closed.
			time.Sleep(time.Minute)
			got, _ := io.ReadAll(c)
			read <- string(got)
		})
		p := oauth(t, "http://127.0.0.1", func(c *client.OAuthConfig) { c.Transport = stuck })
		begin := time.Now()
		_, err := refresh(t, p)
		e := assertNotSent(t, err)
		assert.Equal(t, client.ConnectBudget, time.Since(begin))
		assert.ErrorContains(t, e, "10s")
		assert.NotContains(t, <-read, "canary")
	})
}

func TestADialThatHangsEndsAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := oauth(t, "http://127.0.0.1", func(c *client.OAuthConfig) {
			c.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}}
		})
		begin := time.Now()
		_, err := refresh(t, p)
		assertNotSent(t, err)
		assert.Equal(t, client.ConnectBudget, time.Since(begin))
		assert.ErrorContains(t, err, "10s")
	})
}

// readRequest reads a whole request from a piped connection.
func readRequest(c net.Conn) error {
	buf := make([]byte, 1<<16)
	for read := ""; ; {
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		read += string(buf[:n])
		if len(read) > 0 && containsToken(read) {
			return nil
		}
	}
}

func TestOnceTheTokenHasLeftOnlyTheContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 25 * time.Second // more than the ten that a connection may take
		p := oauth(t, "http://127.0.0.1", func(c *client.OAuthConfig) {
			c.Transport = piped(func(conn net.Conn) {
				if readRequest(conn) == nil {
					time.Sleep(slow)
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n"+`{"access_token":"at1"}`)
				}
				_ = conn.Close()
			})
			c.Transport.ResponseHeaderTimeout = time.Second // is overruled: giving up early loses the answer
		})
		begin := time.Now()
		_, err := refresh(t, p)
		require.NoError(t, err)
		assert.Equal(t, slow, time.Since(begin))

		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_, err = p.Refresh(ctx, withRefreshToken(canary))
		assertLost(t, err)
		time.Sleep(slow) // lets the server's goroutine end
	})
}

// headerOnly answers as soon as the first byte of a request is there, and
// reads no more. A pipe takes no more than is read from it, so the header is
// stuck and the token is still here.
func headerOnly(answer string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		_, _ = io.WriteString(conn, answer)
		time.Sleep(time.Minute)
		_ = conn.Close()
	}
}

const badGateway = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"

func TestAnAnswerToAHeaderAloneSpendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := oauth(t, "http://127.0.0.1", func(c *client.OAuthConfig) { c.Transport = piped(headerOnly(badGateway)) })
		_, err := refresh(t, p)
		e := facts(t, err)
		assert.Equal(t, http.StatusBadGateway, e.Status)
		assertClass(t, tokensource.ErrTryAgain, err)
		assert.False(t, e.Uncertain, "%v", err)
		time.Sleep(time.Minute)
	})
}

func TestAnAnswerThatIsNoHTTPQuotesNoCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		basic := base64.StdEncoding.EncodeToString([]byte("cli:s3cret"))
		p := oauth(t, "http://127.0.0.1", func(c *client.OAuthConfig) {
			c.ClientSecret = tokensource.NewSecret("s3cret")
			c.Transport = piped(headerOnly("HTTP/1.1 " + basic + "\r\n\r\n"))
		})
		_, err := refresh(t, p)
		assertNotSent(t, err)
		assert.NotContains(t, err.Error(), basic)
		time.Sleep(time.Minute)
	})
}

// tapped is a connection that notes what is written to it.
type tapped struct {
	net.Conn
	written *strings.Builder
	first   func() // runs before the first write
	late    time.Duration
}

func (c *tapped) Write(p []byte) (int, error) {
	if c.written.Len() == 0 && c.first != nil {
		c.first()
	}
	c.written.Write(p)
	if _, err := c.Conn.Write(p); err != nil {
		time.Sleep(c.late)
	}
	return len(p), nil // so that the writer goes on, whatever happened
}

// over returns a Transport for one connection to server through c.
func (c *tapped) over(server func(net.Conn)) *http.Transport {
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go server(theirs)
		c.Conn, c.written = ours, new(strings.Builder)
		return c, nil
	}}
}

func TestAContextThatEndsWhileTheHeaderIsWrittenKeepsTheTokenHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		conn := &tapped{first: cancel}
		p := oauth(t, "http://127.0.0.1", func(c *client.OAuthConfig) {
			c.Transport = conn.over(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		})
		_, err := p.Refresh(ctx, withRefreshToken(canary))
		assertNotSent(t, err)
		assert.ErrorIs(t, err, context.Canceled)
		synctest.Wait()
		assert.NotContains(t, conn.written.String(), "canary")
	})
}

func TestATokenThatWasReportedAsNotSentDoesNotLeaveLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The write of the header returns only after the answer was taken
		// and the connection closed. The writer goes on to the body then.
		conn := &tapped{late: time.Second}
		p := oauth(t, "http://127.0.0.1", func(c *client.OAuthConfig) { c.Transport = conn.over(headerOnly(badGateway)) })
		_, err := refresh(t, p)
		assert.Equal(t, http.StatusBadGateway, facts(t, err).Status)
		assert.False(t, facts(t, err).Uncertain)
		time.Sleep(time.Minute)
		assert.NotContains(t, conn.written.String(), "canary")
	})
}

// slowConn is a connection whose writes take a while to fail.
type slowConn struct {
	net.Conn
	writing atomic.Int32
}

func (c *slowConn) Write(p []byte) (int, error) {
	c.writing.Add(1)
	defer c.writing.Add(-1)
	n, err := c.Conn.Write(p)
	if err != nil {
		time.Sleep(time.Second)
	}
	return n, err
}

func TestAnEarlyAnswerLeavesNoRequestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The server answers in the middle of the body and reads no more of
		// it. net/http returns the answer while it is still writing.
		var conn *slowConn
		p := oauth(t, "http://127.0.0.1", func(c *client.OAuthConfig) {
			c.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				conn = &slowConn{Conn: ours}
				go func() {
					if readRequest(theirs) == nil {
						_, _ = io.WriteString(theirs, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
					}
					time.Sleep(time.Minute)
					_ = theirs.Close()
				}()
				return conn, nil
			}}
		})
		big := canary + strings.Repeat("x", 1<<20)
		_, err := p.Refresh(t.Context(), withRefreshToken(big))
		assert.Zero(t, conn.writing.Load(), "the next refresh must not begin before this one has stopped")
		e := facts(t, err)
		assert.Equal(t, http.StatusServiceUnavailable, e.Status)
		assert.True(t, e.Uncertain, "a part of the token has left")
		time.Sleep(time.Minute)
	})
}
