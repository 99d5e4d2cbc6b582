package simulation_test

import (
	"strconv"
	"sync"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// accepts reports whether the API takes tok; the caller holds mu. The very
// first token is void from the beginning, so that there is something to renew.
func (w *world) accepts(tok tokensource.Token) bool {
	t := w.behind(tok)
	return w.rejecting == rejectsOld && t.name != "rt0" && t.retired.IsZero()
}

// calls is a program whose callers use one token at the same time, and hear of
// its rejection at any moment, also long after the others have renewed it.
func (w *world) calls(p *process) bool {
	tok, err := p.session.Token(p.ctx)
	if p.gone() {
		return true
	}
	w.saw(p, tok, err)
	if err == nil {
		var callers sync.WaitGroup
		for n := range w.rounds {
			callers.Go(func() { w.call(p, n, tok) })
		}
		callers.Wait()
	}
	p.close()
	return false
}

// call is one API request: on a rejection it renews once, or as long as
// somebody else has renewed meanwhile.
func (w *world) call(p *process, n int, tok tokensource.Token) {
	for range 4 {
		p.at(p.ctx, step{what: "caller " + strconv.Itoa(n) + " asks the API"})
		w.mu.Lock()
		good := w.accepts(tok)
		w.mu.Unlock()
		if good {
			return
		}
		p.at(p.ctx, step{what: "caller " + strconv.Itoa(n) + " hears a 401"})
		current, looked := p.session.Status().ID, w.looks(p)
		next, err := p.session.Renew(p.ctx, tok)
		if p.gone() {
			return
		}
		if err == nil && current != tok.ID() && next.ID() == current && w.looks(p) != looked {
			w.complain("%s looked for a new token on the rejection of one that it had replaced", p.name)
		}
		w.saw(p, next, err)
		if err != nil {
			return
		}
		tok = next
	}
	w.complain("%s was given one rejected token after the other", p.name)
}

// looks is how often p has looked at the store.
func (w *world) looks(p *process) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return p.did["loads"]
}

// storms is a program whose API refuses every token: for two minutes it asks
// once a second, and renews what was refused.
func (w *world) storms(p *process) bool {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		if tok, err := p.session.Token(p.ctx); err == nil {
			_, _ = p.session.Renew(p.ctx, tok)
		}
		p.sleep(time.Second)
	}
	p.close()
	return false
}
