package tokensource

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// mint obtains a set without a refresh token. Nothing can be spent, so there
// is no mark, no adjudication, and a set that cannot be saved is just served.
func (f *flight) mint(ctx context.Context) (Token, error) {
	rec := &record{resource: f.s.cfg.Resource}
	if f.rec != nil && f.rec.ended == reasonUnset {
		rec = f.rec
	}
	f.presented++
	g, err := f.observed(rec.id, nil, func() (Grant, error) { return f.s.cfg.Minter.Mint(ctx) })
	if err != nil {
		return Token{}, f.unminted(rec, asError(err))
	}
	g.RefreshToken = Secret{} // RFC 6749 4.4.3: there should be none, and none is used
	next := rec.child(g, time.Time{})
	if f.rec != rec {
		next.id = TokenID{Family: newFamily(), Generation: 1}
	}
	switch err := f.write(ctx, next); {
	case err == nil:
		return f.saved()
	case errors.Is(err, ErrConflict):
		return Token{}, errLookAgain
	default:
		f.hook(func(h *Hooks) {
			if h.SaveFailed != nil {
				h.SaveFailed(SaveFailedInfo{ID: next.id, Err: err})
			}
		})
	}
	if !f.s.publish(f.epoch, next) {
		return Token{}, f.overtaken()
	}
	return f.s.current.Load().token, nil
}

// unminted shares a failure; where there is no record yet, in memory alone.
func (f *flight) unminted(rec *record, e *Error) error {
	if f.rec == rec {
		return f.note(e)
	}
	return e
}

// newFamily draws the id of a login (rule 13).
func newFamily() (family [16]byte) {
	_, _ = rand.Read(family[:]) // never fails
	return family
}
