package tokensource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// MaxLifetime is the longest life of an access token that is believed. A longer
// one is a mistake, such as nanoseconds for seconds, and counts as unknown.
const MaxLifetime = 10 * 365 * 24 * time.Hour

// normalized fills in what may be left out of a Grant, and takes an absurd
// lifetime for an unknown one: the 401 decides then.
func normalized(g Grant) Grant {
	g = g.clone()
	if g.IssuedAt.IsZero() {
		g.IssuedAt = time.Now()
	}
	if lifetime := g.Expiry.Sub(g.IssuedAt); !g.Expiry.IsZero() && (lifetime <= 0 || lifetime > MaxLifetime) {
		g.Expiry = time.Time{}
	}
	return g
}

// merge completes the answer to a refresh with what stays as it was: an
// absent refresh token is the old one (RFC 6749 6), absent scopes are the old
// ones (RFC 6749 5.1). It fails when the answer is for another account; the
// Grant is complete then, too.
func merge(old, g Grant) (Grant, error) {
	if g.RefreshToken.IsZero() {
		g.RefreshToken = old.RefreshToken
	}
	if g.IDToken.IsZero() {
		g.IDToken = old.IDToken
	}
	if g.TokenType == "" {
		g.TokenType = old.TokenType
	}
	if g.Scopes == nil {
		g.Scopes = slices.Clone(old.Scopes)
	}
	if g.HardEnd.IsZero() {
		g.HardEnd = old.HardEnd
	}
	if old.Subject != "" && g.Subject != "" && g.Subject != old.Subject {
		return g, &Error{Reason: ReasonAccountChanged}
	}
	if g.Subject == "" {
		g.Subject = old.Subject
	}
	return g, nil
}

// lostScopes returns those of old that an answer with the scopes now lacks;
// an answer without scopes lacks none.
func lostScopes(old, now []string) []string {
	if now == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(old), func(s string) bool { return slices.Contains(now, s) })
}

// asError returns err as an *Error. One of ours is copied where its cause is
// the end of an internal context, which must not look like the caller's; any
// other may print what it likes, so that only its type is kept.
func asError(err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		return untyped(err)
	}
	if errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, context.Canceled) {
		c := *e
		c.Err = errTimedOut
		return &c
	}
	return e
}

var errTimedOut = errors.New("it took too long")

// untyped is what a failure that is none of ours counts as (row 12 of the
// answer table): the request may have been processed.
func untyped(v any) *Error {
	return &Error{Reason: ReasonServer, Uncertain: true, Advice: fmt.Sprintf("unexpected %T", v)}
}

// storeError is the *Error of a failed store call. A store says "log in
// again" only with an *Error of its own.
func storeError(err error) error {
	if errors.Is(err, ErrConflict) {
		return err
	}
	var e *Error
	if errors.As(err, &e) {
		return asError(err)
	}
	return asError(&Error{Reason: ReasonStore, Err: err})
}

// in returns e with another pause.
func (e *Error) in(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

func (p *pause) error(now time.Time) *Error {
	return &Error{
		Reason: reasonNamed(p.Reason), Status: p.Status, Code: p.Code,
		Uncertain: p.Uncertain, RetryAfter: p.Until.time().Sub(now),
	}
}

func (s *suspicion) error() *Error {
	return &Error{Reason: reasonNamed(s.Reason), Status: s.Status, Code: s.Code, Uncertain: s.Uncertain}
}
