package authtest

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// Endpoint names what a request asks for, in either dialect.
type Endpoint string

// The endpoints that faults and gates can be set on.
const (
	AnyEndpoint       = Endpoint(testserver.AnyEndpoint)
	Refresh           = Endpoint(testserver.Refresh)           // the refresh_token grant, /refresh
	Authenticate      = Endpoint(testserver.Authenticate)      // the password grant, /login
	ClientCredentials = Endpoint(testserver.ClientCredentials) // the client_credentials grant
	Revoke            = Endpoint(testserver.Revoke)            // /oauth/revoke, /logout, /logout-all
	Devices           = Endpoint(testserver.Devices)           // /sessions
	API               = Endpoint(testserver.API)               // /api/
)

// Stage is a moment in the life of a request. The zero Stage is BeforeHandler.
type Stage string

// The stages. A request that is refused by the checks passes only the first.
const (
	// BeforeHandler is before the server has looked at anything.
	BeforeHandler = Stage(testserver.BeforeHandler)
	// BeforeCommit is after the checks: nothing has changed yet.
	BeforeCommit = Stage(testserver.BeforeCommit)
	// AfterCommit is when the state has changed and nothing was answered: a
	// fault here loses the response of a rotation.
	AfterCommit = Stage(testserver.AfterCommit)
)

// Forever as Fault.Times hits every request from the nth on.
const Forever = testserver.Forever

// Answer is an HTTP answer.
type Answer struct {
	Status int         // zero: 200
	Header http.Header // a Content-Length larger than the body cuts the connection
	Body   string      // as sent, before the padding
	Pad    int64       // so many spaces follow Body, streamed
}

// Fault says which requests are hit, when, and by what: one of Drop, Answer
// and Rewrite, or a Delay alone.
type Fault struct {
	On    Endpoint // zero: any
	Path  string   // only this path; empty: any
	At    Stage    // zero: BeforeHandler
	Nth   int      // the first of the matching requests to be hit, counted from 1 when the rule is set; zero: 1
	Times int      // how many from there on, or Forever; zero: 1

	// Delay comes first. It ends early, and the request goes on, when its
	// client leaves.
	Delay time.Duration
	// Drop closes the connection without an answer.
	Drop bool
	// Answer is sent instead of the server's own.
	Answer *Answer
	// Rewrite edits the server's own answer. It needs At: AfterCommit.
	Rewrite func(Answer) Answer
}

// Rule is a fault in force.
type Rule struct{ inner *testserver.Rule }

// Fired says how many requests the rule has hit.
func (r *Rule) Fired() int { return r.inner.Fired() }

// Remove takes the rule out of force.
func (r *Rule) Remove() { r.inner.Remove() }

// String says what the rule waits for.
func (r *Rule) String() string { return r.inner.String() }

// Fault puts a rule in force. Where two are due at once, the one set first
// acts. A fault that makes no sense is fatal.
func (s *Server) Fault(f Fault) *Rule {
	inner := testserver.Fault{
		On: testserver.Endpoint(f.On), Path: f.Path, At: testserver.Stage(f.At),
		Nth: f.Nth, Times: f.Times, Delay: f.Delay, Drop: f.Drop,
		Answer: (*testserver.Answer)(f.Answer),
	}
	if f.Rewrite != nil {
		inner.Rewrite = func(a testserver.Answer) testserver.Answer {
			return testserver.Answer(f.Rewrite(Answer(a)))
		}
	}
	r, err := s.inner.Fault(inner)
	if err != nil {
		s.fatal("authtest: %v", err)
		return nil
	}
	return &Rule{r}
}

// Gate holds requests at a stage until it lets them go, so that a test chooses
// the order of a race. A client that leaves does not free its request. Gates
// come before faults; Close aborts what is still held.
type Gate struct{ inner *testserver.Gate }

// Gate closes a gate on an endpoint at a stage.
func (s *Server) Gate(on Endpoint, at Stage) *Gate {
	return &Gate{s.inner.Gate(testserver.Endpoint(on), testserver.Stage(at))}
}

// Wait returns when at least n requests are held, or with an error when ctx
// ends first.
func (g *Gate) Wait(ctx context.Context, n int) error {
	if err := g.inner.Wait(ctx, n); err != nil {
		return fmt.Errorf("authtest: %w", err)
	}
	return nil
}

// ReleaseOne lets the request go that has been held longest, and reports
// whether there was one.
func (g *Gate) ReleaseOne() bool { return g.inner.ReleaseOne() }

// ReleaseAll opens the gate for good.
func (g *Gate) ReleaseAll() { g.inner.ReleaseAll() }
