package simulation_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// authServer is the authorization server: what it knows, and what it did.
type authServer struct {
	tokens   map[string]*refreshToken
	sessions []*login
	requests int // token requests that arrived
}

// login is a session at the server.
type login struct {
	account   string
	dead      bool
	loggedOut bool // by its user
}

type refreshToken struct {
	name     string
	session  *login
	retired  time.Time // zero while it is good
	born     time.Time
	dead     bool
	children []*refreshToken
	asked    []*request // requests that traded it
	refused  int        // ... and how many did not
	saved    bool       // it was in the store
	heard    bool       // a living process was given it
}

// request is a token request, from the moment it leaves.
type request struct {
	token     *refreshToken
	by        *process
	deadline  time.Time // until then its sender waits for the answer
	orphaned  bool      // nobody waits for its answer any more
	gaveUp    bool      // ... and its sender lives
	spoilt    string    // why nobody may have heard or kept what it bought
	child     *refreshToken
	answer    chan outcome
	delivered bool
}

type outcome struct {
	grant tokensource.Grant
	err   error
}

// signIn signs somebody in; the caller holds mu.
func (w *world) signIn(account string, age time.Duration) tokensource.Grant {
	s := &login{account: account}
	w.server.sessions = append(w.server.sessions, s)
	t := w.issue(s)
	t.heard, t.born = true, time.Now().Add(-age)
	return w.grant(t, age)
}

// issue makes a refresh token; the caller holds mu.
func (w *world) issue(s *login) *refreshToken {
	t := &refreshToken{name: fmt.Sprintf("rt%d", len(w.server.tokens)), session: s, born: time.Now()}
	w.server.tokens[t.name] = t
	return t
}

// grant is how t is handed out.
func (w *world) grant(t *refreshToken, age time.Duration) tokensource.Grant {
	issued := time.Now().Add(-age)
	text := "at of " + t.name
	if w.sameText {
		text = "at"
	}
	return tokensource.Grant{
		AccessToken: tokensource.NewSecret(text), RefreshToken: tokensource.NewSecret(t.name), Subject: t.session.account,
		IssuedAt: issued, Expiry: issued.Add(lifetime),
	}
}

// redeemable reports whether the server would trade t now.
func (t *refreshToken) redeemable() bool {
	return t != nil && !t.dead && !t.session.dead && t.retired.IsZero()
}

func rejected() error {
	return &tokensource.Error{Reason: tokensource.ReasonRejected, Status: 400, Code: "invalid_grant"}
}

// trade is the server's step: it processes a request. The caller holds mu.
func (w *world) trade(r *request, what fault) outcome {
	w.server.requests++
	t := r.token
	switch {
	case what == busyServer:
		return outcome{err: &tokensource.Error{Reason: tokensource.ReasonRateLimited, Status: 429, RetryAfter: 2 * time.Second}}
	case what == lag || what == early:
		return outcome{err: rejected()}
	case t.redeemable():
		return w.rotate(r, what)
	case t.dead || t.session.dead:
		if t.refused++; t.refused > 4+len(w.happened) {
			w.violation("%s was refused, and presented again and again", t.name)
		}
		return outcome{err: rejected()}
	}
	w.judgeReplay(r)
	return w.replay(r)
}

// rotate trades a good token; the caller holds mu.
func (w *world) rotate(r *request, what fault) outcome {
	t := r.token
	t.retired = time.Now()
	owner := t.session
	if what == otherAccount {
		owner = &login{account: "mallory"}
		w.server.sessions = append(w.server.sessions, owner)
		t.session.dead = true
		w.excused = "the server answered for another account"
	}
	return w.trades(r, w.issue(owner))
}

// trades notes what r has bought; the caller holds mu.
func (w *world) trades(r *request, child *refreshToken) outcome {
	t := r.token
	if !slices.Contains(t.children, child) {
		t.children = append(t.children, child)
	}
	t.asked = append(t.asked, r)
	r.child = child
	switch {
	case r.orphaned:
		r.spoilt = "its sender was gone when it arrived"
	case time.Now().Before(r.by.frozen):
		r.spoilt = "its sender stood still when it arrived"
	}
	w.note("the server: %s -> %s", t.name, child.name)
	r.by.learned(child.name)
	return outcome{grant: w.grant(child, 0)}
}

// replay answers a token that was traded before; the caller holds mu.
func (w *world) replay(r *request) outcome {
	t := r.token
	last := t.children[len(t.children)-1]
	inGrace := time.Since(t.retired) < w.kind.grace()
	unused := last.retired.IsZero()
	switch {
	case (w.kind == sameChild || w.kind == shortGrace) && inGrace && unused && !last.dead:
		return w.trades(r, last)
	case w.kind == sibling && inGrace:
		return w.trades(r, w.issue(t.session))
	case w.kind == lastWins && inGrace && unused, w.kind == untilUsed && unused:
		w.judgeVoid(r, last)
		last.dead = true
		return w.trades(r, w.issue(t.session))
	}
	w.note("the server: %s was used before", t.name)
	w.judgeReuse(r)
	if w.kind != strictReject {
		t.session.dead = true
	}
	return outcome{err: rejected()}
}

