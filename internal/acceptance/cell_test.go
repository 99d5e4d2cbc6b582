package acceptance_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// cell is a cell of the matrix.
type cell struct {
	kind   kind
	fault  fault
	layout layout
}

// observation is what a cell came to.
type observation struct {
	seen  []result        // by the programs, wave by wave
	took  []time.Duration // on the clock of the machine or the bubble
	asked []int           // token requests, wave by wave
	most  int             // presentations of any one refresh token
	live  int
	stats authtest.Stats
	wrong []string // violations
	// programs is how many were there at the end.
	programs int
	cured    result // a request after a new login, where one was required
}

// maxAsked is more token requests in one wave than any fault explains.
const maxAsked = 4

// outcome judges the observation by itself, but for want, which says whether
// the server would have let the session live.
func (o observation) outcome(want expectation) outcome {
	lost := 0
	for i, r := range o.seen {
		if o.asked[i] > maxAsked || lost > 0 && o.asked[i] > 0 {
			return storm
		}
		switch {
		case r.Login == sentIn(i) && lost == 0:
			lost = i + 1
		case r.OK != sentIn(i) && r.Login != sentIn(i) || lost > 0 && r.Login != sentIn(i):
			return stuck
		}
	}
	switch {
	case len(o.wrong) > 0:
		return storm
	case lost > 0 && want.lostIn == 0:
		return lostThoughRecoverable
	case lost > 0 && o.seen[len(o.seen)-1].Ended != o.programs:
		return stuck
	case lost > 0:
		return loginRequired
	case o.asked[0]+o.asked[1] > 2:
		return okAfterRetry
	}
	return ok
}

// sentIn is how many requests the wave of this index has.
func sentIn(wave int) int {
	if wave == 0 {
		return requests
	}
	return fewRequests
}

// run plays the cell: a session of a quarter of an hour ago, whose access token
// is over; a wave of requests that meets the fault; another quarter of an hour
// and another wave, which shows whether the session still lives. Where it does
// not, one more shows that the server is left alone, and a login that all is
// well again.
func (w *world) run(c cell, firstWave func() result) (o observation) {
	w.signIn()
	c.fault.set(w.srv, c.layout)
	o.watch(w, firstWave)
	w.pass(quarterHour)
	if w.clock != nil {
		w.clock.wind()
	}
	o.watch(w, w.few)
	// Before the login, which begins another family.
	o.live, o.most, o.stats, o.programs = w.live(), w.srv.MaxRedemptions(), w.srv.Stats(), len(w.parties)
	if o.seen[1].Login > 0 {
		w.pass(quarterHour) // beyond the second in which a failure is shared without a look at the store
		o.watch(w, w.few)
		if err := w.parties[0].login(); err != nil {
			o.cured.What = err.Error()
		} else {
			o.cured = w.parties[0].wave(1)
		}
	}
	o.wrong = w.violations()
	w.leave()
	return o
}

func (o *observation) watch(w *world, wave func() result) {
	before, start := w.srv.Stats().RefreshRequests, time.Now()
	o.seen = append(o.seen, wave())
	o.took = append(o.took, time.Since(start))
	o.asked = append(o.asked, w.srv.Stats().RefreshRequests-before)
}

// slack is how much longer than it has to a wave takes on a machine that is too
// busy for budgets of 10 and 30 s.
const slack = 10 * time.Second

// slow reports that the machine was, or its keyring: no fault is about the
// store.
func (o observation) slow(c cell) bool {
	return slices.ContainsFunc(o.seen, func(r result) bool { return r.Store > 0 }) || slices.ContainsFunc(o.took, func(d time.Duration) bool { return d > c.takes()+slack })
}

// takes is how long the first wave may have to wait.
func (c cell) takes() time.Duration {
	if c.fault.short(c.layout) {
		return silence
	}
	if c.fault.hangs && c.kind.rotation.Grace > 0 {
		return c.grace() / 3 // the client tries again
	}
	return c.fault.takes
}

// complaints is what does not match the expectation.
func (o observation) complaints(c cell, want expectation) (bad []string) {
	wrong := func(unless bool, format string, args ...any) {
		if !unless {
			bad = append(bad, fmt.Sprintf(format, args...))
		}
	}
	got := o.outcome(want)
	wrong(got == want.outcome, "it came to %q instead of %q (%s)", got, want.outcome, want.why)
	for i, asked := range want.asked {
		wrong(asked.holds(o.asked[i]), "token requests in wave %d: %d instead of %v", i+1, o.asked[i], asked)
	}
	wrong(want.most.holds(o.most), "presentations of one refresh token: %d instead of %v", o.most, want.most)
	wrong(o.live == want.live, "live refresh tokens in the family: %d instead of %d", o.live, want.live)
	wrong(o.stats.FamiliesRevoked == want.cliffs, "families ended by reuse: %d instead of %d", o.stats.FamiliesRevoked, want.cliffs)
	wrong(o.seen[0].Told > 0 == want.told, "told to try again: %t instead of %t", !want.told, want.told)
	wrong(len(o.wrong) == 0, "violations: %v", o.wrong)

	// The program saw what the API decided.
	answered, refused := 0, o.stats.APIUnauthorized
	for i, r := range o.seen[:2] {
		answered += r.OK
		wrong(r.Config+r.Other == 0, "wave %d: %d requests failed otherwise: %s", i+1, r.Config+r.Other, r.What)
		wrong(r.Protocol[protocolOf(c.layout)] == r.OK, "wave %d: protocols of the API: %v", i+1, r.Protocol)
	}
	wrong(answered == o.stats.APIRequests-refused, "the API let %d requests through, of which %d were heard", o.stats.APIRequests-refused, answered)
	wrong(c.refusals(want).holds(refused), "requests that the API refused: %d instead of %v", refused, c.refusals(want))
	if want.lostIn > 0 {
		lost := o.seen[want.lostIn-1]
		wrong(lost.Unsure == 0 && !want.unsure || lost.Unsure == lost.Login && want.unsure,
			"%d of %d say that the refresh token may have been spent, which is %t", lost.Unsure, lost.Login, want.unsure)
		wrong(o.cured.OK == 1, "a login does not cure it: %s", o.cured.What)
	}
	if len(bad) > 0 {
		bad = append(bad, fmt.Sprintf("seen: asked %v in %v, program %+v, server %+v", o.asked, o.took, o.seen, o.stats))
	}
	return bad
}

// refusals: over sockets only the server's clock moves, and so the second wave
// begins with 401s, as many as were sent before the first of them had cured the
// session. In a bubble, where the program knows how long a token lives, there
// are none.
func (c cell) refusals(want expectation) span {
	if want.lostIn != 1 && (c.layout.transport != pipe || c.kind.untold) {
		return span{1, fewRequests}
	}
	return exactly(0)
}

func protocolOf(l layout) string {
	if l.transport == http2 {
		return "HTTP/2.0"
	}
	return "HTTP/1.1"
}

// inBubble runs a cell over pipes, on fake time.
func inBubble(t *testing.T, c cell) (o observation) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, c)
		w.join(c)
		o = w.run(c, w.wave)
	})
	return o
}

// overSockets runs a cell of one process over TCP.
func overSockets(t *testing.T, c cell) observation {
	w := newWorld(t, c)
	w.join(c)
	return w.run(c, w.wave)
}
