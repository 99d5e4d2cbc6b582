package testserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Rule is a fault in force, or one step of a script.
type Rule struct {
	id    int // 0 for the steps of a script
	fault Fault
	set   *faults
	// What follows is guarded by set.mu.
	random *rand.Rand
	seen   int
	fired  int
}

// ID names the rule at the control plane.
func (r *Rule) ID() string { return strconv.Itoa(r.id) }

// String says what the rule waits for.
func (r *Rule) String() string {
	on := string(r.fault.On)
	switch {
	case r.fault.At == OnAccept:
		on = "a connection"
	case on == "":
		on = "any endpoint"
	}
	if r.id == 0 {
		return fmt.Sprintf("step of a script on %s at %s", on, r.fault.At)
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

// faults are the rules, scripts and gates in force.
type faults struct {
	seed uint64 // Config.Seed

	mu      sync.Mutex // guards what follows and the counts of the rules; never held across I/O, timers or callbacks
	last    int        // id given
	rules   []*Rule
	scripts map[Endpoint][]*Rule // what is left of each
	steps   []*Rule              // taken from a script, and not fired yet
	gates   []*Gate
	latest  map[Endpoint]int // the number of the latest request that has ended
	slow    []overtakable
}

func (f *faults) add(fault Fault) *Rule {
	r := newRule(f, fault)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	r.id = f.last
	f.rules = append(f.rules, r)
	return r
}

func newRule(f *faults, fault Fault) *Rule {
	return &Rule{fault: fault, set: f, random: rand.New(rand.NewPCG(fault.Seed, fault.Seed+f.seed))} // to be repeated
}

// due counts the request at every rule that it matches, and returns the first
// rule that hits it. A step of a script, chosen when the request arrived, goes
// first. A nil exchange is a connection.
func (s *Server) due(x *exchange, at Stage) (*Rule, time.Duration) {
	f := s.faults
	f.mu.Lock()
	candidates := slices.Clone(f.rules)
	f.mu.Unlock()
	now := s.now()
	candidates = slices.DeleteFunc(candidates, func(r *Rule) bool { return r.fault.At != at || !s.matches(r.fault, x, now) })

	f.mu.Lock()
	defer f.mu.Unlock()
	var hit *Rule
	if x != nil && x.step != nil && x.step.fault.At == at {
		hit = x.step
		f.done(hit)
	}
	for _, r := range candidates {
		r.seen++
		if hit == nil && r.strikes() {
			hit = r
			hit.fired++
		}
	}
	if hit == nil {
		return nil, 0
	}
	delay := hit.fault.Delay
	if hit.fault.Jitter > 0 {
		delay += time.Duration(hit.random.Int64N(int64(hit.fault.Jitter)))
	}
	return hit, delay
}

// midBody says whether anything waits at MidBody for the request, and after
// how many bytes. It counts nothing.
func (s *Server) midBody(x *exchange) (bytes int, ok bool) {
	if len(s.faults.gatesAt(x.endpoint, MidBody)) > 0 {
		ok = true
	}
	s.faults.mu.Lock()
	candidates := slices.Clone(s.faults.rules)
	s.faults.mu.Unlock()
	if x.step != nil {
		candidates = slices.Insert(candidates, 0, x.step)
	}
	now := s.now()
	for _, r := range candidates {
		if r.fault.At == MidBody && (r == x.step || s.matches(r.fault, x, now)) {
			return r.fault.Bytes, true
		}
	}
	return 0, ok
}

// strikes says whether the rule hits the request just counted. The caller
// holds set.mu.
func (r *Rule) strikes() bool {
	past := r.seen - r.fault.Nth
	if past < 0 || past%r.fault.Every != 0 || r.fault.Times != Forever && r.fired >= r.fault.Times {
		return false
	}
	return r.fault.Probability == 0 || r.random.Float64() < r.fault.Probability
}

// matches says whether the rule is about this request at all.
func (s *Server) matches(f Fault, x *exchange, now time.Time) bool {
	if now.Before(f.From) || !f.Until.IsZero() && !now.Before(f.Until) {
		return false
	}
	if x == nil {
		return true
	}
	if f.On != AnyEndpoint && f.On != x.endpoint || f.Path != "" && f.Path != x.r.URL.Path || !hasHeader(x.r, f.Header) {
		return false
	}
	if f.personal() {
		who := s.who(x)
		for _, pair := range [][2]string{{f.Client, who.client}, {f.Session, who.session}, {f.Device, who.device}, {f.User, who.user}} {
			if pair[0] != "" && pair[0] != pair[1] {
				return false
			}
		}
	}
	return f.Match == nil || f.Match(x.r)
}

func hasHeader(r *http.Request, want string) bool {
	name, value, valued := strings.Cut(want, ":")
	if name == "" {
		return true
	}
	if !valued {
		return r.Header.Get(name) != ""
	}
	return slices.Contains(r.Header.Values(name), strings.TrimSpace(value))
}

// Script makes the coming requests on an endpoint meet these faults, one each
// and in their order; the zero Fault lets its request pass. Steps are appended
// to those that are left of an earlier script on the endpoint, and each has to
// fire: see Unfired.
func (s *Server) Script(on Endpoint, steps ...Fault) error {
	rules, err := s.script(on, steps)
	if err != nil {
		return err
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if s.faults.scripts == nil {
		s.faults.scripts = make(map[Endpoint][]*Rule)
	}
	s.faults.scripts[on] = append(s.faults.scripts[on], rules...)
	return nil
}

// script checks the steps and makes rules of them.
func (s *Server) script(on Endpoint, steps []Fault) ([]*Rule, error) {
	if !slices.Contains(endpoints(), on) {
		return nil, fmt.Errorf("testserver: script: no endpoint %q", on)
	}
	var rules []*Rule
	for _, step := range steps {
		if step.narrow() || step.Nth+step.Times+step.Every != 0 || step.Probability != 0 || step.On != AnyEndpoint ||
			!step.From.IsZero() || !step.Until.IsZero() || step.At == OnAccept {
			return nil, errors.New("testserver: script: a step hits the next request, whichever that is: it takes no condition")
		}
		step.On = on
		if step.actions() > 0 || !step.idle() {
			if err := step.check(); err != nil {
				return nil, err
			}
		}
		rules = append(rules, newRule(s.faults, step.withDefaults()))
	}
	return rules, nil
}

// step takes the next step for a request that arrives: of the script on its
// endpoint or else of the one on any.
func (f *faults) step(e Endpoint) *Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, on := range []Endpoint{e, AnyEndpoint} {
		if queue := f.scripts[on]; len(queue) > 0 {
			f.scripts[on] = queue[1:]
			f.steps = append(f.steps, queue[0])
			return queue[0]
		}
	}
	return nil
}

// done books that a step has fired. The caller holds f.mu.
func (f *faults) done(step *Rule) {
	step.fired++
	f.steps = slices.DeleteFunc(f.steps, func(r *Rule) bool { return r == step })
}

func (f *faults) unfired() []*Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := slices.Clone(f.steps)
	for _, r := range f.rules {
		if r.fired == 0 {
			out = append(out, r)
		}
	}
	for _, on := range endpoints() {
		out = append(out, f.scripts[on]...)
	}
	return out
}
