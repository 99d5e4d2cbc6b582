package authtest

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// Server is a running authorization server and the API it protects.
type Server struct {
	inner    *testserver.Server
	url      string
	http     *http.Server
	door     door // the listener
	client   *http.Client
	identity *identity     // nil: no TLS
	parent   *Server       // whose issuer it is, and whose listener; nil: it has its own
	served   chan struct{} // closed when the listener's goroutine has ended
	close    sync.Once
	fatal    func(format string, args ...any)
}

// New runs a strict server on loopback until the test ends. A fault that never
// fired by then is an error of the test. Where the TB is a testing.TB, the
// server's log goes to its Output, and what the server saw of a test that failed
// to its ArtifactDir; neither holds a token.
func New(tb TB) *Server {
	tb.Helper()
	return NewWith(tb, Config{})
}

// NewWith is New with a Config. A Config that makes no sense is fatal.
func NewWith(tb TB, cfg Config) *Server {
	tb.Helper()
	s, err := NewServer(cfg.loggedTo(tb))
	return s.attach(tb, err)
}

// NewPipe is NewWith over connections in memory, which also work inside a
// testing/synctest bubble. Only [Server.Client] reaches the server.
func NewPipe(tb TB, cfg Config) *Server {
	tb.Helper()
	l := newPipe()
	s, err := serve(cfg.loggedTo(tb), l, pipeURL, l.DialContext, nil)
	return s.attach(tb, err)
}

// NewServer runs a server on loopback for a program that has no TB. The caller
// closes it.
func NewServer(cfg Config) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("authtest: listening on loopback: %w", err)
	}
	address := l.Addr().String()
	return serve(cfg, l, "http://"+address, dialTo(address), nil)
}

func serve(cfg Config, l net.Listener, url string, dial dialFunc, secure *identity) (*Server, error) {
	inner, err := newInner(cfg, url)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	s := &Server{
		inner: inner, url: url, served: make(chan struct{}), identity: secure, door: doorOf(l),
		http:   &http.Server{Handler: inner.Handler(), ReadHeaderTimeout: time.Minute, TLSConfig: secure.server(), ErrorLog: silent()},
		client: &http.Client{Transport: newTransport(dial, secure)},
		fatal:  func(format string, args ...any) { panic(fmt.Sprintf(format, args...)) },
	}
	go func() {
		defer close(s.served)
		if secure == nil {
			_ = s.http.Serve(inner.Listener(s.door)) // ends with http.ErrServerClosed
		} else {
			_ = s.http.ServeTLS(inner.Listener(s.door), "", "")
		}
	}()
	return s, nil
}

func newTransport(dial dialFunc, secure *identity) *http.Transport {
	return &http.Transport{
		DialContext: dial, ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost: 64, // tests send many requests to one host
		TLSClientConfig:     secure.client(), ForceAttemptHTTP2: secure != nil,
	}
}

func newInner(cfg Config, url string) (*testserver.Server, error) {
	inner, err := cfg.inner(url)
	if err != nil {
		return nil, err
	}
	if inner.Store, err = cfg.Database.store(); err != nil {
		return nil, err
	}
	s, err := testserver.New(inner)
	if err != nil {
		return nil, fmt.Errorf("authtest: %w", err)
	}
	return s, nil
}

// attach binds the server's life to a test's.
func (s *Server) attach(tb TB, err error) *Server {
	tb.Helper()
	if err != nil {
		tb.Fatalf("%v", err)
		return nil
	}
	s.fatal = tb.Fatalf
	tb.Cleanup(func() { s.end(tb) })
	return s
}

// Close ends the server: requests that are held or delayed are aborted, the
// client's idle connections are closed. No goroutine of the server is left
// when it returns. It may be called again.
func (s *Server) Close() {
	s.close.Do(func() {
		s.inner.Stop()
		if s.parent != nil {
			s.inner.Close()
			return
		}
		_ = s.http.Close()
		s.client.CloseIdleConnections()
		<-s.served
		s.inner.Close()
	})
}

// URL is the base URL of the server, without a slash at its end.
func (s *Server) URL() string { return s.url }

// Handler serves the same endpoints without a connection, for a RoundTripper
// that calls it directly. A fault that drops the connection is then a panic
// with http.ErrAbortHandler.
func (s *Server) Handler() http.Handler { return s.inner.Handler() }

// Client returns the client of the server, the same at each call. It sends
// example.com and every host below it to the server, too, so that a test can
// leave the origin without DNS.
func (s *Server) Client() *http.Client { return s.client }

// Login starts a session of a user on a device without HTTP, for the first
// client of the Config. The session can be refreshed in either dialect. An
// unknown user is fatal.
func (s *Server) Login(user, device string) Tokens {
	t, err := s.inner.Login(user, device)
	if err != nil {
		s.fatal("authtest: logging in: %v", err)
		return Tokens{}
	}
	return Tokens{AccessToken: t.Access, RefreshToken: t.Refresh, ExpiresIn: t.ExpiresIn, SessionID: t.Session}
}

// Advance moves the server's clock, and nobody else's.
func (s *Server) Advance(d time.Duration) { s.inner.Advance(d) }

// Now is the server's clock.
func (s *Server) Now() time.Time { return s.inner.Now() }

// RevokeAccessTokens makes every access token issued so far invalid at the API
// at once. The sessions live on.
func (s *Server) RevokeAccessTokens() {
	s.must("revoking access tokens", s.inner.RevokeAccessTokens())
}

// RevokeSession ends a session, for a reason that Sessions will tell. An
// unknown session is fatal.
func (s *Server) RevokeSession(id, reason string) {
	s.must("revoking a session", s.inner.RevokeSession(id, reason))
}

// AddUser adds someone who can sign in from now on, at every server that shares
// the Database. One without a name or with a name that is taken is fatal.
func (s *Server) AddUser(u User) { s.must("adding a user", s.inner.AddUser(testserver.User(u))) }

// RevokeUser moves a user's token version on, as a changed password does: all
// sessions and access tokens so far are dead. An unknown user is fatal.
func (s *Server) RevokeUser(name string) {
	s.must("revoking a user", s.inner.RevokeUser(name))
}

// DisableUser locks a user out. An unknown user is fatal.
func (s *Server) DisableUser(name string) {
	s.must("disabling a user", s.inner.DisableUser(name))
}

// EnableUser lets a user in again who was locked out. What they had before is
// good again, too, as far as nothing else ended it. An unknown user is fatal.
func (s *Server) EnableUser(name string) {
	s.must("enabling a user", s.inner.EnableUser(name))
}

func (s *Server) must(doing string, err error) {
	if err != nil {
		s.fatal("authtest: %s: %v", doing, err)
	}
}
