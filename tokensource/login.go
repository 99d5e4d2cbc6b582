package tokensource

import (
	"context"
	"errors"
)

// Adopt starts a new session with a token set from a login. It replaces
// whatever session the store holds under the key, and is saved before anyone
// uses it. A caller's ctx that ends during the save does not undo it.
func (s *Session) Adopt(ctx context.Context, g Grant) error {
	if g.AccessToken.IsZero() {
		return &Error{Reason: ReasonRequest, Advice: "a Grant without an access token cannot be adopted"}
	}
	rec := &record{
		id:       TokenID{Family: newFamily(), Generation: 1},
		grant:    normalized(g),
		resource: s.cfg.Resource,
	}
	if _, err := s.replace(ctx, func(*record) *record { return rec }); err != nil {
		return err
	}
	s.turn(rec, false, [16]byte{})
	return nil
}

// End logs out: it leaves a record without tokens, which a refresh under way
// cannot overwrite, and then tells the server. Where the server cannot be
// told, End says so with an error that matches ErrTryAgain; the session is
// over locally all the same. Without a session End does nothing.
func (s *Session) End(ctx context.Context) error {
	newest := s.current.Load()
	stored, err := s.replace(ctx, func(stored *record) *record {
		if stored == nil || stored.ended != reasonUnset {
			return nil
		}
		return stored.end(ReasonLoggedOut)
	})
	last := stored
	if newest != nil && (stored == nil || newest.rec.descends(stored)) {
		last = newest.rec // not saved yet (rule 11), or the store does not answer
	}
	if last == nil {
		return err
	}
	s.turn(nil, true, last.id.Family)
	if revokeErr := s.revoke(ctx, last.grant); revokeErr != nil {
		e := asError(revokeErr)
		err = errors.Join(err, &Error{
			Reason: tryAgainReason(e.Reason), Status: e.Status, Code: e.Code, RetryAfter: e.RetryAfter,
			Advice: "logged out here, but the server could not be told",
		})
	}
	return err
}

// tryAgainReason: whatever a revocation fails with, the session here is over.
func tryAgainReason(r Reason) Reason {
	if r.Class() == ErrTryAgain {
		return r
	}
	return ReasonServer
}

// replace writes what next makes of the stored record, nil for nothing, and
// returns the record that was there. It needs no lease: whoever refreshes
// meanwhile sees it before anything is saved.
func (s *Session) replace(ctx context.Context, next func(stored *record) *record) (*record, error) {
	if _, _, closed := s.begin(); closed {
		return nil, ErrClosed
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveBudget)
	defer cancel()
	for {
		ver, stored, err := s.read(ctx)
		if err != nil && !replaceable(err) {
			return nil, err
		}
		rec := next(stored)
		if rec == nil {
			return stored, nil
		}
		if _, err := s.swap(ctx, ver, rec); !errors.Is(err, ErrConflict) {
			return stored, err
		}
	}
}

// replaceable reports whether a record that cannot be read may be written
// over: a damaged one, and one whose key is gone, but not one of a newer
// program.
func replaceable(err error) bool {
	var e *Error
	return errors.Is(err, errCorruptRecord) || errors.As(err, &e) && e.Reason == ReasonKeyLost
}

// turn begins a new epoch in memory: with a login's record, or with the end
// of a family.
func (s *Session) turn(rec *record, over bool, gone [16]byte) {
	s.mu.Lock()
	s.epoch++
	epoch := s.epoch
	s.over, s.gone = over, gone
	s.storm = storm{}
	s.current.Store(nil)
	s.fault.Store(nil)
	s.mu.Unlock()
	if rec != nil {
		s.publish(epoch, rec)
	}
}

// endedHere reports which family was ended through this Session, if one was.
func (s *Session) endedHere() (gone [16]byte, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone, s.over
}
