package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime"
	"strconv"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// process is one life of a process: its own session, and its own way to the
// store and to the server.
type process struct {
	world   *world
	name    string
	session *tokensource.Session
	ctx     context.Context // ends with the process
	exit    context.CancelFunc

	// What follows is guarded by the world's mu.
	dead       bool
	frozen     time.Time // stands still until then
	full       time.Time // no save of it succeeds before
	blind      time.Time // ... and no look
	did        map[string]int
	history    uint64 // of all that happened to it; see state
	requests   []*request
	saveFailed bool
	memory     tokensource.TokenID // the last set that it was given
	stood      bool                // the session stood when it last read the store
	user       string              // what its user does, if it has one: "login", "logout"
}

const account = "alice"

var simKey = tokensource.NewKey("https://as.example", "cli", account)

func (w *world) newProcess(name string) *process {
	p := &process{world: w, name: name, did: map[string]int{}}
	p.ctx, p.exit = context.WithCancel(context.Background())
	session, err := tokensource.NewSession(tokensource.Config{
		Key: simKey, Store: p, Refresher: p, Revoker: p, Rotation: w.kind.rotation(),
	})
	if err != nil {
		panic(err) // a mistake in this file
	}
	p.session = session
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, p)
	if w.over {
		p.exit()
	}
	return p
}

// at waits until the scheduler lets this step happen, and returns what goes
// wrong with it. The goroutine of a process that is dead by then ends here.
// Waiting for the lease ends with ctx, too.
func (p *process) at(ctx context.Context, s step) fault {
	s.owner, s.running, s.fate = p, true, make(chan fault, 1)
	p.world.mu.Lock()
	parked := p.world.park(&s)
	p.world.mu.Unlock()
	if !parked {
		runtime.Goexit()
	}
	var left <-chan struct{}
	if s.ready != nil {
		left = ctx.Done()
	}
	select {
	case what, alive := <-s.fate:
		if !alive {
			runtime.Goexit()
		}
		return what
	case <-left:
		p.world.unpark(&s)
		return ""
	}
}

// act runs a script as a process: in a new one after each crash, and as long
// as the script says that there is more to do.
func (w *world) act(name string, script func(*process) (more bool)) {
	w.actors++
	go func() {
		defer func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.actors--
			w.poke()
		}()
		for life, more := 0, true; more; life++ {
			p := w.newProcess(name + "." + strconv.Itoa(life))
			over := make(chan bool, 1)
			go func() {
				more := true // a script that does not come back has crashed
				defer func() { over <- more }()
				more = script(p)
			}()
			more = <-over && !w.isOver()
			if more {
				time.Sleep(w.comeBack)
			}
		}
	}()
}

func (w *world) isOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

// uses is a program that wants a token w.rounds times, whenever its next phase
// begins, and comes back when it is told to try again.
func (w *world) uses(name string) func(*process) bool {
	round, tries := 0, 0
	return func(p *process) bool {
		for ; round < w.rounds && tries < maxTries; tries++ {
			tok, err := p.session.Token(p.ctx)
			if p.gone() {
				return true
			}
			w.saw(p, tok, err)
			switch {
			case err == nil:
				if round++; round < w.rounds {
					p.sleep(time.Until(tok.Expiry().Add(w.phase(name, round))))
				}
			case errors.Is(err, tokensource.ErrLoginRequired):
				tries += maxTries / 3
				p.sleep(w.comeBack)
			case w.oneShot:
				p.close()
				return true
			default:
				p.sleep(w.comeBack)
			}
		}
		p.close()
		return false
	}
}

// maxTries: nothing that goes wrong lasts longer than this many returns. Who is
// told to log in has a third of it.
const maxTries = 21

// phase draws when a token is used next. No phase falls into the jitter of the
// advisory window, which is nobody's choice here.
func (w *world) phase(name string, round int) time.Duration {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d/%s/%d", w.seed, name, round)
	return w.phases[h.Sum64()>>7%uint64(len(w.phases))]
}

// close ends the process in order.
func (p *process) close() {
	if p.gone() {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Minute)
	defer cancel()
	if err := p.session.Close(ctx); err == nil && p.session.Status().Unsaved {
		p.world.complain("%s was closed, and its tokens were not saved", p.name)
	}
}

func (p *process) gone() bool {
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	return p.dead || p.world.over
}

// sleep waits, as long as the process lives.
func (p *process) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
	}
}

// logsOut is a user who ends the session, at any moment.
func (w *world) logsOut(p *process) bool {
	p.at(p.ctx, step{what: "is told to log out"})
	p.user = "logout"
	err := p.session.End(p.ctx)
	if p.gone() {
		return true
	}
	w.loggedOut(err)
	p.close()
	return false
}

// logsIn is a user who signs in anew, at any moment.
func (w *world) logsIn(p *process) bool {
	p.at(p.ctx, step{what: "is told to log in"})
	w.mu.Lock()
	p.user = "login"
	g := w.signIn(account, 0)
	w.mu.Unlock()
	err := p.session.Adopt(p.ctx, g)
	if p.gone() {
		return true
	}
	if err == nil {
		tok, err := p.session.Token(p.ctx)
		w.saw(p, tok, err)
	} else if !errors.Is(err, tokensource.ErrTryAgain) {
		w.complain("a login failed: %v", err)
	}
	p.close()
	return false
}
