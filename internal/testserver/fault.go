package testserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Endpoint names what a request asks for, in whatever dialect.
type Endpoint string

// The endpoints. The zero Endpoint stands for any.
const (
	AnyEndpoint       Endpoint = ""
	Refresh           Endpoint = "refresh"            // grant refresh_token, /refresh, /session/refresh
	Authenticate      Endpoint = "login"              // grant password, /login, /session/login
	ClientCredentials Endpoint = "client_credentials" // RFC 6749 4.4
	Assertion         Endpoint = "jwt_bearer"         // RFC 7523 2.1
	TokenExchange     Endpoint = "token_exchange"     // RFC 8693
	Revoke            Endpoint = "revoke"             // /oauth/revoke, /logout, /logout-all and the same below /session
	Devices           Endpoint = "sessions"           // /sessions, /session/sessions
	API               Endpoint = "api"                // /api/
)

// endpoints are the names that rules may use.
func endpoints() []Endpoint {
	return []Endpoint{AnyEndpoint, Refresh, Authenticate, ClientCredentials, Assertion, TokenExchange, Revoke, Devices, API, Pages,
		Authorize, Push, RedeemCode, DeviceAuthorize, PollDevice, Introspect, UserInfo, RegisterClient, EndSession, Keys, Discovery}
}

// Stage is a moment in the life of a request.
type Stage string

// The stages, in their order. The zero Stage is BeforeHandler.
const (
	OnAccept      Stage = "on-accept"      // a connection came in: see Server.Listener
	BeforeHandler Stage = "before-handler" // nothing was looked at
	BeforeCommit  Stage = "before-commit"  // checked, and nothing changed
	AfterCommit   Stage = "after-commit"   // changed, and nothing answered
	Rewriting     Stage = "rewrite"        // an answer is ready, also a refusal or another rule's
	MidBody       Stage = "mid-body"       // status and a part of the body are out
	AfterBody     Stage = "after-body"     // the body is out, the answer is not ended
)

func stages() []Stage {
	return []Stage{"", OnAccept, BeforeHandler, BeforeCommit, AfterCommit, Rewriting, MidBody, AfterBody}
}

// Forever as Fault.Times means every request from the nth on.
const Forever = -1

// Fault is a rule: which requests are hit, when, and by what.
type Fault struct {
	On    Endpoint
	Path  string // only this path; empty: any
	At    Stage
	Nth   int // the first of the matching requests to be hit, from 1; zero: 1
	Every int // then every so-manieth; zero: each
	Times int // how many in all; zero: 1

	// Only requests of this client, session, device or user, as far as the
	// tokens or the form of the request tell; empty: any.
	Client, Session, Device, User string
	Header                        string                   // only with this header: "Name" or "Name: value"
	Match                         func(*http.Request) bool // only where it holds; it must not read the body
	From, Until                   time.Time                // only in this window of the server's clock
	Probability                   float64                  // of a hit; zero: certain
	Seed                          uint64                   // of Probability and Jitter

	// What happens, in this order. A rule that only waits or only calls is one,
	// too; of the rest it has at most one.
	Do       func(context.Context) // may call the server, not wait for its requests
	Incident Incident              // befalls the session or user of the request
	Delay    time.Duration
	Jitter   time.Duration // up to so much on top of Delay
	Twice    bool          // the request is delivered twice, as a proxy may do; the second answer counts. BeforeHandler
	// The request waits until a later one on its endpoint has ended: answers come
	// in another order than their requests did or, at BeforeHandler, the requests.
	Overtaken bool
	Hang      bool // no answer until the client gives up
	Drop      bool // the connection ends without more of an answer
	Reset     bool // as Drop, by a RST where there is TCP
	Answer    *Answer
	Edit      Edit                // edits the answer, by name
	Rewrite   func(Answer) Answer // edits the finished answer: AfterCommit or Rewriting
	Bytes     int                 // MidBody: of the body that are out; zero: half of it
}

