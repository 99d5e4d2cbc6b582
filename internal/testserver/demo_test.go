package testserver_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func (b bench) send(method, path, access, body string) answer {
	r := request(method, path, "", body)
	r.Header.Set("Authorization", "Bearer "+access)
	return b.do(r)
}

// renewed is the access token after a refresh, as a client gets it on a 401.
func (b bench) renewed(t *testing.T, token string) string {
	t.Helper()
	access, _ := b.refresh(token).tokens()
	require.NotEmpty(t, access)
	return access
}

func TestAnUploadIsRefusedOnceAndThenTakenWhole(t *testing.T) {
	body := strings.Repeat("x", 100_000)
	for _, query := range []string{"?reject_after=0", "?reject_after=5000", "?reject_after=200000"} {
		b := start(t, "strict", nil)
		tokens := b.login(t)
		got := b.send(http.MethodPut, "/api/upload"+query, tokens.Access, body)
		require.Equal(t, http.StatusUnauthorized, got.Code)
		assert.Contains(t, got.Header().Get("WWW-Authenticate"), `error="invalid_token"`)
		got = b.send(http.MethodPut, "/api/upload"+query, b.renewed(t, tokens.Refresh), body)
		require.Equal(t, http.StatusOK, got.Code)
		assert.EqualValues(t, 100_000, got.field("bodyLength"))
		assert.EqualValues(t, 2, got.field("attempt"))
	}
	b := start(t, "strict", nil)
	assert.Equal(t, http.StatusOK, b.send(http.MethodPut, "/api/upload", b.login(t).Access, body).Code)
	assert.Equal(t, http.StatusBadRequest, b.send(http.MethodPut, "/api/upload?reject_after=x", b.login(t).Access, body).Code)
}

