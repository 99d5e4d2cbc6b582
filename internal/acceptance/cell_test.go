package acceptance_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	seen  []result // by the programs, wave by wave
	asked []int    // token requests, wave by wave
	most  int      // presentations of any one refresh token
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
func (w *world) run(f fault, firstWave func() result) (o observation) {
	w.signIn()
	f.set(w.srv)
	o.watch(w, firstWave)
	w.pass(quarterHour)
	if w.clock != nil {
		w.clock.wind()
	}
	o.watch(w, w.few)
	// Before the login, which begins another family.
	o.live, o.most, o.stats, o.programs = w.live(), w.srv.MaxRedemptions(), w.srv.Stats(), len(w.parties)
	if o.seen[1].Login > 0 {
		o.watch(w, w.few)
		require.NoError(w.t, w.parties[0].login())
		o.cured = w.parties[0].wave(1)
	}
	o.wrong = w.violations()
	w.leave()
	return o
}

func (o *observation) watch(w *world, wave func() result) {
	before := w.srv.Stats().RefreshRequests
	o.seen = append(o.seen, wave())
	o.asked = append(o.asked, w.srv.Stats().RefreshRequests-before)
}

// check compares what happened with what was expected.
func (o observation) check(t *testing.T, c cell, want expectation) outcome {
	got := o.outcome(want)
	assert.Equal(t, want.outcome, got, want.why)
	for i, asked := range want.asked {
		assert.True(t, asked.holds(o.asked[i]), "token requests in wave %d: %d instead of %v", i+1, o.asked[i], asked)
	}
	assert.True(t, want.most.holds(o.most), "presentations of one refresh token: %d instead of %v", o.most, want.most)
	assert.Equal(t, want.live, o.live, "live refresh tokens in the family")
	assert.Equal(t, want.cliffs, o.stats.FamiliesRevoked, "families ended by reuse")
	assert.Equal(t, want.told, o.seen[0].Told > 0, "told to try again")
	assert.Empty(t, o.wrong, "violations")
	o.checkAPI(t, c, want)
	if t.Failed() {
		t.Logf("seen: %s", o)
	}
	return got
}

// checkAPI: the program saw what the API decided. Where it knows the time it
// renews before the API has to refuse.
func (o observation) checkAPI(t *testing.T, c cell, want expectation) {
	answered, refused := 0, o.stats.APIUnauthorized
	for i, r := range o.seen[:2] {
		answered += r.OK
		assert.Zero(t, r.Config+r.Other, r.What)
		if i+1 < want.lostIn || want.lostIn == 0 {
			assert.Equal(t, map[string]int{protocolOf(c.layout): sentIn(i)}, r.Protocol, "protocol of the API")
		}
	}
	assert.Equal(t, answered, o.stats.APIRequests-refused, "requests that the API let through")
	assert.True(t, c.refusals(want).holds(refused), "requests that the API refused: %d instead of %v", refused, c.refusals(want))
	if want.lostIn > 0 {
		assert.Equal(t, 1, o.cured.OK, "a login cures it: %s", o.cured.What)
	}
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

func (o observation) String() string {
	return fmt.Sprintf("asked %v, most %d, live %d, program %+v, server %+v, cured %+v", o.asked, o.most, o.live, o.seen, o.stats, o.cured)
}

// inBubble runs a cell over pipes, on fake time.
func inBubble(t *testing.T, c cell) (o observation) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, c)
		w.join(c)
		o = w.run(c.fault, w.wave)
	})
	return o
}

// overSockets runs a cell of one process over TCP.
func overSockets(t *testing.T, c cell) observation {
	w := newWorld(t, c)
	w.join(c)
	return w.run(c.fault, w.wave)
}
