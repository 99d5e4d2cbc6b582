package authtest

import (
	"context"
	"strings"
	"unicode"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// The endpoints beside the sessions' own, for faults and gates.
const (
	Authorize       = Endpoint(testserver.Authorize)       // /oauth/authorize
	Push            = Endpoint(testserver.Push)            // /oauth/par
	RedeemCode      = Endpoint(testserver.RedeemCode)      // the authorization_code grant
	DeviceAuthorize = Endpoint(testserver.DeviceAuthorize) // /oauth/device_authorization
	PollDevice      = Endpoint(testserver.PollDevice)      // the device_code grant
	Introspect      = Endpoint(testserver.Introspect)      // /oauth/introspect
	UserInfo        = Endpoint(testserver.UserInfo)        // /oauth/userinfo
	RegisterClient  = Endpoint(testserver.RegisterClient)  // /oauth/register
	EndSession      = Endpoint(testserver.EndSession)      // /oauth/end_session
	Keys            = Endpoint(testserver.Keys)            // /oauth/jwks
	Discovery       = Endpoint(testserver.Discovery)       // /.well-known/
)

// SigningAlgorithm is how access tokens and ID tokens are signed.
type SigningAlgorithm string

// The algorithms. The zero SigningAlgorithm is ES256, whose keys take no time
// to make.
const (
	ES256 = SigningAlgorithm(testserver.ES256) // ECDSA on P-256
	RS256 = SigningAlgorithm(testserver.RS256) // RSA with 2048 bits
	EdDSA = SigningAlgorithm(testserver.EdDSA) // Ed25519
	// HS256 signs access tokens, and no others, under a secret that the server
	// shares with the APIs that check them: see [Server.AccessSecret]. The key set
	// holds the ES256 key of the ID tokens then.
	HS256 = SigningAlgorithm(testserver.HS256)
)

// Approve answers an authorization request as a user who signs in and agrees
// would, without a browser: give it the URL that the client opens, and send
// what it returns, code and all, to the client's redirect URI. A request that
// is refused comes back with the error in the same way; where there is nowhere
// to send an error to, or the user is unknown, it is fatal.
func (s *Server) Approve(authorizationURL, user string) (redirectURL string) {
	location, err := s.inner.Approve(context.Background(), authorizationURL, user)
	s.must("approving an authorization", err)
	return location
}

// Deny answers an authorization request as a user who does not agree: see
// [Server.Approve].
func (s *Server) Deny(authorizationURL string) (redirectURL string) {
	location, err := s.inner.Deny(context.Background(), authorizationURL)
	s.must("denying an authorization", err)
	return location
}

// ApproveDevice lets in the device that shows the user code (RFC 8628), as a
// user who types it and agrees would. A code that nothing waits under is
// fatal.
func (s *Server) ApproveDevice(userCode, user string) {
	s.must("approving a device", s.inner.ApproveDevice(context.Background(), userCode, user))
}

// DenyDevice keeps the device out that shows the user code.
func (s *Server) DenyDevice(userCode string) {
	s.must("denying a device", s.inner.DenyDevice(context.Background(), userCode))
}

// RotateKeys signs with a new key from now on. The old one stays in the key
// set for as long as a token that it signed may live.
func (s *Server) RotateKeys() { s.must("rotating the keys", s.inner.RotateKeys()) }

// ReplaceKeys signs with a new key from now on and forgets the old one, as
// after a key was lost: every token that it signed is void. Sessions live on.
func (s *Server) ReplaceKeys() { s.must("replacing the keys", s.inner.ReplaceKeys()) }

// AccessSecret is what HS256 signs access tokens with now, for the API under
// test; nil under any other algorithm. [Server.RotateKeys] draws another one.
func (s *Server) AccessSecret() []byte { return s.inner.AccessSecret() }

// Issuer adds an issuer of its own below this one until the test ends, at
// /issuers/name: a server with the users, clients, sessions, faults, clock and
// book of its own Config, behind the same listener and the same [Server.Client].
// Tests that run side by side can share a process in this way and nothing else.
// The name may be a test's: what is no letter, digit, dot, hyphen or underscore
// becomes a hyphen. One that is in use, or a Config that makes no sense, is
// fatal. Faults at OnAccept belong to the listener: set them on s.
func (s *Server) Issuer(tb TB, name string, cfg Config) *Server {
	tb.Helper()
	name = strings.Map(func(r rune) rune {
		if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("._-", r) {
			return r
		}
		return '-'
	}, name)
	var child *Server
	inner, err := cfg.loggedTo(tb).inner("")
	if err == nil {
		inner.Store, err = cfg.Database.store()
	}
	if err == nil {
		var added *testserver.Server
		if added, err = s.inner.Issuer(name, inner); err == nil {
			child = &Server{
				inner: added, url: s.url + "/issuers/" + name, client: s.client, identity: s.identity, parent: s,
			}
		}
	}
	return child.attach(tb, err)
}
