package testserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Endpoint names what a request asks for, in either dialect.
type Endpoint string

// The endpoints. The zero Endpoint stands for any.
const (
	AnyEndpoint       Endpoint = ""
	Refresh           Endpoint = "refresh"            // grant refresh_token, /refresh
	Authenticate      Endpoint = "login"              // grant password, /login
	ClientCredentials Endpoint = "client_credentials" // RFC 6749 4.4
	Revoke            Endpoint = "revoke"             // /oauth/revoke, /logout, /logout-all
	Devices           Endpoint = "sessions"           // /sessions
	API               Endpoint = "api"                // /api/
)

// Stage is a moment in the life of a request.
type Stage string

// The stages. The zero Stage is BeforeHandler.
const (
	BeforeHandler Stage = "before-handler" // nothing was looked at
	BeforeCommit  Stage = "before-commit"  // checked, and nothing changed
	AfterCommit   Stage = "after-commit"   // changed, and nothing answered
)

// Forever as Fault.Times means every request from the nth on.
const Forever = -1

// Answer is an HTTP answer.
type Answer struct {
	Status int // zero: 200
	Header http.Header
	Body   string
	Pad    int64 // so many spaces follow Body
}

// Fault is a rule: which requests are hit, when, and by what.
type Fault struct {
	On    Endpoint
	Path  string // only this path; empty: any
	At    Stage
	Nth   int // the first of the matching requests to be hit, from 1; zero: 1
	Times int // how many from there on; zero: 1

	Delay   time.Duration // first this, then one of the following or nothing
	Drop    bool
	Answer  *Answer
	Rewrite func(Answer) Answer // edits the finished answer, at AfterCommit
}

func (f Fault) check() error {
	var errs []error
	fail := func(format string, a ...any) { errs = append(errs, fmt.Errorf("testserver: fault: "+format, a...)) }
	switch f.On {
	case AnyEndpoint, Refresh, Authenticate, ClientCredentials, Revoke, Devices, API:
	default:
		fail("no endpoint %q", f.On)
	}
	switch f.At {
	case "", BeforeHandler, BeforeCommit, AfterCommit:
	default:
		fail("no stage %q", f.At)
	}
	if f.Nth < 0 || f.Times < Forever || f.Delay < 0 {
		fail("Nth, Times and Delay must not be negative")
	}
	actions := 0
	for _, set := range []bool{f.Drop, f.Answer != nil, f.Rewrite != nil} {
		if set {
			actions++
		}
	}
	if actions > 1 || actions == 0 && f.Delay == 0 {
		fail("one of Drop, Answer and Rewrite, or a Delay")
	}
	if f.Rewrite != nil && f.At != AfterCommit {
		fail("Rewrite needs the finished answer: set At to AfterCommit")
	}
	// What net/http can write as an answer; a code that HTTP does not know is a
	// fault as good as any.
	if f.Answer != nil && f.Answer.Status != 0 && (f.Answer.Status < 200 || f.Answer.Status > 999) {
		fail("status %d", f.Answer.Status)
	}
	return errors.Join(errs...)
}

// Rule is a fault in force.
type Rule struct {
	fault Fault
	set   *faults
	seen  int // guarded by set.mu
	fired int // guarded by set.mu
}

// String says what the rule waits for.
func (r *Rule) String() string {
	on := string(r.fault.On)
	if on == "" {
		on = "any endpoint"
	}
	return fmt.Sprintf("fault on %s at %s, from request %d", on, r.fault.At, r.fault.Nth)
}

// Fired says how many requests the rule has hit.
func (r *Rule) Fired() int {
	r.set.mu.Lock()
	defer r.set.mu.Unlock()
	return r.fired
}

// Remove takes the rule out of force.
func (r *Rule) Remove() {
	r.set.mu.Lock()
	defer r.set.mu.Unlock()
	r.set.rules = slices.DeleteFunc(r.set.rules, func(o *Rule) bool { return o == r })
}

// faults are the rules and gates in force.
type faults struct {
	mu    sync.Mutex // guards what follows and the counts of the rules; never held across I/O, timers or callbacks
	rules []*Rule
	gates []*Gate
}

func (f *faults) add(fault Fault) *Rule {
	if fault.At == "" {
		fault.At = BeforeHandler
	}
	fault.Nth = max(fault.Nth, 1)
	if fault.Times == 0 {
		fault.Times = 1
	}
	if fault.Answer != nil {
		a := *fault.Answer
		a.Header = a.Header.Clone()
		fault.Answer = &a
	}
	r := &Rule{fault: fault, set: f}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, r)
	return r
}

// pick counts the request at every rule that it matches, and returns the first
// rule that is due.
func (f *faults) pick(e Endpoint, at Stage, path string) (due Fault, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		if r.fault.At != at || r.fault.On != AnyEndpoint && r.fault.On != e ||
			r.fault.Path != "" && r.fault.Path != path {
			continue
		}
		r.seen++
		past := r.seen - r.fault.Nth
		if ok || past < 0 || r.fault.Times != Forever && past >= r.fault.Times {
			continue
		}
		r.fired++
		due, ok = r.fault, true
	}
	return due, ok
}

func (f *faults) unfired() []*Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*Rule
	for _, r := range f.rules {
		if r.fired == 0 {
			out = append(out, r)
		}
	}
	return out
}

// Fault puts a rule in force.
func (s *Server) Fault(f Fault) (*Rule, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return s.faults.add(f), nil
}

// Unfired returns the rules that never hit a request.
func (s *Server) Unfired() []*Rule { return s.faults.unfired() }

// pass takes the request through a stage: it waits at the gates, then meets
// the fault that is due. It returns what replaces the answer, if anything; a
// fault that drops the connection, and the end of the server, do not return.
func (s *Server) pass(x *exchange, at Stage) func(Answer) Answer {
	for _, g := range s.faults.gatesAt(x.endpoint, at) {
		if !g.hold(s.done) {
			panic(http.ErrAbortHandler)
		}
	}
	f, ok := s.faults.pick(x.endpoint, at, x.r.URL.Path)
	if !ok {
		return nil
	}
	s.pause(x.r.Context(), f.Delay)
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler) // works on HTTP/1.1 and HTTP/2, where Hijack does not
	case f.Answer != nil:
		return func(Answer) Answer { return *f.Answer }
	}
	return f.Rewrite
}

// pause waits on the clock of the process (fake inside a synctest bubble). A
// client that leaves cuts it short, and the request goes on without it: what a
// real server would commit is committed.
func (s *Server) pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-s.done:
		panic(http.ErrAbortHandler)
	}
}
