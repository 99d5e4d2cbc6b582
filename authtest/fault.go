package authtest

import (
	"context"
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

// The stages, in their order. A request that is refused by the checks passes
// neither BeforeCommit nor AfterCommit.
const (
	// OnAccept is when a connection came in, and nothing was read.
	OnAccept = Stage(testserver.OnAccept)
	// BeforeHandler is before the server has looked at anything.
	BeforeHandler = Stage(testserver.BeforeHandler)
	// BeforeCommit is after the checks: nothing has changed yet.
	BeforeCommit = Stage(testserver.BeforeCommit)
	// AfterCommit is when the state has changed and nothing was answered: a
	// fault here loses the response of a rotation.
	AfterCommit = Stage(testserver.AfterCommit)
	// Rewriting is when an answer is ready, a refusal or another fault's too.
	Rewriting = Stage(testserver.Rewriting)
	// MidBody is when the status and Fault.Bytes of the body are out.
	MidBody = Stage(testserver.MidBody)
	// AfterBody is when the body is out, and the answer is not ended.
	AfterBody = Stage(testserver.AfterBody)
)

// Forever as Fault.Times hits every request from the nth on.
const Forever = testserver.Forever

// Answer is an HTTP answer.
type Answer struct {
	Status int         // zero: 200
	Header http.Header // a Content-Length larger than the body cuts the connection
	Body   string      // as sent, before the padding
	Pad    int64       // so many spaces follow Body, streamed

	// RetryAfter sets Retry-After: "30s" in seconds, "date 30s" as an HTTP-date
	// so far from now on the server's clock, "past", "huge" or "garbage".
	RetryAfter string
	Hints      bool  // a 103 goes before
	Interim    []int // these statuses, from 102 to 199, go before
	Raw        bool  // Body is all that is sent, its status line included, and the connection ends; HTTP/1.1

	PaceBytes int           // Body is sent so many bytes at a time; zero: at once
	PaceEvery time.Duration // the pause after each
}

// Fault says which requests are hit, when, and by what: one of Drop, Reset,
// Hang, Twice, Overtaken, Answer, Edit and Rewrite, or only a Delay, an Incident
// or Do.
type Fault struct {
	On    Endpoint // zero: any
	Path  string   // only this path; empty: any
	At    Stage    // zero: BeforeHandler
	Nth   int      // the first of the matching requests to be hit, counted from 1 when the rule is set; zero: 1
	Every int      // then every so-manieth; zero: each
	Times int      // how many are hit in all, or Forever; zero: 1

	Client      string                   // only requests of this client; empty: any
	Session     string                   // only of this session; empty: any
	Device      string                   // only of this device; empty: any
	User        string                   // only of this user; empty: any
	Header      string                   // only with this header, as "Name" or "Name: value"; empty: any
	Match       func(*http.Request) bool // only where it holds; it must leave the body alone. Its context has ended once the client has left
	From, Until time.Time                // only in this window of the server's clock; zero: open
	Probability float64                  // of a hit, drawn from Seed; zero: certain
	Seed        uint64                   // of Probability and Jitter: the same draws each time

	// Do comes first. It may call the server, and must not wait for one of its
	// requests.
	Do func(context.Context, *Server)
	// Incident is next. It befalls whoever the request is from.
	Incident Incident
	// Delay is next. It ends early, and the request goes on, when its client
	// leaves.
	Delay time.Duration
	// Jitter is added to Delay: up to so much.
	Jitter time.Duration
	// Twice delivers the request twice, as proxies do. The answer is the
	// second's. At BeforeHandler alone.
	Twice bool
	// Overtaken keeps the request until a later one on its endpoint has ended:
	// answers come in another order than their requests did or, at BeforeHandler,
	// the requests do.
	Overtaken bool
	// Hang gives no answer until the client gives up.
	Hang bool
	// Drop closes the connection without more of an answer.
	Drop bool
	// Reset closes it by a RST. HTTP/2 and pipes have none and just end.
	Reset bool
	// Answer is sent instead of the server's own.
	Answer *Answer
	// Edit spoils the server's own answer in a named way.
	Edit Edit
	// Rewrite edits the server's own answer. It needs At: AfterCommit or
	// Rewriting.
	Rewrite func(Answer) Answer
	// Bytes is how much of the body is out at MidBody; zero: half of it.
	Bytes int
}

func (s *Server) innerFault(f Fault) testserver.Fault {
	inner := testserver.Fault{
		On: testserver.Endpoint(f.On), Path: f.Path, At: testserver.Stage(f.At),
		Nth: f.Nth, Every: f.Every, Times: f.Times,
		Client: f.Client, Session: f.Session, Device: f.Device, User: f.User,
		Header: f.Header, Match: f.Match, From: f.From, Until: f.Until, Probability: f.Probability, Seed: f.Seed,
		Incident: testserver.Incident(f.Incident), Delay: f.Delay, Jitter: f.Jitter, Twice: f.Twice, Overtaken: f.Overtaken, Hang: f.Hang, Drop: f.Drop, Reset: f.Reset,
		Answer: (*testserver.Answer)(f.Answer), Edit: testserver.Edit(f.Edit), Bytes: f.Bytes,
	}
	if f.Do != nil {
		inner.Do = func(ctx context.Context) { f.Do(ctx, s) }
	}
	if f.Rewrite != nil {
		inner.Rewrite = func(a testserver.Answer) testserver.Answer {
			return testserver.Answer(f.Rewrite(Answer(a)))
		}
	}
	return inner
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
	r, err := s.inner.Fault(s.innerFault(f))
	if err != nil {
		s.fatal("authtest: %v", err)
		return nil
	}
	return &Rule{r}
}

// Script makes the coming requests on an endpoint meet these faults, one each
// and in their order; the zero Fault lets its request pass. A step takes no
// condition: it hits the next request, whichever that is. Steps that are left
// when the test ends are an error, like a fault that never fired. A step that
// makes no sense is fatal.
func (s *Server) Script(on Endpoint, steps ...Fault) {
	inner := make([]testserver.Fault, len(steps))
	for i, step := range steps {
		inner[i] = s.innerFault(step)
	}
	if err := s.inner.Script(testserver.Endpoint(on), inner...); err != nil {
		s.fatal("authtest: %v", err)
	}
}