// countingReader tells how much of a body was asked for.
type countingReader struct {
	io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestAClientThatAsksFirstSendsNoByteOfARefusedUpload(t *testing.T) {
	b := start(t, "strict", nil)
	srv := httptest.NewServer(b.Handler())
	defer srv.Close()
	body := &countingReader{Reader: bytes.NewReader(make([]byte, 1<<20))}
	r, err := http.NewRequest(http.MethodPut, srv.URL+"/api/upload?reject_after=0", body)
	require.NoError(t, err)
	r.ContentLength = 1 << 20
	r.Header.Set("Expect", "100-continue")
	r.Header.Set("Authorization", "Bearer "+b.login(t).Access)
	resp, err := (&http.Transport{ExpectContinueTimeout: time.Minute}).RoundTrip(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	assert.Zero(t, body.n)
}

func TestEndpointsThatRefuseAGoodToken(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	assert.Equal(t, http.StatusUnauthorized, b.get("/api/401-once", tokens.Access).Code)
	access := b.renewed(t, tokens.Refresh)
	for range 2 {
		assert.Equal(t, http.StatusOK, b.get("/api/401-once", access).Code)
		assert.Equal(t, http.StatusForbidden, b.get("/api/403-always", access).Code)
	}
	other := b.login(t)
	assert.Equal(t, http.StatusUnauthorized, b.get("/api/401-once", other.Access).Code, "each session has its own first time")
}

func TestATokenIsTooOldForAnEndpoint(t *testing.T) {
	b := start(t, "strict", nil)
	access := b.login(t).Access
	b.Skew(time.Hour)
	b.Advance(2*time.Second - 1)
	assert.Equal(t, http.StatusOK, b.get("/api/expire/2s", access).Code)
	b.Advance(1)
	assert.Equal(t, testserver.AccessExpired, b.get("/api/expire/2s", access).outcome())
	assert.Equal(t, http.StatusOK, b.get("/api/expire/1m", access).Code)
	assert.Equal(t, http.StatusBadRequest, b.get("/api/expire/soon", access).Code)
}

func TestARedirectLeadsHereOrToExampleCom(t *testing.T) {
	b := start(t, "strict", nil)
	access := b.login(t).Access
	for to, want := range map[string]int{
		"/api/me": 302, "http://evil.example.com/api/echo": 302, "https://example.com/": 302, "http://auth.test/api/me": 302,
		"//evil.test/": 400, "https://evil.test/": 400, "javascript:alert(1)": 400, "http://a@example.com/": 400, "": 400, `/\evil.test`: 400, "%zz": 400,
	} {
		r := request(http.MethodGet, "/api/redirect", "", "")
		q := r.URL.Query()
		q.Set("to", to)
		r.URL.RawQuery = q.Encode()
		r.Header.Set("Authorization", "Bearer "+access)
		got := b.do(r)
		assert.Equal(t, want, got.Code, to)
		if want == 302 {
			assert.Equal(t, to, got.Header().Get("Location"))
		}
	}
	assert.Equal(t, http.StatusTemporaryRedirect, b.get("/api/redirect?to=/api/me&status=307", access).Code)
	assert.Equal(t, http.StatusBadRequest, b.get("/api/redirect?to=/api/me&status=200", access).Code)
}

func TestAChargeThatCameTwiceIsCounted(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	b.send(http.MethodPost, "/api/charge", tokens.Access, "10")
	b.send(http.MethodPost, "/api/charge", tokens.Access, "20")
	assert.Equal(t, http.StatusUnauthorized, b.send(http.MethodPost, "/api/charge?reject=after", tokens.Access, "20").Code)
	b.send(http.MethodPost, "/api/charge", "no token", "20")
	got := b.get("/api/charge", tokens.Access)
	assert.JSONEq(t, `{"charges":3,"duplicates":1}`, got.Body.String())

	keyed := request(http.MethodPost, "/api/charge", "", "20")
	keyed.Header.Set("Authorization", "Bearer "+tokens.Access)
	keyed.Header.Set("Idempotency-Key", "new")
	assert.JSONEq(t, `{"charges":4,"duplicates":1}`, b.do(keyed).Body.String())
	assert.JSONEq(t, `{"charges":0,"duplicates":0}`, b.get("/api/charge", b.login(t).Access).Body.String())
	b.Reset()
	assert.JSONEq(t, `{"charges":0,"duplicates":0}`, b.get("/api/charge", tokens.Access).Body.String())
}

func TestARateIsKeptOnTheServersClock(t *testing.T) {
	b := start(t, "strict", nil)
	access := b.login(t).Access
	codes := func(n int) (out []int) {
		for range n {
			out = append(out, b.get("/api/rate?limit=2&per=10s", access).Code)
		}
		return out
	}
	assert.Equal(t, []int{200, 200, 429}, codes(3))
	b.Advance(9500 * time.Millisecond)
	got := b.get("/api/rate?limit=2&per=10s", access)
	assert.Equal(t, "1", got.Header().Get("Retry-After"))
	assert.Equal(t, testserver.RateLimited, got.outcome())
	b.Advance(500 * time.Millisecond)
	assert.Equal(t, []int{200, 200, 429}, codes(3))
	assert.Equal(t, http.StatusBadRequest, b.get("/api/rate?per=0s", access).Code)
	assert.Equal(t, http.StatusOK, b.get("/api/slow?for=1ms", access).Code)
	assert.Equal(t, http.StatusBadRequest, b.get("/api/slow?for=2h", access).Code)
}

func TestAStreamOutlivesItsToken(t *testing.T) {
	b := start(t, "strict", nil)
	access := b.login(t).Access
	got := b.get("/api/stream?chunks=3&every=1ms&expire_at=2", access)
	assert.Equal(t, "chunk 1 of 3\nchunk 2 of 3\nchunk 3 of 3\n", got.Body.String())
	assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", access).Code)
	assert.Equal(t, http.StatusBadRequest, b.get("/api/stream?chunks=many", b.login(t).Access).Code)
}

func TestEventsGoOnWhereTheTokenEnded(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	got := b.get("/api/sse?events=3&every=1ms&expire_at=2", tokens.Access)
	assert.Equal(t, "text/event-stream", got.Header().Get("Content-Type"))
	assert.Equal(t, "id: 1\ndata: event 1\n\nid: 2\ndata: event 2\n\n", got.Body.String())
	r := request(http.MethodGet, "/api/sse?events=3&every=1ms&expire_at=2", "", "")
	r.Header.Set("Last-Event-ID", "2")
	r.Header.Set("Authorization", "Bearer "+tokens.Access)
	assert.Equal(t, http.StatusUnauthorized, b.do(r).Code)
	r.Header.Set("Authorization", "Bearer "+b.renewed(t, tokens.Refresh))
	assert.Equal(t, "id: 3\ndata: event 3\n\n", b.do(r).Body.String())
	r.Header.Set("Last-Event-ID", "x")
	assert.Equal(t, http.StatusBadRequest, b.do(r).Code)
}

// socket is a WebSocket client: RFC 6455 in as far as the tests need it.
type socket struct {
	net.Conn
	r *bufio.Reader
}

func dialSocket(t *testing.T, url, access string) (socket, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, "GET /api/ws HTTP/1.1\r\nHost: auth.test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer "+access+"\r\n\r\n")
	require.NoError(t, err)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	return socket{conn, r}, resp
}

// say sends a masked frame.
func (s socket) say(t *testing.T, op byte, payload string) {
	t.Helper()
	frame := []byte{op}
	if len(payload) < 126 {
		frame = append(frame, 0x80|byte(len(payload)))
	} else {
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(len(payload)))
	}
	mask := []byte{1, 2, 3, 4}
	frame = append(frame, mask...)
	for i := range len(payload) {
		frame = append(frame, payload[i]^mask[i%4])
	}
	_, err := s.Write(frame)
	require.NoError(t, err)
}

