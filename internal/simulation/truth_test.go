package simulation_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// truth is what a run knows and no client can: who is to blame.
type truth struct {
	all      []*process
	happened []fault
	wrong    string // the first property that did not hold
	excused  string // why the session may be lost: no client could have kept it
	families map[string]*login
	sets     map[set]*refreshToken // what was saved
	failures int                   // calls that failed
}

// set names a token set as the record does.
type set struct {
	family     string
	generation uint64
}

func (w *world) happenedAny(what ...fault) bool {
	return slices.ContainsFunc(w.happened, func(f fault) bool { return slices.Contains(what, f) })
}

// possible reports whether f can happen to s here; the caller holds mu.
func (w *world) possible(f fault, s *step) bool {
	if w.budget <= 0 || !slices.Contains(w.faults, f) {
		return false
	}
	switch f {
	case loseLease:
		return w.timed
	case rollBack:
		// The newest set has to be in somebody's memory, and be looked at.
		old := view(w.record.backup)
		return w.processes == 1 && old.Ended == "" && old.Family == hex.EncodeToString(s.owner.memory.Family[:]) &&
			old.Generation < s.owner.memory.Generation
	case lag:
		return s.request.token.redeemable() && time.Since(s.request.token.born) < 5*time.Second
	case early:
		return s.request.token.redeemable() && time.Since(s.request.token.born) < lifetime
	case otherAccount:
		return s.request.token.redeemable()
	case fullDisk, storeGone:
		return s.request.child != nil
	}
	return true
}

// spoil notes that what p has bought may not be kept; the caller holds mu, as
// for all that follows.
func (w *world) spoil(p *process, why string) {
	for _, r := range p.requests {
		if r.child != nil && !r.child.saved && r.spoilt == "" {
			r.spoilt = why
		}
	}
}

// judgeSend: what was never saved is never presented (rules 10 and 11).
func (w *world) judgeSend(r *request) {
	if !r.token.saved {
		w.violation("%s was presented before it was saved", r.token.name)
	}
}

// judgeReplay: a refresh token is presented once, unless the request for it
// was spoilt or the network brings an old one.
func (w *world) judgeReplay(r *request) {
	if r.orphaned {
		return
	}
	for _, first := range r.token.asked {
		if first.spoilt == "" {
			w.violation("%s was presented twice, though nothing had happened to the request of %s", r.token.name, first.by.name)
		}
	}
}

// judgeVoid: where the last answer wins, one that nobody hears voids the one
// that somebody has. Whoever finds a mark can wait for it; for a request that
// arrives after its deadline, or that its own sender has given up, nobody can.
func (w *world) judgeVoid(r *request, voided *refreshToken) {
	w.note("%s is void", voided.name)
	if r.orphaned && (r.gaveUp || !time.Now().Before(r.deadline)) {
		w.excused = "a request that nobody waited for arrived after its successor"
	}
	if w.happenedAny(pauseProc) {
		w.excused = "a process stood still for longer than its lease"
	}
}

// judgeReuse: the server takes r for a theft.
func (w *world) judgeReuse(r *request) {
	crashes := 0
	for _, f := range w.happened {
		if f == crash || f == crashLate {
			crashes++
		}
	}
	switch {
	case r.orphaned:
		w.excused = "a request that nobody waited for arrived after its successor"
	case w.kind.strict():
		w.excused = "an answer was lost, and the server forgives nothing" // or judgeReplay has complained
	case w.happenedAny(pauseProc):
		w.excused = "a process stood still for longer than the grace"
	case w.oneShot && len(w.happened) > 1:
		w.excused = "nobody came back while the grace lasted"
	case w.kind == shortGrace && (crashes > 0 || len(w.happened) > 1):
		w.excused = "nobody came back in so short a time"
	case w.kind == lastWins && crashes > 0 && len(w.happened) > 1:
		w.excused = "the mark of a dead process and what came then last longer than the grace"
	}
}

// looked notes what a process could have known from its last look at the store.
func (p *process) looked() {
	v := p.world.record.view
	p.stood = v.Ended == "" && p.world.server.tokens[v.Refresh].redeemable()
}

// judgeSave: a refresh saves over its own family and over no end, and never
// mixes two logins (rules 10 and 13).
func (w *world) judgeSave(p *process, before, after stored) {
	t := w.server.tokens[after.Refresh]
	if before.Family != after.Family && p.user == "login" {
		if w.families[after.Family] != nil {
			w.violation("two logins share a family")
		}
		w.families[after.Family] = t.session
		w.excused = "" // whatever became of the last session
	}
	switch {
	case before.Family != after.Family && p.user != "login":
		w.violation("%s saved its refresh over another login", p.name)
	case before.Ended != "" && after.Ended == "" && p.user != "login":
		w.violation("%s saved its refresh over a logout", p.name)
	case before.Family == after.Family && after.Generation < before.Generation:
		w.violation("%s put the session back from generation %d to %d", p.name, before.Generation, after.Generation)
	case t != nil && t.session != w.families[after.Family]:
		w.violation("%s saved a token of another account", p.name)
	case after.Ended != "" && before.Ended == "" && p.user != "logout" && !w.happenedAny(otherAccount):
		w.violation("%s ended the session of its own accord", p.name)
	case after.Ended != "" && p.user == "logout":
		w.families[after.Family].loggedOut = true
	}
	if t != nil {
		t.saved = true
		w.sets[set{after.Family, after.Generation}] = t
	}
}