func (f Fault) check() error {
	var errs []error
	fail := func(format string, a ...any) { errs = append(errs, fmt.Errorf("testserver: fault: "+format, a...)) }
	if !slices.Contains(endpoints(), f.On) {
		fail("no endpoint %q", f.On)
	}
	if !slices.Contains(stages(), f.At) {
		fail("no stage %q", f.At)
	}
	if f.Nth < 0 || f.Times < Forever || f.Every < 0 || min(f.Delay, f.Jitter) < 0 || f.Bytes < 0 {
		fail("Nth, Every, Times, Delay, Jitter and Bytes must not be negative")
	}
	if f.Probability < 0 || f.Probability > 1 {
		fail("Probability lies between 0 and 1")
	}
	if n := f.actions(); n > 1 || n == 0 && f.idle() {
		fail("one of Drop, Reset, Hang, Twice, Overtaken, Answer, Edit and Rewrite, or a Delay or Do")
	}
	for _, err := range []error{f.checkStage(), f.Answer.check(), f.Edit.check(), f.Incident.check()} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// idle reports that the rule neither waits nor calls.
func (f Fault) idle() bool { return f.Delay+f.Jitter == 0 && f.Do == nil && f.Incident == "" }

func (f Fault) actions() int {
	n := 0
	for _, set := range []bool{f.Drop, f.Reset, f.Hang, f.Twice, f.Overtaken, f.Answer != nil, f.Edit != "", f.Rewrite != nil} {
		if set {
			n++
		}
	}
	return n
}

// checkStage refuses what cannot be done at the stage.
func (f Fault) checkStage() error {
	editing := f.At == AfterCommit || f.At == Rewriting
	switch {
	case f.Rewrite != nil && !editing:
		return errors.New("testserver: fault: Rewrite needs the finished answer: set At to AfterCommit or Rewriting")
	case f.Twice && f.At != "" && f.At != BeforeHandler:
		return errors.New("testserver: fault: Twice is for BeforeHandler")
	case (f.At == MidBody || f.At == AfterBody) && (f.Answer != nil || f.Edit != ""):
		return fmt.Errorf("testserver: fault: at %s the answer is out", f.At)
	case f.Edit == UnauthorizedHalfway && f.At != "" && f.At != BeforeHandler:
		return errors.New("testserver: fault: unauthorized-halfway is for BeforeHandler: later the body was read")
	case f.Edit == HandshakeFailure && f.At != OnAccept:
		return errors.New("testserver: fault: handshake-failure is for OnAccept")
	case f.At == OnAccept && (f.Answer != nil && !f.Answer.Raw || f.Edit != "" && f.Edit != HandshakeFailure || f.Overtaken || f.Incident != "" || f.On != AnyEndpoint || f.narrow()):
		return errors.New("testserver: fault: at on-accept no request is known: only Drop, Reset, Hang, a Delay, Do, handshake-failure or a Raw answer")
	}
	return nil
}

// narrow reports that the rule asks for something of the request.
func (f Fault) narrow() bool {
	return f.Path != "" || f.Header != "" || f.Match != nil || f.personal()
}

// personal reports that the rule asks whose request it is.
func (f Fault) personal() bool { return f.Client+f.Session+f.Device+f.User != "" }

func (f Fault) withDefaults() Fault {
	if f.At == "" {
		f.At = BeforeHandler
	}
	f.Nth, f.Every = max(f.Nth, 1), max(f.Every, 1)
	if f.Times == 0 {
		f.Times = 1
	}
	if f.Answer != nil {
		a := *f.Answer
		a.Header = a.Header.Clone()
		f.Answer = &a
	}
	return f
}

// Fault puts a rule in force.
func (s *Server) Fault(f Fault) (*Rule, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return s.faults.add(f.withDefaults()), nil
}

// Unfired returns the rules that never hit a request, those of scripts
// included.
func (s *Server) Unfired() []*Rule { return s.faults.unfired() }
