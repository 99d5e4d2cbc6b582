package simulation_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"
)

// step is something that waits to be done: I/O of a process, or the network
// handing a request or an answer on.
type step struct {
	what    string
	id      string // who does what for the how-manieth time
	owner   *process
	running bool             // its owner has to run for it
	request *request         // that it brings somewhere
	faults  []fault          // what may go wrong with it
	ready   func() bool      // nil: always
	do      func(what fault) // runs in the scheduler; nil: the process goes on
	fate    chan fault
}

// option is one thing that can happen next.
type option struct {
	*step
	what fault // "" where nothing goes wrong
}

func (o option) name() string {
	if o.what == "" {
		return o.id
	}
	return o.id + ": " + string(o.what)
}

// chooser decides which option is taken. A negative answer ends the run.
type chooser func(w *world, options []option) int

// world is one run: its parties, what they wait for, and what became of it.
type world struct {
	setup
	mu     sync.Mutex    // guards what follows; never held while anybody waits
	stir   chan struct{} // holds one element when there is something to look at
	parked []*step
	actors int  // scripts that are still running
	late   int  // orphans on their way
	over   bool // nobody does anything any more
	loud   bool
	log    []string
	steps  int
	record recordStore
	server authServer
	truth
}

func newWorld(s setup) *world {
	w := &world{setup: s, stir: make(chan struct{}, 1)}
	w.server.tokens = map[string]*refreshToken{}
	w.truth.families = map[string]*login{}
	w.truth.sets = map[set]*refreshToken{}
	return w
}

// poke makes the scheduler look again.
func (w *world) poke() {
	select {
	case w.stir <- struct{}{}:
	default:
	}
}

// park adds a step to those that wait. It reports false to the dead. The
// caller holds mu.
func (w *world) park(s *step) bool {
	if w.over || s.running && s.owner.dead {
		return false
	}
	s.owner.did[s.what]++
	s.id = fmt.Sprintf("%s %s#%d", s.owner.name, s.what, s.owner.did[s.what])
	w.parked = append(w.parked, s)
	w.poke()
	return true
}

// unpark takes a step back, because whoever waited has left.
func (w *world) unpark(s *step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parked = slices.DeleteFunc(w.parked, func(o *step) bool { return o == s })
}

// schedule runs the world until nobody wants anything any more: it lets one
// party do one step, waits until everybody waits for a step or for the clock,
// and chooses again. Time passes only when nobody can do anything.
func (w *world) schedule(choose chooser) {
	for {
		synctest.Wait()
		w.mu.Lock()
		if w.wrong != "" || w.actors == 0 && w.late == 0 && len(w.parked) == 0 {
			w.mu.Unlock()
			return
		}
		options := w.options()
		n := 0
		if len(options) > 0 {
			n = choose(w, options)
		}
		w.mu.Unlock()
		if len(options) == 0 {
			<-w.stir
			continue
		}
		if n < 0 {
			return
		}
		w.take(options[n])
	}
}

// options lists what can happen next: first all that is in order, then all
// that can go wrong.
func (w *world) options() []option {
	slices.SortStableFunc(w.parked, func(a, b *step) int { return cmp.Compare(a.id, b.id) })
	var fine, bad []option
	for _, s := range w.parked {
		if s.running && time.Now().Before(s.owner.frozen) || s.ready != nil && !s.ready() {
			continue
		}
		fine = append(fine, option{step: s})
		for _, f := range s.faults {
			if w.possible(f, s) {
				bad = append(bad, option{step: s, what: f})
			}
		}
		if w.slow > 0 && s.running {
			bad = append(bad, option{step: s, what: dawdle})
		}
	}
	return append(fine, bad...)
}

// take lets an option happen.
func (w *world) take(o option) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.steps++; w.steps > 20000 {
		w.violation("no end in sight")
		return
	}
	if o.what != "" && o.what != dawdle {
		w.budget--
		w.happened = append(w.happened, o.what)
	}
	w.note("%s", o.name())
	o.owner.lived(o.name())
	w.parked = slices.DeleteFunc(w.parked, func(s *step) bool { return s == o.step })
	switch {
	case o.what == crash:
		w.kill(o.owner)
		if o.fate != nil {
			close(o.fate)
		} else if !o.running {
			o.do(crash)
		}
	case o.what == pauseProc:
		w.freeze(o.owner)
		w.parked = append(w.parked, o.step)
	case o.what == dawdle:
		w.slow--
		w.delay(moment, func() {
			if !o.owner.dead {
				w.parked = append(w.parked, o.step)
			}
		})
	case o.do != nil:
		o.do(o.what)
	default:
		o.fate <- o.what
	}
}

// kill ends a process as SIGKILL does: none of its goroutines does another
// step, the kernel takes its lock back, and what it has sent is on its own.
// The caller holds mu.
func (w *world) kill(p *process) {
	p.dead = true
	p.exit()
	if !w.timed {
		w.record.free(p)
	}
	w.spoil(p, "its sender died")
	w.parked = slices.DeleteFunc(w.parked, func(s *step) bool {
		gone := s.owner == p && s.running
		if gone && s.fate != nil {
			close(s.fate)
		}
		return gone
	})
	for _, r := range p.requests {
		w.orphan(r)
	}
}

// freeze stops a process for longer than any lease, as SIGSTOP or a closed lid
// does. The caller holds mu.
func (w *world) freeze(p *process) {
	p.frozen = time.Now().Add(longPause)
	time.AfterFunc(longPause, w.poke)
	w.spoil(p, "its sender stood still")
}

// stop ends whatever still runs, so that the bubble can be left.
func (w *world) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	for _, s := range w.parked {
		if s.fate != nil {
			close(s.fate)
		}
	}
	w.parked = nil
	for _, p := range w.all {
		p.exit()
	}
}

// note writes the log; the caller holds mu.
func (w *world) note(format string, args ...any) {
	if w.loud {
		w.log = append(w.log, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

// violation ends the run with what is wrong with it; the caller holds mu.
func (w *world) violation(format string, args ...any) {
	if w.wrong == "" {
		w.wrong = strings.TrimSpace(fmt.Sprintf(format, args...))
		w.note("VIOLATION: %s", w.wrong)
		w.poke()
	}
}
