package authtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// look says whether what net/http tells is what a client has to expect.
type look func(*assert.Assertions, seen)

// failed: no answer, and an error that is one of these or says one of these.
func failed(target error, words ...string) look {
	return func(a *assert.Assertions, s seen) {
		if a.Error(s.err) && target != nil {
			a.ErrorIs(s.err, target)
		}
		for _, word := range words {
			a.ErrorContains(s.err, word)
		}
	}
}

// cut: the status came, and not all of the body.
func cut(unexpectedEOF bool, words ...string) look {
	return func(a *assert.Assertions, s seen) {
		a.NoError(s.err)
		a.Equal(http.StatusOK, s.status)
		if !a.Error(s.bodyErr) {
			return
		}
		a.Equal(unexpectedEOF, errors.Is(s.bodyErr, io.ErrUnexpectedEOF), s.bodyErr)
		for _, word := range words {
			a.ErrorContains(s.bodyErr, word)
		}
	}
}

func whole(a *assert.Assertions, s seen) {
	a.NoError(s.err)
	a.NoError(s.bodyErr)
	a.NotNil(s.member("refresh_token"))
}

// wireRow is a fault and what it looks like under each version of HTTP.
type wireRow struct {
	fault      authtest.Fault
	http1, two look
}

func wireRows() map[string]wireRow {
	lost := func(f authtest.Fault) authtest.Fault { f.On, f.At = authtest.Refresh, authtest.AfterCommit; return f }
	midway := func(f authtest.Fault) authtest.Fault { f.On, f.At = authtest.Refresh, authtest.MidBody; return f }
	stream := []string{"stream error", "INTERNAL_ERROR"}
	return map[string]wireRow{
		"dropped":          {lost(authtest.Fault{Drop: true}), failed(io.EOF), failed(nil, stream...)},
		"reset":            {lost(authtest.Fault{Reset: true}), failed(syscall.ECONNRESET), failed(nil, stream...)},
		"truncated":        {lost(authtest.Fault{Edit: authtest.Truncated}), cut(true), cut(false, stream...)},
		"dropped midway":   {midway(authtest.Fault{Drop: true}), cut(true), cut(false, stream...)},
		"truncated chunks": {lost(authtest.Fault{Edit: authtest.TruncatedChunks}), cut(true), failed(nil, stream...)},
		"a malformed chunk": {lost(authtest.Fault{Edit: authtest.MalformedChunk}),
			cut(false, "invalid byte in chunk length"), failed(nil, stream...)},
		"garbage":   {lost(authtest.Fault{Edit: authtest.Garbage}), failed(nil, "malformed HTTP"), failed(nil, stream...)},
		"half JSON": {lost(authtest.Fault{Edit: authtest.HalfJSON}), halved, halved},
		"goaway":    {lost(authtest.Fault{Edit: authtest.ConnectionClose}), whole, whole},
	}
}

func halved(a *assert.Assertions, s seen) {
	a.NoError(s.bodyErr)
	a.Nil(s.member("refresh_token"))
	a.NotEmpty(s.body)
}

// The classifier of a client has to know these apart. A POST is never sent
// again unasked, which only the server can tell.
func TestWhatAFaultLooksLikeUnderEachVersionOfHTTP(t *testing.T) {
	for name, row := range wireRows() {
		t.Run(name, func(t *testing.T) {
			cfg := authtest.Config{Profile: authtest.Grace, Grace: time.Hour}
			for srv, check := range map[*authtest.Server]look{authtest.NewWith(t, cfg): row.http1, authtest.NewTLS(t, cfg): row.two} {
				token := srv.Login("alice", "laptop").RefreshToken
				warm := document(t, srv, "/oauth/jwks") // the connection is used again
				require.NotEmpty(t, warm)
				srv.Fault(row.fault)
				check(assert.New(t), refreshSeen(srv, token))
				assert.Equal(t, 1, srv.Redemptions(token), "sent once")
				assert.Equal(t, 1, srv.Stats().Rotations)
				whole(assert.New(t), refreshSeen(srv, token))
				assert.Empty(t, srv.Violations(), "whoever lost the answer may ask again")
			}
		})
	}
}

// On HTTP/2 a GOAWAY is what makes the next request come on another connection.
// Without a fault it comes on the same one, as a rule: net/http keeps none that
// took it long to write to.
func TestAConnectionThatIsClosedIsNotUsedAgain(t *testing.T) {
	for _, srv := range []*authtest.Server{authtest.New(t), authtest.NewTLS(t, authtest.Config{})} {
		srv.Fault(authtest.Fault{On: authtest.Keys, At: authtest.Rewriting, Edit: authtest.ConnectionClose})
		document(t, srv, "/oauth/jwks")
		document(t, srv, "/oauth/jwks")
		srv.Close()
		seen := srv.Exchanges(authtest.Keys)
		require.Len(t, seen, 2)
		assert.NotEqual(t, seen[0].Remote, seen[1].Remote)
	}
}