func (s socket) hear(t *testing.T) (op byte, payload string) {
	t.Helper()
	head := make([]byte, 2)
	_, err := io.ReadFull(s.r, head)
	require.NoError(t, err)
	n := int(head[1])
	if n == 126 {
		long := make([]byte, 2)
		_, err = io.ReadFull(s.r, long)
		require.NoError(t, err)
		n = int(binary.BigEndian.Uint16(long))
	}
	data := make([]byte, n)
	_, err = io.ReadFull(s.r, data)
	require.NoError(t, err)
	return head[0], string(data)
}

func code(n uint16) string { return string(binary.BigEndian.AppendUint16(nil, n)) }

func TestAWebSocketEchoesUntilItsTokenEnds(t *testing.T) {
	b := start(t, "strict", nil)
	srv := httptest.NewServer(b.Handler())
	defer srv.Close()
	tokens := b.login(t)
	conn, resp := dialSocket(t, srv.URL, tokens.Access)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	assert.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", resp.Header.Get("Sec-WebSocket-Accept"), "RFC 6455 1.3")
	long := strings.Repeat("long ", 1000)
	for _, text := range []string{"hello", "", long} {
		conn.say(t, 0x81, text)
		op, got := conn.hear(t)
		assert.EqualValues(t, 0x81, op)
		assert.Equal(t, text, got)
	}
	conn.say(t, 0x89, "ping")
	op, got := conn.hear(t)
	assert.EqualValues(t, 0x8A, op)
	assert.Equal(t, "ping", got)

	require.NoError(t, b.RevokeAccessTokens())
	op, got = conn.hear(t)
	assert.EqualValues(t, 0x88, op)
	assert.Equal(t, code(4401), got)
	_, err := conn.r.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
}

func TestAWebSocketIsClosedForWhatTheProtocolForbids(t *testing.T) {
	b := start(t, "strict", nil)
	srv := httptest.NewServer(b.Handler())
	defer srv.Close()
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"not masked":        {[]byte{0x81, 1, 'x'}, code(1002)},
		"a reserved bit":    {[]byte{0xC1, 0x80, 0, 0, 0, 0}, code(1002)},
		"a long ping":       {append([]byte{0x89, 0xFE, 0, 126, 0, 0, 0, 0}, make([]byte, 126)...), code(1002)},
		"too big":           {[]byte{0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0}, code(1009)},
		"a length too long": {[]byte{0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, code(1009)},
		"closed":            {[]byte{0x88, 0x82, 0, 0, 0, 0, 3, 0xE8}, code(1000)},
	} {
		conn, _ := dialSocket(t, srv.URL, b.login(t).Access)
		_, err := conn.Write(c.frame)
		require.NoError(t, err)
		op, got := conn.hear(t)
		assert.EqualValues(t, 0x88, op, name)
		assert.Equal(t, c.want, got, name)
	}
	_, resp := dialSocket(t, srv.URL, "nonsense")
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	assert.Equal(t, http.StatusUpgradeRequired, b.get("/api/ws", b.login(t).Access).Code)
}

func TestTheDemoEndpointsWantAToken(t *testing.T) {
	b := start(t, "strict", nil)
	for _, path := range []string{
		"/api/stream", "/api/sse", "/api/ws", "/api/401-once", "/api/403-always", "/api/expire/1m",
		"/api/redirect?to=/api/me", "/api/charge", "/api/slow", "/api/rate",
	} {
		got := b.get(path, "")
		assert.Equal(t, http.StatusUnauthorized, got.Code, path)
		assert.Contains(t, got.Header().Get("WWW-Authenticate"), `resource_metadata="http://auth.test/.well-known/oauth-protected-resource`, path)
	}
}
