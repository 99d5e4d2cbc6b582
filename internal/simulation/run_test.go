package simulation_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// result is what became of a run.
type result struct {
	wrong string
	log   []string
}

// run lets a world live as choose decides.
func run(t *testing.T, s setup, choose chooser, loud bool) (r result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(s)
		w.loud = loud
		ended := false
		w.begin()
		w.schedule(func(w *world, options []option) int {
			n := choose(w, options)
			ended = n < 0
			return n
		})
		if !ended && w.wrong == "" {
			w.end()
		}
		w.stop()
		time.Sleep(time.Hour) // whoever waits for the clock hears of it
		r = result{wrong: w.wrong, log: w.log}
	})
	return r
}

// theFirst takes whatever comes first.
func theFirst(*world, []option) int { return 0 }

// begin signs in and starts everybody.
func (w *world) begin() {
	first := w.newProcess("first")
	first.user = "login"
	g := w.signIn(account, w.age)
	w.act("first", func(*process) bool { _ = first.session.Adopt(context.Background(), g); return false })
	budget, slow := w.budget, w.slow
	w.budget, w.slow = 0, 0
	w.schedule(theFirst)
	w.budget, w.slow, w.log = budget, slow, nil
	for n := range w.processes {
		name := "p" + strconv.Itoa(n)
		switch w.rejecting {
		case rejectsNothing:
			w.act(name, w.uses(name))
		case rejectsOld:
			w.act(name, w.calls)
		case rejectsAll:
			w.act(name, w.storms)
		}
	}
	for n, user := range w.users {
		w.act("user"+strconv.Itoa(n), map[string]func(*process) bool{"login": w.logsIn, "logout": w.logsOut}[user])
	}
}

// end starts a last process that nothing happens to, and judges.
func (w *world) end() {
	requests := w.server.requests
	w.budget, w.slow = 0, 0
	var err error
	w.act("the last", func(p *process) bool {
		p.sleep(lifetime + time.Second) // only a refresh shows that there is a session
		for range 90 {                  // longer than any pause
			_, err = p.session.Token(p.ctx)
			if err == nil || errors.Is(err, tokensource.ErrLoginRequired) {
				break
			}
			p.sleep(time.Second)
		}
		p.close()
		return false
	})
	w.schedule(theFirst)
	w.verdict(err, requests)
}
