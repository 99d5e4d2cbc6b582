package tokensource

import (
	"context"
	"errors"
	"time"
)

const (
	leastAttempt = 10 * time.Second // the lease is not waited for with less time left
	markWait     = time.Second      // for the holder of a live mark to turn up
	quickRetry   = 250 * time.Millisecond
	maxUnsent    = 3 // tries within a flight of a request that does not get out
	maxLost      = 4 // ... and of one whose answer is lost
)

// spend presents the refresh token of f.rec and saves what it buys. It runs
// under the lease.
func (f *flight) spend(ctx context.Context) (Token, error) {
	if err := f.heedMark(ctx); err != nil {
		return Token{}, err
	}
	if deadline, _ := ctx.Deadline(); time.Until(deadline) < leastAttempt/2 {
		return Token{}, &Error{Reason: ReasonBusy, Uncertain: f.uncertain}
	}
	ctx, cancel := f.sending(ctx)
	defer cancel()
	if err := f.mark(ctx); err != nil {
		return Token{}, err
	}
	parent := f.rec
	g, presentedAt, err := f.present(ctx, parent)
	if errors.Is(err, errLookAgain) {
		return Token{}, err
	}
	if err != nil {
		return Token{}, f.refused(ctx, asError(err))
	}
	g, err = merge(parent.grant, g)
	if err != nil {
		return Token{}, f.accountChanged(parent, g, asError(err))
	}
	return f.keep(parent, parent.child(g, presentedAt))
}

// heedMark waits where another holder has marked the refresh token as being
// spent: it may be about to save what it got (rule 6).
func (f *flight) heedMark(ctx context.Context) error {
	m := f.rec.marked()
	if m == nil || f.marked && m.Holder == f.s.holder {
		return nil
	}
	f.uncertain = true
	if m.Holder == f.s.holder {
		return nil // an earlier flight of this Session, which is over
	}
	left := time.Until(m.Until.time())
	if left <= 0 || f.waitedFor == m.Holder {
		return nil
	}
	f.waitedFor = m.Holder
	switch f.s.cfg.Rotation.Replay {
	case ReplayAnswered:
		return nil
	case ReplayLastWins:
		// Whatever the other request still gets would void ours.
		if deadline, _ := ctx.Deadline(); left > time.Until(deadline)-leastAttempt {
			return &Error{Reason: ReasonBusy, Uncertain: true, RetryAfter: left}
		}
	default:
		left = min(left, markWait)
	}
	if err := pauseFor(ctx, left); err != nil {
		return err
	}
	return errLookAgain
}

// sending bounds all attempts of a flight. Where a grace is known they end
// when two thirds of it are over: the last third is for whoever has to wait
// for the end of our mark.
func (f *flight) sending(ctx context.Context) (context.Context, context.CancelFunc) {
	if grace := f.s.cfg.Rotation.Grace; grace > 0 {
		return context.WithTimeout(ctx, grace/3*2)
	}
	return context.WithCancel(ctx)
}

// mark writes, before the request can leave, which refresh token is being
// spent (rule 6). It is a real write: a store that is full or read-only shows
// now, while the old token is still good.
func (f *flight) mark(ctx context.Context) error {
	until, _ := ctx.Deadline()
	if f.s.cfg.Rotation.Grace == 0 {
		until = until.Add(sendMargin)
	}
	m := &spendMark{Hash: f.rec.refreshHash(), Holder: f.s.holder, Until: milli(until)}
	err := f.write(ctx, f.rec.withMark(m))
	f.marked = f.marked || err == nil
	return relook(err)
}

