package tokensource

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// flight is one refresh, from the first look at the store to the last hook.
type flight struct {
	s     *Session
	epoch uint64
	lease Lease
	// ver and rec are what the store held at the last look or write; rec is
	// nil where it holds nothing.
	ver Version
	rec *record
	// uncertain: the refresh token may have been spent without an answer,
	// by this flight or by the holder of a mark that was found.
	uncertain bool
	presented int    // presentations of a refresh token so far
	adoptions int    // sets taken over so far
	marked    bool   // this flight has written a mark
	waitedFor string // the holder whose mark was waited for
	lagTested bool   // a young token was given time once
	after     []func()
}

// errLookAgain ends a step whose ground has shifted: the store has to be read
// and judged again.
var errLookAgain = errors.New("look again")

// fly is the one flight of a process (rule 4). It runs detached from every
// caller. A panic in here would end the program, singleflight sees to that.
func (s *Session) fly() (tok any, err error) {
	epoch, unsaved, closed := s.begin()
	if closed {
		return nil, ErrClosed
	}
	f := &flight{s: s, epoch: epoch}
	defer f.runAfter()
	defer f.release()
	defer func() {
		if p := recover(); p != nil {
			// The value may hold anything, a token included.
			err = f.fail(&Error{Reason: ReasonServer, Uncertain: true, Advice: fmt.Sprintf("a %T panic during the refresh", p)})
		}
	}()
	if unsaved {
		return f.whileUnsaved()
	}
	ctx, cancel := context.WithTimeout(context.Background(), flightBudget)
	defer cancel()
	t, err := f.run(ctx)
	if err != nil {
		return nil, f.fail(err)
	}
	s.fault.Store(nil)
	return t, nil
}

// run looks before it locks and again under the lock (rule 5), and spends the
// refresh token only if nobody else has.
func (f *flight) run(ctx context.Context) (Token, error) {
	for ctx.Err() == nil {
		tok, send, err := f.look(ctx)
		if send && f.lease != nil {
			tok, err = f.obtain(ctx)
		} else if send {
			err = errLookAgain
		}
		if !errors.Is(err, errLookAgain) {
			return tok, err
		}
		if err := f.lock(ctx); err != nil {
			return Token{}, err
		}
	}
	return Token{}, &Error{Reason: ReasonBusy, Uncertain: f.uncertain}
}

// lock waits for the lease, but not so long that no time is left to use it.
func (f *flight) lock(ctx context.Context) error {
	if f.lease != nil {
		return nil
	}
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(-leastAttempt))
	defer cancel()
	lease, err := f.s.cfg.Store.Lock(ctx, f.s.cfg.Key)
	if err == nil {
		f.lease = lease
		return nil
	}
	if ctx.Err() != nil {
		return &Error{Reason: ReasonBusy, Uncertain: f.uncertain, Advice: "another process is renewing the session and takes long"}
	}
	return storeError(err)
}

// obtain sends: it spends the refresh token, or mints.
func (f *flight) obtain(ctx context.Context) (Token, error) {
	if f.s.cfg.Minter != nil {
		return f.mint(ctx)
	}
	return f.spend(ctx)
}

// look reads the store and judges what is there. It returns a token to use,
// or send, or why there is neither.
func (f *flight) look(ctx context.Context) (tok Token, send bool, err error) {
	if err := f.load(ctx); err != nil {
		return Token{}, false, err
	}
	gone, over := f.s.endedHere()
	if f.rec == nil || f.rec.ended != reasonUnset || over && f.rec.id.Family == gone {
		return f.judgeAbsent(over)
	}
	if f.rec.resource != f.s.cfg.Resource {
		return Token{}, false, &Error{Reason: ReasonResource, Advice: "the stored session is for another resource; use another profile, or log in again"}
	}
	cur := f.s.current.Load()
	if cur != nil && cur.rec.descends(f.rec) {
		return f.restore(ctx, cur.rec)
	}
	if cur == nil || f.rec.id != cur.rec.id {
		if cur, err = f.adopt(); err != nil {
			return Token{}, false, err
		}
	}
	if now := time.Now(); !cur.fresh(now) {
		return f.judgeDue(cur, now)
	}
	return cur.token, false, nil
}

// load reads the store. What cannot be read is no news: what was seen last
// stays, or a set that is being saved would count as one without a session.
func (f *flight) load(ctx context.Context) error {
	ver, rec, err := f.s.read(ctx)
	if err == nil {
		f.ver, f.rec = ver, rec
	}
	return err
}

// read loads and decodes the record; nil where there is none.
func (s *Session) read(ctx context.Context) (Version, *record, error) {
	ver, data, err := s.cfg.Store.Load(ctx, s.cfg.Key)
	if errors.Is(err, ErrNotFound) {
		return Version{}, nil, nil
	}
	if err != nil {
		return Version{}, nil, storeError(err)
	}
	rec, err := decodeRecord(data)
	if err != nil {
		advice := "log in again to replace the stored session"
		if errors.Is(err, errNewerRecord) {
			advice = "update this program"
		}
		return ver, nil, &Error{Reason: ReasonFormat, Advice: advice, Err: err}
	}
	return ver, rec, nil
}

