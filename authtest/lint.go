package authtest

import (
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// The rules of Violation.
const (
	RefreshReused    = testserver.RefreshReused    // a retired token came back though its successor had been delivered
	RefreshUnsaved   = testserver.RefreshUnsaved   // so, 5 s after or later, and the successor never came: it was not kept
	RefreshOverlap   = testserver.RefreshOverlap   // two refreshes of one session were in flight
	RefreshAfterEnd  = testserver.RefreshAfterEnd  // a refused token came back within 5 s, or for the third time after
	RefreshEarly     = testserver.RefreshEarly     // a refresh while the access token was good for longer than Config.EarlyRefresh
	RefreshLoop      = testserver.RefreshLoop      // more than 300 refreshes of a session in a minute
	RefreshKeyed     = testserver.RefreshKeyed     // an Idempotency-Key on a refresh: net/http re-sends such a POST silently
	RefreshMisplaced = testserver.RefreshMisplaced // a refresh token as a bearer token
	RefreshInURL     = testserver.RefreshInURL     // a refresh token in a query
	RefreshInClear   = testserver.RefreshInClear   // a refresh token over plain HTTP to another host than loopback
	BearerAbroad     = testserver.BearerAbroad     // an Authorization header sent to example.com
	APIStorm         = testserver.APIStorm         // an access token sent on after 200 refusals
	GrantMalformed   = testserver.GrantMalformed   // a token request without its parameters, with one twice, of an unknown grant or not form-encoded
	ClientUnnamed    = testserver.ClientUnnamed    // a token request that does not say which client it is from
	ScopeWidened     = testserver.ScopeWidened     // a refresh that asked for more scope than was granted
	PKCEMissing      = testserver.PKCEMissing      // a login without a code challenge
	PKCEPlain        = testserver.PKCEPlain        // a login whose code challenge is plain
	ProofReused      = testserver.ProofReused      // a DPoP proof that was here before
	AgentUnnamed     = testserver.AgentUnnamed     // a token request without a User-Agent
	LoginScraped     = testserver.LoginScraped     // a login form that no browser has sent
)

// Rules lists the rules, sorted.
func Rules() []string { return testserver.Rules() }

// Violation is something that a good client does not do.
type Violation struct {
	Rule     string    `json:"rule"`     // one of the constants above
	Session  string    `json:"session"`  // empty where no session is known
	Time     time.Time `json:"time"`     // on the server's clock
	Exchange int       `json:"exchange"` // the number of the request, see Exchange
	First    int       `json:"first"`    // of the request that first presented the refresh token; 0: none did
}

// Violations lists what clients did wrong, oldest first. A token presented
// again because its answer was lost, by a fault or because its client had
// left, is a recovery and not listed.
func (s *Server) Violations() []Violation {
	inner := s.inner.Violations()
	out := make([]Violation, len(inner))
	for i, v := range inner {
		out[i] = Violation(v)
	}
	return out
}

// HolderKilled says that whoever held a session may have been killed from a
// time on, on the server's clock: what was delivered since may be lost, and
// its parent may come back without a violation.
func (s *Server) HolderKilled(session string, at time.Time) { s.inner.HolderKilled(session, at) }