// Refresh sends a token request.
func (p *process) Refresh(ctx context.Context, old tokensource.Grant) (tokensource.Grant, error) {
	switch p.at(ctx, step{what: "sends", faults: []fault{crash, pauseProc, notSent, loseRequest}}) {
	case notSent:
		return tokensource.Grant{}, &tokensource.Error{Reason: tokensource.ReasonNotSent}
	case loseRequest:
		return tokensource.Grant{}, lost()
	}
	if ctx.Err() != nil { // it is over before the first byte has left
		return tokensource.Grant{}, &tokensource.Error{Reason: tokensource.ReasonNotSent}
	}
	deadline, _ := ctx.Deadline()
	r := p.world.send(p, old.RefreshToken.Reveal(), deadline)
	select {
	case o := <-r.answer:
		return o.grant, o.err
	case <-p.ctx.Done():
		runtime.Goexit()
	case <-ctx.Done():
	}
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	r.gaveUp = !p.dead
	p.world.orphan(r)
	return tokensource.Grant{}, lost()
}

func lost() error { return &tokensource.Error{Reason: tokensource.ReasonLost, Uncertain: true} }

// send puts a request on the way.
func (w *world) send(p *process, rt string, deadline time.Time) *request {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &request{token: w.server.tokens[rt], by: p, answer: make(chan outcome, 1), deadline: deadline}
	p.requests = append(p.requests, r)
	w.judgeSend(r)
	w.parkArrival(r)
	return r
}

// parkArrival waits for the network to bring r to the server; the caller holds
// mu, here and below.
func (w *world) parkArrival(r *request) {
	s := &step{what: "arrives", owner: r.by, request: r, do: func(what fault) { w.arrive(r, what) }}
	if !r.orphaned {
		s.faults = []fault{crash, lateRequest, crashLate, slowRequest, lag, early, otherAccount, busyServer}
	}
	w.park(s)
}

// arrive is a request at the server; the caller holds mu.
func (w *world) arrive(r *request, what fault) {
	switch what {
	case crash:
		w.parkArrival(r) // what is on the way stays on the way
		return
	case lateRequest:
		r.gaveUp = true
		w.orphan(r)
		r.answer <- outcome{err: lost()}
		w.delay(lateBy, func() { w.parkArrival(r) })
		return
	case crashLate:
		w.kill(r.by)
		w.delay(lateBy, func() { w.parkArrival(r) })
		return
	case slowRequest:
		w.delay(lateBy, func() { w.parkArrival(r) })
		return
	}
	o := w.trade(r, what)
	r.by.learned(r.child != nil)
	if r.orphaned {
		return
	}
	w.parkAnswer(r, o)
}

// parkAnswer waits for the network to bring an answer back.
func (w *world) parkAnswer(r *request, o outcome) {
	w.park(&step{
		what: "hears", owner: r.by, running: true, request: r,
		faults: []fault{crash, pauseProc, loseAnswer, silence, slowAnswer, fullDisk, storeGone},
		do:     func(what fault) { w.deliver(r, o, what) },
	})
}

// deliver is an answer on its way back; the caller holds mu.
func (w *world) deliver(r *request, o outcome, what fault) {
	if r.orphaned {
		return
	}
	switch what {
	case loseAnswer:
		r.spoilt = "its answer was lost"
		r.orphaned = true
		r.answer <- outcome{err: lost()}
		return
	case silence:
		r.spoilt = "its answer never came"
		return
	case slowAnswer:
		w.delay(lateBy, func() { w.parkAnswer(r, o) })
		return
	case fullDisk:
		r.by.full = time.Now().Add(fullFor)
	case storeGone:
		r.by.full = time.Now().Add(fullFor)
		r.by.blind = r.by.full
	}
	r.delivered = true
	if r.child != nil {
		r.child.heard = true
	}
	r.answer <- o
}

// orphan notes that nobody waits for r any more; the caller holds mu.
func (w *world) orphan(r *request) {
	if r.delivered || r.orphaned {
		return
	}
	r.orphaned = true
	if r.child != nil && r.spoilt == "" {
		r.spoilt = "nobody waited for its answer"
	}
}

// delay does something later; the caller holds mu, and so will what is done.
func (w *world) delay(d time.Duration, then func()) {
	w.late++
	time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.late--
		then()
		w.poke()
	})
}

// Revoke ends one token, and no other of its session: a server need do no more
// (RFC 7009 2.1).
func (p *process) Revoke(ctx context.Context, g tokensource.Grant) error {
	p.at(ctx, step{what: "revokes"})
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	t := p.world.server.tokens[g.RefreshToken.Reveal()]
	t.dead = true
	p.world.note("the server: %s is revoked", t.name)
	if p.user == "logout" {
		p.world.excused = "its user logged out" // also where the record could not be written
	}
	return nil
}