// warm returns when a connection waits for the next request. net/http may close
// one instead, such as one that took it long to write to.
func warm(t *testing.T, srv *authtest.Server) {
	t.Helper()
	reused := false
	trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }}
	for range 10 {
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, srv.URL()+"/oauth/jwks", nil)
		require.NoError(t, err)
		resp, err := srv.Client().Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, errors.Join(err, resp.Body.Close()))
		if reused {
			return
		}
	}
	require.Fail(t, "no connection is used again")
}

// net/http sends a GET once more, and a POST with an Idempotency-Key, when a
// connection that it has used before dies: no client sees that, and no fault of
// a single request does any harm to it.
func TestWhatNetHTTPSendsAgainUnasked(t *testing.T) {
	for _, c := range []struct {
		method, key string
		attempts    int
	}{{http.MethodGet, "", 2}, {http.MethodPost, "", 1}, {http.MethodPost, "7", 2}} {
		for _, srv := range []*authtest.Server{authtest.New(t), authtest.NewTLS(t, authtest.Config{})} {
			warm(t, srv)
			srv.Fault(authtest.Fault{On: authtest.API, Drop: true})
			req, err := http.NewRequestWithContext(t.Context(), c.method, srv.URL()+"/api/echo", strings.NewReader(""))
			require.NoError(t, err)
			if c.key != "" {
				req.Header.Set("Idempotency-Key", c.key)
			}
			resp, err := srv.Client().Do(req)
			if err == nil {
				require.NoError(t, resp.Body.Close())
			}
			want := c.attempts
			if srv.Certificate() != nil {
				want = 1
			}
			assert.Equal(t, want == 1, err != nil, "%s %q: %v", c.method, c.key, err)
			srv.Close()
			assert.Len(t, srv.Exchanges(authtest.API), want)
		}
	}
}

// What happens before the handshake is over says nothing of tokens: no request
// was sent.
func TestAConnectionCanFailUnderTLSAsItComesIn(t *testing.T) {
	for name, c := range map[string]struct {
		fault authtest.Fault
		check func(*assert.Assertions, error)
	}{
		"closed": {authtest.Fault{Drop: true}, func(a *assert.Assertions, err error) {
			a.True(errors.Is(err, io.EOF) || gone(err), "%v", err)
		}},
		"reset": {authtest.Fault{Reset: true}, func(a *assert.Assertions, err error) { a.True(gone(err), "%v", err) }},
		"alert": {authtest.Fault{Edit: authtest.HandshakeFailure}, func(a *assert.Assertions, err error) {
			a.ErrorContains(err, "remote error: tls: handshake failure")
		}},
		"no TLS at all": {authtest.Fault{Answer: &authtest.Answer{Raw: true, Body: "220 mail.example.com ESMTP\r\n"}},
			func(a *assert.Assertions, err error) {
				a.ErrorContains(err, "first record does not look like a TLS handshake")
			}},
		"a black hole": {authtest.Fault{Hang: true}, func(a *assert.Assertions, err error) {
			a.ErrorIs(err, context.DeadlineExceeded)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := authtest.NewTLS(t, authtest.Config{})
			token := srv.Login("alice", "laptop").RefreshToken
			c.fault.At = authtest.OnAccept
			srv.Fault(c.fault)
			if c.fault.Hang {
				srv.Client().Timeout = 200 * time.Millisecond
			}
			c.check(assert.New(t), refreshSeen(srv, token).err)
			srv.Client().Timeout = 0
			assert.Zero(t, srv.Stats().RefreshRequests, "no request was read")
			assert.Equal(t, http.StatusOK, refreshSeen(srv, token).status, "the next connection is good")
		})
	}
}

// gone reports that the other end has thrown the connection away, seen while
// writing or reading.
func gone(err error) bool { return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) }

func TestAServerUnderTLSRefusesConnections(t *testing.T) {
	srv := authtest.NewTLS(t, authtest.Config{})
	token := srv.Login("alice", "laptop").RefreshToken
	again := srv.Refuse()
	assert.ErrorIs(t, refreshSeen(srv, token).err, syscall.ECONNREFUSED)
	again()
	assert.Equal(t, http.StatusOK, refreshSeen(srv, token).status)
	assert.Equal(t, 1, srv.Stats().RefreshRequests)
}

// Guards that a reset is booked before the client can come back: on loopback it
// does so at once.
func TestWhoComesBackAfterAResetIsNotTakenForTwo(t *testing.T) {
	srv := authtest.NewWith(t, authtest.Config{Profile: authtest.Grace, Grace: time.Hour})
	token := srv.Login("alice", "laptop").RefreshToken
	for range 50 {
		srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Reset: true})
		refreshSeen(srv, token)
		next, ok := refreshSeen(srv, token).member("refresh_token").(string)
		require.True(t, ok)
		token = next
	}
	assert.Empty(t, srv.Violations())
}
