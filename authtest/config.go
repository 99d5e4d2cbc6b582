package authtest

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// TB is what this package needs of a testing.T, B or F.
type TB interface {
	Helper()                           // see testing.TB
	Cleanup(func())                    // see testing.TB
	Errorf(format string, args ...any) // see testing.TB
	Fatalf(format string, args ...any) // see testing.TB
	Logf(format string, args ...any)   // see testing.TB
}

// User can sign in. Printing one shows no password.
type User struct {
	Name     string // as typed at the login, and the subject of the tokens
	Password string // shown to nobody
}

// Client is an OAuth client: confidential if it has a secret, which it may
// send by HTTP Basic or in the form, else public. Printing one shows no secret.
type Client struct {
	ID     string // the client_id
	Secret string // the client_secret; empty: a public client

	// RedirectURIs are compared exactly, but for the port of a loopback address
	// (RFC 8252 7.3). None: any path on a loopback address.
	RedirectURIs []string
	// PostLogoutRedirectURIs are where a logout may lead. None: RedirectURIs.
	PostLogoutRedirectURIs []string

	// Auth is the one method it may prove itself by; zero: any that fits what
	// follows and Secret.
	Auth AuthMethod
	// Keys check its assertions (RFC 7523 2.2). JWKS says the same as a JSON Web
	// Key Set; set one of the two.
	Keys []crypto.PublicKey
	JWKS []byte // see Keys
	// Certificate is the x5t#S256 of its self-signed certificate (RFC 8705 2.2):
	// see [Thumbprint].
	Certificate string
	// CertificateBound binds its tokens to the certificate of its connection
	// (RFC 8705 3.4), also if it is a public client.
	CertificateBound bool
	// DPoPBound gives it no tokens without a DPoP proof (RFC 9449 5.2). Without,
	// it may send one.
	DPoPBound bool
}

// Config says what kind of server to run. Its zero value is the strict server
// with the defaults noted here.
type Config struct {
	Profile Profile       // Strict; see Profiles
	Grace   time.Duration // how long a retired token is answered; what the profile says

	AccessTTL    time.Duration // life of an access token; 15 min
	IdleTTL      time.Duration // a refresh token unused for so long is dead; 7 d
	AbsoluteTTL  time.Duration // hard end of a session, which no rotation moves; 7 d
	MaxRefreshes int           // a session ends at the refresh after these; no limit

	SigningAlgorithm SigningAlgorithm // of access tokens and ID tokens; ES256
	AccessSecret     []byte           // the first secret of HS256, 32 bytes or more; drawn at random
	// AutoApprove is a user who signs in and agrees to every authorization and
	// every device without a page being shown; nobody. See also Server.Approve.
	AutoApprove    string
	DeviceInterval time.Duration // how long a device waits between two polls; 5 s

	Users   []User   // alice, whose password is secret
	Clients []Client // cli (public) and service (its secret: service-secret)

	Access           AccessFormat      // form of the access tokens; at+jwt
	DPoPNonces       NonceMode         // whether DPoP proofs need a nonce; NoNonces
	DPoPNoncePeriod  time.Duration     // how long a nonce is given out; it is good twice as long; 5 min
	RateLimits       RateLimits        // none
	SensitiveMaxAge  time.Duration     // how fresh a login /logout-all and DELETE /sessions/{id} ask for; any
	AssertionIssuers []AssertionIssuer // who may vouch for users, beside the Clients with keys; nobody

	// EarlyRefresh makes a refresh a violation while the access token is good for
	// longer than this and was not refused; zero: not judged, for some programs
	// refresh when their user says so.
	EarlyRefresh time.Duration

	// Database is where the server keeps users, sessions, keys and codes, which a
	// restart then knows and other servers share; in memory.
	Database Database

	// TellExpiry adds refresh_token_timeout and authorization_expires_in, in
	// seconds, to the token answers of the OAuth dialect.
	TellExpiry bool

	// ControlKey opens the control plane at /_test/ to other machines, in the
	// header X-Authtest-Key; empty: only this machine may use it.
	ControlKey string

	// InsecureCookie leaves Secure out of the cookie of the cookie dialect, for
	// clients that do not send such a one over plain HTTP to loopback.
	InsecureCookie bool

	TokenDelay time.Duration    // latency of the refresh endpoint; none
	Log        *slog.Logger     // one debug line per request, and the lines of LogRefused and LogSuspicious, without tokens; the Output of the TB, else nowhere
	Now        func() time.Time // the clock; time.Now, which is fake inside a synctest bubble
}

func (c Config) inner(issuer string) (testserver.Config, error) {
	profile, err := testserver.ProfileNamed(string(c.Profile))
	if err != nil {
		return testserver.Config{}, fmt.Errorf("authtest: there is no profile %q", c.Profile)
	}
	if c.Grace != 0 {
		if c.Grace < 0 || profile.Replay.Window == 0 {
			return testserver.Config{}, errors.New("authtest: Grace needs a positive duration and a profile that answers retired tokens")
		}
		profile.Replay.Window = c.Grace
	}
	out := testserver.Config{
		Issuer: issuer, Profile: profile,
		AccessTTL: c.AccessTTL, IdleTTL: c.IdleTTL, AbsoluteTTL: c.AbsoluteTTL,
		MaxRefreshes: c.MaxRefreshes, EarlyRefresh: c.EarlyRefresh, ControlKey: c.ControlKey, InsecureCookie: c.InsecureCookie, TellExpiry: c.TellExpiry, TokenDelay: c.TokenDelay, Log: c.Log, Now: c.Now,
		Access: testserver.AccessFormat(c.Access), DPoPNonces: testserver.NonceMode(c.DPoPNonces),
		SigningAlgorithm: testserver.Algorithm(c.SigningAlgorithm), AccessSecret: c.AccessSecret, AutoApprove: c.AutoApprove, DeviceInterval: c.DeviceInterval,
		DPoPNoncePeriod: c.DPoPNoncePeriod, RateLimits: c.RateLimits.inner(), SensitiveMaxAge: c.SensitiveMaxAge,
	}
	for _, u := range c.Users {
		out.Users = append(out.Users, testserver.User(u))
	}
	for _, client := range c.Clients {
		out.Clients = append(out.Clients, client.inner())
	}
	for _, i := range c.AssertionIssuers {
		out.AssertionIssuers = append(out.AssertionIssuers, testserver.AssertionIssuer(i))
	}
	return out, nil
}
