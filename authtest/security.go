package authtest

import (
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// AuthMethod is how a client proves itself at the token endpoint, in the words
// of the OAuth registry.
type AuthMethod string

// The methods. The zero AuthMethod is whatever the client has: nothing, its
// secret by Basic or in the form, its keys or its certificate.
const (
	NoMethod      = AuthMethod(testserver.NoMethod)      // a public client, which sends its client_id
	SecretBasic   = AuthMethod(testserver.SecretBasic)   // RFC 6749 2.3.1, in the header
	SecretPost    = AuthMethod(testserver.SecretPost)    // RFC 6749 2.3.1, in the form
	PrivateKeyJWT = AuthMethod(testserver.PrivateKeyJWT) // RFC 7523 2.2
	SelfSignedTLS = AuthMethod(testserver.SelfSignedTLS) // RFC 8705 2.2; needs NewTLS
)

// AccessFormat is the form of the access tokens.
type AccessFormat uint8

// The forms of an access token. The zero AccessFormat is JWTAccess.
const (
	JWTAccess    = AccessFormat(testserver.JWTAccess)    // at+jwt, RFC 9068
	OpaqueAccess = AccessFormat(testserver.OpaqueAccess) // "at_" and what the server alone can read
)

// NonceMode says whether DPoP proofs need a nonce of the server (RFC 9449 8).
// The token endpoint and the API have nonces of their own.
type NonceMode uint8

// The modes. The zero NonceMode is NoNonces.
const (
	// NoNonces leaves it to iat to say how fresh a proof is.
	NoNonces = NonceMode(testserver.NoNonces)
	// TimedNonces asks for the nonce of this period or the one before.
	TimedNonces = NonceMode(testserver.TimedNonces)
	// SingleUseNonces asks for a nonce that no proof has borne yet: a client that
	// does not take the one from each answer is asked again each time.
	SingleUseNonces = NonceMode(testserver.SingleUseNonces)
)

// Rate is a bucket of Burst requests that refills by one every Every, on the
// server's clock. The zero Rate limits nothing.
type Rate struct {
	Every time.Duration // one more request after this time
	Burst int           // how many may come at once; zero: 1
}

// RateLimits bound the requests to everything but the API. A request that they
// refuse with 429 has spent nothing, its refresh token least of all.
type RateLimits struct {
	IP      Rate // by the address of the connection
	Client  Rate // by the registered client that the request names
	Session Rate // by the session of the presented refresh token

	RetryAfterDate bool   // Retry-After is a date instead of seconds
	Body           string // sent instead of the error of the dialect
	ContentType    string // of Body; text/html; charset=utf-8
}

// AssertionIssuer may vouch for users: the assertions it signs are grants (RFC
// 7523 2.1).
type AssertionIssuer struct {
	Issuer string // the iss of its assertions
	JWKS   []byte // its keys, as a JSON Web Key Set
}

// The messages of the two log lines for whoever watches a service. They carry
// these attributes, as far as the server knows them, and never a token:
//
//   - outcome (LogRefused): as in the X-Authtest-Outcome header, or fault
//   - reason (LogSuspicious): one of the Suspicion constants or the rule of a Violation
//   - endpoint, remote, client, session, user
const (
	LogRefused    = testserver.LineRefused    // a refresh failed; level Info
	LogSuspicious = testserver.LineSuspicious // a token or proof was used as no good client does; level Warn
)

// Suspicion is the reason of a LogSuspicious line.
type Suspicion string

// The suspicions, beside the rules of Violation that concern misplaced tokens.
const (
	SuspectReuse       = Suspicion(testserver.Reuse)               // a retired refresh token came back too late
	SuspectClient      = Suspicion(testserver.ForeignClient)       // a refresh token of another client
	SuspectKey         = Suspicion(testserver.KeyMismatch)         // a token bound to another key
	SuspectCertificate = Suspicion(testserver.CertificateMismatch) // an access token bound to another certificate
	SuspectAfterEnd    = Suspicion(testserver.RefreshOver)         // a refresh of a session that is over
	SuspectAssertion   = Suspicion(testserver.AssertionReplayed)   // an assertion came twice
	SuspectProof       = Suspicion(testserver.ProofReplayed)       // a DPoP proof came twice
)

func (c Client) inner() testserver.Client {
	return testserver.Client{
		ID: c.ID, Secret: c.Secret,
		RedirectURIs: c.RedirectURIs, PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
		Auth: testserver.AuthMethod(c.Auth), Keys: c.Keys, JWKS: c.JWKS, Certificate: c.Certificate,
		CertificateBound: c.CertificateBound, DPoPBound: c.DPoPBound,
	}
}

func (l RateLimits) inner() testserver.RateLimits {
	return testserver.RateLimits{
		IP: testserver.Rate(l.IP), Client: testserver.Rate(l.Client), Session: testserver.Rate(l.Session),
		RetryAfterDate: l.RetryAfterDate, Body: l.Body, ContentType: l.ContentType,
	}
}

// RevokeAccessToken puts one access token on the blacklist: the API refuses it
// from now on, its session lives on. A token of another server is fatal.
func (s *Server) RevokeAccessToken(token string) {
	if err := s.inner.RevokeAccessToken(token); err != nil {
		s.fatal("authtest: revoking an access token: %v", err)
	}
}