// judgeAbsent: there is no record, or one that says that the session ended.
func (f *flight) judgeAbsent(over bool) (Token, bool, error) {
	if f.s.cfg.Minter != nil && !over {
		return f.judgeFault(TokenID{}, time.Now())
	}
	f.s.drop(f.epoch)
	switch {
	case over:
		return Token{}, false, &Error{Reason: ReasonLoggedOut}
	case f.rec != nil:
		return Token{}, false, &Error{Reason: f.rec.ended}
	}
	return Token{}, false, &Error{Reason: ReasonNoSession}
}

// restore writes the newer set of memory over an older one of the same
// family: the store was rolled back (rule 5). The older refresh token is
// never presented.
func (f *flight) restore(ctx context.Context, newer *record) (Token, bool, error) {
	if f.lease == nil {
		return Token{}, true, nil
	}
	f.anomaly(newer.id, "the store held an older token set of this session; the newer one was written back")
	if err := f.write(ctx, newer); err != nil {
		return Token{}, false, relook(err)
	}
	return Token{}, false, errLookAgain
}

// relook: a write that came too late changed nothing; what came before it has
// to be judged.
func relook(err error) error {
	if errors.Is(err, ErrConflict) {
		return errLookAgain
	}
	return err
}

// adopt takes over what another process stored.
func (f *flight) adopt() (*snapshot, error) {
	if !f.s.publish(f.epoch, f.rec) {
		return nil, f.overtaken()
	}
	id := f.rec.id
	f.hook(func(h *Hooks) {
		if h.TokenAdopted != nil {
			h.TokenAdopted(TokenAdoptedInfo{ID: id})
		}
	})
	f.adoptions++
	return f.s.current.Load(), nil
}

// overtaken: a login or a logout has come between. What it left is judged
// afresh.
func (f *flight) overtaken() error {
	f.epoch, _, _ = f.s.begin()
	return errLookAgain
}

// judgeDue decides about a set that is to be renewed: whether its refresh
// token may be presented now.
func (f *flight) judgeDue(cur *snapshot, now time.Time) (Token, bool, error) {
	switch rec := f.rec; {
	case f.adoptions > maxAdoptions && cur.usable(now):
		return cur.token, false, nil // the store moves faster than its tokens age
	case f.s.cfg.Minter == nil && rec.grant.RefreshToken.IsZero():
		return Token{}, false, &Error{Reason: ReasonNoSession, Advice: "the session has no refresh token"}
	case rec.suspected() && (rec.suspect.Count >= maxSuspicions || cur.usable(now)):
		return Token{}, false, rec.suspect.error()
	case rec.pause != nil && now.Before(rec.pause.Until.time()):
		return Token{}, false, rec.pause.error(now)
	}
	return f.judgeFault(f.rec.id, now)
}

// judgeFault: what failed in this process is not tried again before its time,
// also where the store could not be told of it.
func (f *flight) judgeFault(id TokenID, now time.Time) (Token, bool, error) {
	ft := f.s.fault.Load()
	if ft == nil || ft.id != id || ft.until.passed(now) || errors.Is(ft.err, ErrLoginRequired) {
		return Token{}, true, nil
	}
	return Token{}, false, ft.err.in(ft.until.at.Sub(now))
}

// release gives the lease up, unless a save that is still to be made took it.
func (f *flight) release() {
	if f.lease != nil {
		_ = f.lease.Release() // a lost lease is somebody else's already
		f.lease = nil
	}
}

// fail makes err an *Error and shares it: with the callers to come, until the
// store may be asked again, and as the pause of the advisory window.
func (f *flight) fail(err error) error {
	e := asError(err)
	if errors.Is(e, ErrTryAgain) {
		// Whoever comes sooner is told the same, without a look at the store.
		e = e.in(max(e.RetryAfter, lookInterval))
	}
	now := time.Now()
	ft := &fault{err: e, look: deadlineAt(now.Add(lookInterval), now)}
	ft.until = deadlineAt(now.Add(max(e.RetryAfter, lookInterval)), now)
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.epoch != f.s.epoch {
		return e
	}
	cur := f.s.current.Load()
	if cur != nil {
		ft.id = cur.rec.id
		cur.nextTry.Store(ft.until.wall)
	}
	if prior := f.s.fault.Swap(ft); errors.Is(e, ErrLoginRequired) {
		over := cur == nil || !cur.usable(now)
		if over && (prior == nil || !errors.Is(prior.err, ErrLoginRequired) || prior.id != ft.id) {
			f.hookEnded(e)
		}
		f.s.keepAlive(maxPause)
		return e
	}
	f.s.keepAlive(ft.until.at.Sub(now))
	return e
}

// hook queues a call of a hook for after the release.
func (f *flight) hook(call func(*Hooks)) {
	f.after = append(f.after, func() { call(&f.s.cfg.Hooks) })
}

func (f *flight) anomaly(id TokenID, what string) {
	f.hook(func(h *Hooks) {
		if h.Anomaly != nil {
			h.Anomaly(AnomalyInfo{ID: id, What: what})
		}
	})
}

// hookEnded tells of the end of a session; that nobody ever logged in is none.
func (f *flight) hookEnded(err error) {
	if f.rec == nil {
		return
	}
	id := f.rec.id
	f.hook(func(h *Hooks) {
		if h.SessionEnded != nil {
			h.SessionEnded(SessionEndedInfo{ID: id, Err: err})
		}
	})
}

// runAfter runs what was queued, and outlives a panic in it: hooks are the
// program's code, and singleflight would end the program.
func (f *flight) runAfter() {
	defer func() { _ = recover() }()
	for _, call := range f.after {
		call()
	}
}
