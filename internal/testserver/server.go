package testserver

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// User can sign in.
type User struct{ Name, Password string }

// Client is an OAuth client: public if it has no secret.
type Client struct {
	ID, Secret string

	// RedirectURIs are compared exactly, but for the port of a loopback address
	// (RFC 8252 7.3). None: any path on a loopback address.
	RedirectURIs           []string
	PostLogoutRedirectURIs []string // none: RedirectURIs

	Auth        AuthMethod         // the one method it may use; any that fits what follows and Secret
	Keys        []crypto.PublicKey // of private_key_jwt
	JWKS        []byte             // the same as a JSON Web Key Set
	Certificate string             // x5t#S256 of its self-signed certificate

	CertificateBound bool // its tokens are bound to its certificate (RFC 8705 3.4)
	DPoPBound        bool // it gets no tokens without a DPoP proof (RFC 9449 5.2)
}

// Config says what kind of server to build. Zero fields take the defaults
// noted with them.
type Config struct {
	Issuer  string  // base URL of the server; needed
	Profile Profile // one without a name is "strict"

	AccessTTL    time.Duration // 15 minutes
	IdleTTL      time.Duration // 7 days
	AbsoluteTTL  time.Duration // 7 days
	MaxRefreshes int           // no limit

	// SigningAlgorithm is that of access tokens and ID tokens: ES256.
	SigningAlgorithm Algorithm
	AccessSecret     []byte // the first secret of HS256, at least 32 bytes; drawn
	// AutoApprove is a user who signs in and agrees to every authorization and
	// every device without a page being shown; nobody.
	AutoApprove string
	// DeviceInterval is how long a device waits between two polls (RFC 8628
	// 3.2): 5 seconds.
	DeviceInterval time.Duration

	Users   []User   // alice, whose password is secret
	Clients []Client // cli (public) and service (its secret: service-secret)

	Access           AccessFormat      // at+jwt
	DPoPNonces       NonceMode         // proofs need none
	DPoPNoncePeriod  time.Duration     // how long one is given out; 5 minutes
	RateLimits       RateLimits        // none
	SensitiveMaxAge  time.Duration     // how fresh a login /logout-all and DELETE /sessions need; any
	AssertionIssuers []AssertionIssuer // whose assertions are grants, beside those of Clients with keys

	// A refresh is a violation while the access token is good for longer than
	// this and was not refused; zero: not judged, for some programs refresh
	// when their user says so.
	EarlyRefresh time.Duration

	// ControlKey opens /_test/ to other machines, in the header X-Authtest-Key.
	// Empty: only this machine may use it.
	ControlKey string

	// TellExpiry adds refresh_token_timeout and authorization_expires_in to the
	// answers of the token endpoint, in the OAuth dialect.
	TellExpiry bool

	// InsecureCookie leaves Secure out of the cookie of the cookie dialect, for
	// clients that do not send such a one over plain HTTP to loopback.
	InsecureCookie bool

	// Seed varies what Probability and Jitter of the rules come to; with the same
	// one they come to the same.
	Seed uint64

	TokenDelay time.Duration    // latency of a refresh; none
	Store      Store            // one in memory
	Log        *slog.Logger     // nowhere
	Now        func() time.Time // time.Now
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	set(&c.AccessTTL, 15*time.Minute)
	set(&c.IdleTTL, 7*24*time.Hour)
	set(&c.AbsoluteTTL, 7*24*time.Hour)
	set(&c.DeviceInterval, 5*time.Second)
	set(&c.DPoPNoncePeriod, 5*time.Minute)
	if len(c.Users) == 0 {
		c.Users = []User{{Name: "alice", Password: "secret"}}
	}
	if len(c.Clients) == 0 {
		c.Clients = []Client{{ID: "cli"}, {ID: "service", Secret: "service-secret"}}
	}
	if c.Store == nil {
		c.Store = newMemory()
	}
	if c.Profile.Name == "" {
		c.Profile = plainProfiles()[0]
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) check() error {
	var errs []error
	fail := func(format string, a ...any) { errs = append(errs, fmt.Errorf("testserver: "+format, a...)) }
	if u, err := url.Parse(c.Issuer); err != nil || u.Host == "" {
		fail("Issuer must be an absolute URL")
	} else if strings.HasSuffix(c.Issuer, "/") || u.RawQuery != "" || u.Fragment != "" {
		fail("Issuer must not end in a slash, nor have a query or a fragment") // RFC 8414 2
	}
	if min(c.AccessTTL, c.IdleTTL, c.AbsoluteTTL) < time.Second { // expires_in counts whole seconds
		fail("AccessTTL, IdleTTL and AbsoluteTTL must be at least a second")
	}
	if c.MaxRefreshes < 0 {
		fail("MaxRefreshes must not be negative")
	}
	if c.TokenDelay < 0 || !c.Profile.Replay.sound() {
		fail("TokenDelay and the numbers of the profile must not be negative")
	}
	if !slices.Contains([]Algorithm{"", ES256, RS256, EdDSA, HS256}, c.SigningAlgorithm) {
		fail("there is no algorithm %q", c.SigningAlgorithm)
	}
	if n := len(c.AccessSecret); n > 0 && (c.SigningAlgorithm != HS256 || n < minSecret) {
		fail("AccessSecret is for HS256 and has at least %d bytes", minSecret)
	}
	if c.DeviceInterval < time.Second {
		fail("DeviceInterval must be at least a second")
	}
	if c.AutoApprove != "" && !slices.ContainsFunc(c.Users, func(u User) bool { return u.Name == c.AutoApprove }) {
		fail("AutoApprove must be one of Users")
	}
	errs = append(errs, c.checkSecurity()...)
	names := make(map[string]bool)
	for _, u := range c.Users {
		if u.Name == "" || names["user "+u.Name] {
			fail("Users need names of their own")
		}
		names["user "+u.Name] = true
	}
	for _, client := range c.Clients {
		if client.ID == "" || names["client "+client.ID] {
			fail("Clients need ids of their own")
		}
		names["client "+client.ID] = true
	}
	return errors.Join(errs...)
}

// Server is the authorization server and the API it protects.
type Server struct {
	policy     Policy // its Replay is that of the profile: see rules
	current    atomic.Pointer[Profile]
	tellExpiry bool // see Config.TellExpiry
	host       string
	tokenDelay time.Duration
	guards
	clients   *clients
	path      string // of the issuer, before every path of the server
	mint      *mint
	store     Store
	interval  time.Duration // between two polls of a device
	approver  string        // who signs in and agrees without being asked
	documents documents
	ledger    *ledger
	pages     *pages
	faults    *faults
	log       *slog.Logger
	handler   http.Handler

	clock  func() time.Time
	offset atomic.Int64 // what Advance added to the clock
	skew   atomic.Int64 // of the reported clock, see clock.go
	lag    atomic.Int64 // see SetAccessLag

	demo           demo         // what its endpoints remember
	insecureCookie bool         // see Config.InsecureCookie
	controlKey     string       // see Config.ControlKey
	exchanges      atomic.Int64 // requests so far
	watchers       watchers
	swept          atomic.Int64 // when the store was swept, in milliseconds

	like   func() Config // what New was given; a function, so that printing a server shows no secret
	parent *Server       // whose issuer this one is; nil for none
	name   string        // of the issuer, there

	mu       sync.Mutex // guards closed and children; never held across I/O, timers or callbacks
	closed   bool
	children map[string]*Server // by name

	done    chan struct{} // closed by Close
	running sync.WaitGroup
}

// New builds a server. It starts nothing: serve its Handler.
func New(cfg Config) (*Server, error) {
	given := cfg
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	issuer, err := url.Parse(cfg.Issuer)
	if err != nil {
		return nil, err
	}
	s := &Server{
		pages: newPages(),
		policy: Policy{
			AccessTTL: cfg.AccessTTL, IdleTTL: cfg.IdleTTL, AbsoluteTTL: cfg.AbsoluteTTL,
			MaxRefreshes: cfg.MaxRefreshes,
		},
		host: issuer.Host, tokenDelay: cfg.TokenDelay,
		path: issuer.EscapedPath(), approver: cfg.AutoApprove, interval: cfg.DeviceInterval,
		clients: newClients(cfg.Clients), store: cfg.Store, documents: scopedTo(issuer.EscapedPath(), cfg.Store.documents()),
		faults: &faults{seed: cfg.Seed}, log: cfg.Log, clock: cfg.Now,
		done: make(chan struct{}),
	}
	s.tellExpiry = cfg.TellExpiry
	s.SetProfile(cfg.Profile)
	if s.mint, err = newMint(context.Background(), cfg, s.documents, s.now); err != nil {
		return nil, err
	}
	s.guards = newGuards(cfg, issuer, s.mint)
	if err := s.addUsers(context.Background(), cfg.Users); err != nil {
		return nil, err
	}
	s.insecureCookie = cfg.InsecureCookie
	s.controlKey = cfg.ControlKey
	s.ledger = newLedger(&s.watchers, cfg.EarlyRefresh)
	s.like = func() Config { return given }
	s.swept.Store(s.now().UnixMilli())
	s.handler = marked(s.onTime(s.dispatch(s.atProfilePath(s.routes()))))
	return s, nil
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /oauth/token", s.oauthToken)
	mux.HandleFunc("POST /oauth/revoke", s.oauthRevoke)
	mux.HandleFunc("GET /oauth/authorize", s.oauthAuthorize)
	mux.HandleFunc("POST /oauth/authorize", s.oauthAuthorize)
	mux.HandleFunc("POST /oauth/par", s.oauthPush)
	mux.HandleFunc("POST /oauth/device_authorization", s.oauthDevice)
	mux.HandleFunc("POST /oauth/introspect", s.oauthIntrospect)
	mux.HandleFunc("GET /oauth/userinfo", s.endpoint(UserInfo, s.protect(s.oauthUserInfo)))
	mux.HandleFunc("POST /oauth/userinfo", s.endpoint(UserInfo, s.protect(s.oauthUserInfo)))
	mux.HandleFunc("POST /oauth/register", s.oauthRegister)
	mux.HandleFunc("GET /oauth/end_session", s.oauthEndSession)
	mux.HandleFunc("POST /oauth/end_session", s.oauthEndSession)
	s.discoveryRoutes(mux)

	mux.HandleFunc("POST /login", s.jsonEndpoint(Authenticate, s.jsonLogin, readBody))
	mux.HandleFunc("POST /refresh", s.jsonEndpoint(Refresh, s.jsonRefresh, readBody))
	mux.HandleFunc("POST /refresh-token", s.jsonEndpoint(Refresh, s.jsonRefresh, readBody))
	mux.HandleFunc("POST /reauthenticate", s.jsonEndpoint(Authenticate, s.jsonReauthenticate, readBody))
	mux.HandleFunc("POST /logout", s.jsonEndpoint(Revoke, s.jsonLogout, readBody))
	mux.HandleFunc("POST /logout-all", s.jsonEndpoint(Revoke, s.jsonLogoutAll, readBody))
	mux.HandleFunc("GET /sessions", s.listOrPage())
	mux.HandleFunc("DELETE /sessions/{id}", s.endpoint(Devices, s.deleteSession))

	mux.HandleFunc("GET /api/me", s.endpoint(API, s.protect(s.apiMe)))
	mux.HandleFunc("/api/echo", s.endpoint(API, s.apiEcho))
	mux.HandleFunc("/api/401-always", s.endpoint(API, s.api401))
	mux.HandleFunc("/api/scope/{scope}", s.endpoint(API, s.protect(s.apiScope)))
	mux.HandleFunc("/api/stepup", s.endpoint(API, s.protect(s.apiStepUp)))
	mux.HandleFunc("/api/dpop", s.endpoint(API, s.apiDPoP))
	mux.HandleFunc("/api/opaque", s.endpoint(API, s.apiFormat(OpaqueAccess)))
	mux.HandleFunc("/api/jwt", s.endpoint(API, s.apiFormat(JWTAccess)))
	mux.HandleFunc("GET /healthz", s.healthz)
	s.controlRoutes(mux)
	s.cookieRoutes(mux)
	s.demoRoutes(mux)
	s.pageRoutes(mux)
	return mux
}

func (s *Server) endpoint(e Endpoint, h handler) http.HandlerFunc {
	if e == API || e == UserInfo {
		h = s.pointing(h)
	}
	return func(w http.ResponseWriter, r *http.Request) { s.run(&exchange{w: w, r: r, endpoint: e}, h) }
}

// marked says in every answer what kind of server this is.
func marked(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerNotice, notice)
		h.ServeHTTP(w, r)
	})
}

// Handler serves the server's endpoints. A dropped connection is a panic with
// http.ErrAbortHandler, which net/http understands.
func (s *Server) Handler() http.Handler { return s.handler }

// Now is the server's clock.
func (s *Server) Now() time.Time { return s.now() }

func (s *Server) now() time.Time { return s.clock().Add(time.Duration(s.offset.Load())) }

// Advance moves the server's clock, and nobody else's.
func (s *Server) Advance(d time.Duration) { s.offset.Add(int64(d)) }

// begin reports whether the server is open, and books a running request.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(1)
	return true
}

// Stop ends every wait: requests at gates and in delays are aborted, new ones
// refused.
func (s *Server) Stop() {
	for _, child := range s.below() {
		child.Stop()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
}

// Close stops the server and returns when no request is running. Connections
// are the caller's: one that holds a request in its body must be closed first.
func (s *Server) Close() {
	s.Stop()
	for _, child := range s.below() {
		child.Close()
	}
	s.running.Wait()
	s.leaveParent()
}
