package tokensource

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// deadline is a moment that counts as passed when the monotonic or the wall
// clock says so: the monotonic clock stops while a laptop sleeps, the wall
// clock can be set back.
type deadline struct {
	at   time.Time // with a monotonic reading
	wall int64     // Unix nanoseconds
}

var never = deadline{at: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), wall: math.MaxInt64}

// deadlineAt returns the deadline at t; now lends the monotonic reading that
// a time from a record lacks.
func deadlineAt(t, now time.Time) deadline {
	return deadline{at: now.Add(t.Sub(now)), wall: t.UnixNano()}
}

func (d deadline) passed(now time.Time) bool {
	return !now.Before(d.at) || now.UnixNano() >= d.wall
}

// snapshot is one token set as callers see it, with its windows (rule 2). All
// but the two atomics is immutable.
type snapshot struct {
	token     Token
	rec       *record
	advisory  deadline // from here, one caller renews
	mandatory deadline // from here, everyone waits for it
	expiry    deadline
	// nextTry is the wall clock (Unix nanoseconds) before which no further
	// caller starts a refresh in the advisory window; 0 at first.
	nextTry atomic.Int64
	// rejected is set when an API refused the token.
	rejected atomic.Bool
}

func newSnapshot(rec *record, keepAlive time.Duration, now time.Time) *snapshot {
	s := &snapshot{
		token: NewToken(rec.id, rec.grant), rec: rec,
		advisory: never, mandatory: never, expiry: never,
	}
	g := rec.grant
	if !g.Expiry.IsZero() {
		lifetime := g.Expiry.Sub(g.IssuedAt)
		// Not before this, or a server with tiny lifetimes sees a refresh
		// for every request.
		earliest := g.IssuedAt.Add(max(time.Second, lifetime/10))
		early := min(5*time.Minute, lifetime/5)
		early = time.Duration(float64(early) * (0.9 + 0.2*rand.Float64()))
		late := min(10*time.Second, lifetime/20)
		s.advisory = deadlineAt(latest(g.Expiry.Add(-early), earliest), now)
		s.mandatory = deadlineAt(latest(g.Expiry.Add(-late), earliest), now)
		s.expiry = deadlineAt(g.Expiry, now)
	}
	if keepAlive > 0 {
		if alive := deadlineAt(keepAliveTime(g, keepAlive), now); alive.at.Before(s.advisory.at) {
			s.advisory = alive
		}
	}
	return s
}

// keepAliveTime is when an idle session wants its refresh: at the configured
// age, or when nine tenths of the idle time are over.
func keepAliveTime(g Grant, age time.Duration) time.Time {
	if idle := g.IdleEnd.Sub(g.IssuedAt); !g.IdleEnd.IsZero() && idle > 0 {
		age = min(age, idle/10*9)
	}
	return g.IssuedAt.Add(max(age, time.Second))
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// fresh: nothing speaks against the token. This is the hot path.
func (s *snapshot) fresh(now time.Time) bool {
	return !s.rejected.Load() && !s.advisory.passed(now)
}

// usable: the token may still be sent, for want of a better one.
func (s *snapshot) usable(now time.Time) bool {
	return !s.rejected.Load() && !s.expiry.passed(now)
}

// pressing: the mandatory window, or a rejected token.
func (s *snapshot) pressing(now time.Time) bool {
	return s.rejected.Load() || s.mandatory.passed(now)
}

// claim reports whether the caller is the one that renews in the advisory
// window. A claim lapses with the budget of the refresh, so that none can be
// left over.
func (s *snapshot) claim(now time.Time) bool {
	next := s.nextTry.Load()
	if next != 0 && now.UnixNano() < next {
		return false
	}
	return s.nextTry.CompareAndSwap(next, now.Add(flightBudget).UnixNano())
}