// behind returns the refresh token that came with tok.
func (w *world) behind(tok tokensource.Token) *refreshToken {
	if name, ok := strings.CutPrefix(tok.AccessToken().Reveal(), "at of "); ok {
		return w.server.tokens[name]
	}
	id := tok.ID()
	return w.sets[set{hex.EncodeToString(id.Family[:]), id.Generation}]
}

// saw judges what a caller was given.
func (w *world) saw(p *process, tok tokensource.Token, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failed(p, err)
		return
	}
	id, t := tok.ID(), w.behind(tok)
	w.note("%s has the token of %s", p.name, t.name)
	switch {
	case t.session != w.families[hex.EncodeToString(id.Family[:])]:
		w.violation("%s was given a token of another account", p.name)
	case !t.saved && !p.saveFailed:
		w.violation("%s was given the token of %s before that was saved", p.name, t.name)
	case id.Family == p.memory.Family && id.Generation < p.memory.Generation:
		w.violation("%s was given an older token than before", p.name)
	}
	p.memory = id
}

// failed judges what a caller was told instead.
func (w *world) failed(p *process, err error) {
	w.failures++
	w.note("%s is told: %v", p.name, err)
	var e *tokensource.Error
	switch {
	case errors.Is(err, tokensource.ErrLoginRequired) && p.stood:
		w.violation("%s was told to log in, though the session stood when it last looked: %v", p.name, err)
	case len(w.happened) == 0 && len(w.users) == 0 && w.rejecting != rejectsAll:
		w.violation("%s was refused a token, though nothing had happened: %v", p.name, err)
	case w.harmless():
		w.violation("%s was refused a token for something that it could have tried again: %v", p.name, err)
	case errors.As(err, &e) && e.Uncertain && !slices.ContainsFunc(w.happened, func(f fault) bool { return f != notSent }):
		w.violation("%s was told that the token may have been spent, and nothing was sent: %v", p.name, err)
	}
}

// harmless: all that happened is one request to be sent again at once.
func (w *world) harmless() bool {
	if len(w.happened) != 1 || len(w.users) > 0 || w.rejecting == rejectsAll {
		return false
	}
	f := w.happened[0]
	return f == notSent || f == loseRequest || f == loseAnswer && !w.kind.strict()
}

// loggedOut judges a logout that has returned.
func (w *world) loggedOut(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && w.record.view.Ended == "" && !slices.Contains(w.users, "login") {
		w.violation("a logout returned, and the record is not ended")
	}
}

func (w *world) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violation(format, args...)
}

// verdict judges the end of a run, with what a last process got that nothing
// happened to.
func (w *world) verdict(err error, requests int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	over := w.record.view.Ended != ""
	switch {
	case err != nil && !over && w.excused == "":
		w.violation("the session was lost: %v", err)
	case err != nil && !over && w.forgotten() != "":
		w.violation("the session was lost, though %s was good and its process alive", w.forgotten())
	case err != nil && !errors.Is(err, tokensource.ErrLoginRequired):
		w.violation("no clear end: %v", err)
	case err == nil && over:
		w.violation("a token was handed out after the session had ended")
	case w.want > 0 && len(w.happened) == 0 && len(w.users) == 0 && requests != w.want:
		w.violation("%d token requests where %d do, though nothing had happened", requests, w.want)
	case requests > w.most():
		w.violation("a storm of %d token requests", requests)
	}
	if w.happenedAny(crash, crashLate) {
		return // a dead process revokes nothing
	}
	for _, t := range w.server.tokens {
		if (t.session.loggedOut || t.session.account != account) && t.heard && t.redeemable() {
			w.violation("%s is still good, a client had it, and nobody may use it any more", t.name)
		}
	}
}

// forgotten returns a refresh token that is good, that a living process was
// given, and that it has not saved.
func (w *world) forgotten() string {
	for _, p := range w.all {
		for _, r := range p.requests {
			if r.delivered && !p.dead && r.child != nil && !r.child.saved && r.child.redeemable() {
				return r.child.name
			}
		}
	}
	return ""
}

// most is how many token requests there may be: a few for each refresh and for
// each thing that went wrong.
func (w *world) most() int {
	return 2 + 2*w.rounds*w.processes + 6*len(w.happened) + 2*len(w.users)
}
