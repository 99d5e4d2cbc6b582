package tokensource

import (
	"context"
	"errors"
	"time"
)

const (
	maxSuspicions = 2               // refusals after which a refresh token is not presented again
	maxAdoptions  = 2               // sets taken over within one flight
	lagAge        = 5 * time.Second // a younger token may be unknown to a lagging replica
)

// refused deals with a refresh that brought nothing.
func (f *flight) refused(ctx context.Context, e *Error) error {
	if f.uncertain && !e.Uncertain {
		c := *e
		c.Uncertain = true
		e = &c
	}
	if adjudicated(e.Reason) {
		return f.adjudicate(ctx, e)
	}
	return f.note(e)
}

// adjudicated reports whether the reason is the server's word on the refresh
// token itself, which another process may have rotated meanwhile (rule 12).
// An invalid request is some servers' way to say so.
func adjudicated(r Reason) bool {
	switch r {
	case ReasonRejected, ReasonRefused, ReasonReuse, ReasonHardEnd, ReasonRequest:
		return true
	}
	return false
}

// adjudicate does not believe the server before it has read the store again
// (rule 12). Nothing is ever deleted here: another holder may be about to
// save the successor of this very token.
func (f *flight) adjudicate(ctx context.Context, e *Error) error {
	presented := f.rec.refreshHash()
	if err := f.load(ctx); err != nil {
		return err
	}
	if f.rec == nil || f.rec.ended != reasonUnset || f.rec.refreshHash() != presented {
		return errLookAgain
	}
	if !errors.Is(e, ErrLoginRequired) {
		return f.note(e)
	}
	if now := time.Now(); !f.lagTested && now.Sub(f.rec.grant.IssuedAt) < lagAge {
		f.lagTested = true
		if err := pauseFor(ctx, lagAge); err != nil {
			return err
		}
		return errLookAgain
	}
	return f.suspect(e, presented)
}

// suspect records that the server refused the refresh token. While the access
// token lasts it is served; the suspicion is tested once more when it is
// gone, because some servers refuse early refreshes.
func (f *flight) suspect(e *Error, presented string) error {
	count := 1
	if f.rec.suspected() {
		count = f.rec.suspect.Count + 1
	}
	cur := f.s.current.Load()
	if now := time.Now(); cur == nil || !cur.usable(now) {
		count = maxSuspicions
	}
	next := f.rec.withMark(nil) // this was a definitive answer
	next.suspect = &suspicion{
		Hash: presented, Count: count, At: milli(time.Now()),
		Reason: reasonName(e.Reason), Status: e.Status, Code: e.Code, Uncertain: e.Uncertain,
	}
	_ = f.tell(next)
	return e
}

// note shares a failure that leaves the session standing: nobody sends before
// the pause is over. A definitive answer clears the mark (rule 6).
func (f *flight) note(e *Error) error {
	failures := 1
	if f.rec.pause != nil {
		failures = f.rec.pause.Failures + 1
	}
	d := min(time.Second<<min(failures-1, 6), maxPause)
	if e.RetryAfter > 0 {
		d = min(e.RetryAfter, maxRetryAfter)
	}
	next := f.rec.withMark(f.rec.mark)
	if !e.Uncertain {
		next.mark = nil
	}
	next.pause = &pause{
		Until: milli(time.Now().Add(d)), Failures: failures,
		Reason: reasonName(e.Reason), Status: e.Status, Code: e.Code, Uncertain: e.Uncertain,
	}
	_ = f.tell(next)
	return e.in(d)
}

// tell writes what others should know and need not: where the write fails,
// the failure is still kept in memory, and the mark still warns.
func (f *flight) tell(rec *record) error {
	ctx, cancel := context.WithTimeout(context.Background(), saveBudget)
	defer cancel()
	return f.write(ctx, rec)
}

// accountChanged ends a session whose refresh was answered for another
// account: its own refresh token is spent, and what came is not ours. A login
// or a logout that came before it stands.
func (f *flight) accountChanged(parent *record, g Grant, e *Error) error {
	f.revoke(g)
	if err := f.tell(parent.end(ReasonAccountChanged)); errors.Is(err, ErrConflict) {
		return errLookAgain
	}
	f.s.drop(f.epoch)
	return e
}

// revoke hands back tokens that nobody will use, after the release.
func (f *flight) revoke(g Grant) {
	f.after = append(f.after, func() { _ = f.s.revoke(context.Background(), g) })
}

// revoke tells the server, within the save budget.
func (s *Session) revoke(ctx context.Context, g Grant) (err error) {
	if s.cfg.Revoker == nil || g.AccessToken.IsZero() && g.RefreshToken.IsZero() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, saveBudget)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = untyped(p)
		}
	}()
	return s.cfg.Revoker.Revoke(ctx, g)
}