// present sends the refresh token, again where the answer was lost (rules 7
// to 9). It returns the answer and when the request for it was made.
func (f *flight) present(ctx context.Context, parent *record) (Grant, time.Time, error) {
	lost, unsent := 0, 0
	for {
		attempt := f.attemptTime(ctx)
		if err := f.lease.Extend(ctx, f.cover(attempt)); err != nil {
			// Somebody else may hold the lease: start over (rule 7).
			f.release()
			return Grant{}, time.Time{}, errLookAgain
		}
		at := time.Now()
		g, err := f.ask(ctx, parent, attempt)
		if err == nil {
			return g, at, nil
		}
		e, wait := asError(err), time.Duration(0)
		f.uncertain = f.uncertain || e.Uncertain
		switch {
		case e.Reason == ReasonNotSent && unsent+1 < maxUnsent:
			wait = quickRetry << unsent
			unsent++
		case e.Reason == ReasonLost && lost+1 < maxLost:
			// At once: a server with grace answers well while it lasts,
			// and on a strict one nothing more can be lost (rule 9).
			wait = time.Second * time.Duration(lost)
			lost++
		case e.Reason == ReasonServer && e.Uncertain && lost == 0:
			wait = time.Second
			lost++
		default:
			return Grant{}, at, e
		}
		if deadline, _ := ctx.Deadline(); time.Until(deadline) < wait+f.least() || pauseFor(ctx, wait) != nil {
			return Grant{}, at, e
		}
	}
}

// attemptTime is how long one attempt may take: what is left of the budget,
// since an abandoned request is still alive at the server; where a grace is
// known, little enough to try again within it (rule 9).
func (f *flight) attemptTime(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	if grace := f.s.cfg.Rotation.Grace; grace > 0 {
		left = min(left, 10*time.Second, grace/3)
	}
	return left
}

// least is the time that an attempt needs at least to be worth it.
func (f *flight) least() time.Duration {
	if grace := f.s.cfg.Rotation.Grace; grace > 0 {
		return min(leastAttempt/2, grace/6)
	}
	return leastAttempt / 2
}

// cover is how long the lease has to last for an attempt (rule 7): with a
// margin, but no longer than half of a known grace.
func (f *flight) cover(attempt time.Duration) time.Duration {
	if grace := f.s.cfg.Rotation.Grace; grace > 0 {
		return min(attempt+sendMargin, grace/2)
	}
	return attempt + sendMargin
}

// ask makes one token request.
func (f *flight) ask(ctx context.Context, parent *record, attempt time.Duration) (g Grant, err error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	f.presented++
	return f.observed(parent.id, parent.grant.Scopes, func() (Grant, error) {
		return f.s.cfg.Refresher.Refresh(ctx, parent.grant.clone())
	})
}

// observed runs one token request between its hooks.
func (f *flight) observed(id TokenID, scopes []string, request func() (Grant, error)) (Grant, error) {
	n, start := f.presented, time.Now()
	f.hook(func(h *Hooks) {
		if h.RefreshStart != nil {
			h.RefreshStart(RefreshStartInfo{ID: id, Attempt: n, Time: start})
		}
	})
	g, err := guarded(request)
	info := RefreshDoneInfo{ID: id, Attempt: n, Duration: time.Since(start), Err: err}
	if err == nil {
		info.LostScopes = lostScopes(scopes, g.Scopes)
	}
	f.hook(func(h *Hooks) {
		if h.RefreshDone != nil {
			h.RefreshDone(info)
		}
	})
	return g, err
}

// guarded turns every way in which a program's Refresher or Minter can fail
// into an *Error.
func guarded(request func() (Grant, error)) (g Grant, err error) {
	defer func() {
		if p := recover(); p != nil {
			g, err = Grant{}, untyped(p)
		}
	}()
	g, err = request()
	if err != nil {
		return Grant{}, asError(err)
	}
	if g.AccessToken.IsZero() {
		return Grant{}, &Error{Reason: ReasonServer, Uncertain: true, Advice: "the answer held no access token"}
	}
	return normalized(g), nil
}

// pauseFor waits for d, or fails with busy when ctx ends first.
func pauseFor(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return &Error{Reason: ReasonBusy}
	}
}
