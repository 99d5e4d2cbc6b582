package testserver

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Stats counts what the server has seen and done.
type Stats struct {
	Logins          int // sessions begun over HTTP
	RefreshRequests int // refreshes that arrived, those that a fault answered included
	Rotations       int
	Replays         int // retired tokens answered within the window
	Reuses          int // retired tokens that came back too late
	FamiliesRevoked int // sessions ended by reuse: good clients that went over the cliff, or thieves
	SessionsRevoked int // sessions ended by logout, an administrator or a count of refreshes
	APIRequests     int // requests that arrived at /api/, those that a fault answered included
	APIUnauthorized int // of these, answered 401
	Recoveries      int // retired tokens that came back because their successor had been lost
}

// A refused token may be tested again: servers lag behind their own answers,
// and some refuse a refresh while the access token is good. Sooner than
// retestAfter, or more than maxRefusals times, is a client that does not listen.
const (
	retestAfter = 5 * time.Second
	maxRefusals = 3
)

type refusals struct {
	n    int
	last time.Time
}

// ledger is the server's book of what clients did.
type ledger struct {
	watchers *watchers
	early    time.Duration // see Config.EarlyRefresh

	mu         sync.Mutex // guards what follows; never held across I/O, timers or callbacks
	stats      Stats
	redeemed   map[digest]int      // how often, by refresh token
	first      map[digest]int      // the exchange that first presented it
	delivered  map[digest]delivery // of the child, by its parent
	refused    map[digest]refusals
	storms     map[digest]int         // refusals, by access token
	proofs     map[digest]bool        // of DPoP
	lines      map[string]*line       // by session
	inFlight   map[string][]*exchange // refreshes, by session
	attempts   map[string]int         // API requests, by method and URI
	violations []Violation
	exchanges  []Exchange
}

func newLedger(w *watchers, early time.Duration) *ledger {
	return &ledger{
		watchers: w, early: early,
		redeemed:  make(map[digest]int),
		first:     make(map[digest]int),
		delivered: make(map[digest]delivery),
		refused:   make(map[digest]refusals),
		storms:    make(map[digest]int),
		proofs:    make(map[digest]bool),
		lines:     make(map[string]*line),
		inFlight:  make(map[string][]*exchange),
		attempts:  make(map[string]int),
	}
}

func (l *ledger) count(add func(*Stats)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	add(&l.stats)
}

// attempt counts an API request and says the how-manieth of its kind it is.
func (l *ledger) attempt(key string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.APIRequests++
	l.attempts[key]++
	return l.attempts[key]
}

// arrive books a refresh before anything else happens to it. expires is when
// the access token of the session's login ends.
func (l *ledger) arrive(x *exchange, hash digest, expires, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.RefreshRequests++
	if x.presented == "" {
		return
	}
	if l.redeemed[hash]++; l.first[hash] == 0 {
		l.first[hash] = x.seen.Number
	}
	r := l.refused[hash]
	if r.n >= maxRefusals || r.n > 0 && now.Sub(r.last) < retestAfter {
		l.violateLocked(RefreshAfterEnd, x, now)
	}
	if x.session == "" {
		return
	}
	if l.tooEarly(x.session, expires, now) {
		l.violateLocked(RefreshEarly, x, now)
	}
	for _, other := range l.inFlight[x.session] {
		other.overlapped = true
	}
	l.inFlight[x.session] = append(l.inFlight[x.session], x)
}

// again books that a refresh was delivered a second time by no fault of its
// client.
func (l *ledger) again(hash digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.RefreshRequests++
	l.redeemed[hash]++
}

// leave books the end of a refresh. That another one began while this one was
// under way counts only if the client was still there to wait for it.
func (l *ledger) leave(x *exchange, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x.session == "" {
		return
	}
	l.landLocked(x)
	if x.overlapped && (x.answered || !x.abandoned()) {
		l.violateLocked(RefreshOverlap, x, now)
	}
}

// answering books that the answer to a refresh begins to leave: its client may
// come back with the first bytes of it, before the server has booked its end.
func (l *ledger) answering(x *exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.landLocked(x)
}

// landLocked takes x off what is in flight; the caller holds mu.
func (l *ledger) landLocked(x *exchange) {
	rest := slices.DeleteFunc(l.inFlight[x.session], func(o *exchange) bool { return o == x })
	if len(rest) == 0 {
		delete(l.inFlight, x.session)
		return
	}
	l.inFlight[x.session] = rest
}

// refuse books a terminal answer that reached its client.
func (l *ledger) refuse(hash digest, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.refused[hash]
	l.refused[hash] = refusals{n: r.n + 1, last: now}
}

// settle books the outcome of a refresh.
func (l *ledger) settle(o Outcome, replayed bool) {
	l.count(func(st *Stats) {
		switch {
		case replayed:
			st.Replays++
		case o == Rotated:
			st.Rotations++
		case o == ReuseDetected:
			st.Reuses++
		case o == MaxRefreshes:
			st.SessionsRevoked++
		}
	})
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return s.ledger.stats
}

// Redemptions says how often a refresh token was presented at the token
// endpoint. Every presentation counts, also one that a fault answered.
func (s *Server) Redemptions(token string) int {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return s.ledger.redeemed[digestOf(token)]
}

// MaxRedemptions is the highest count of Redemptions over all tokens.
func (s *Server) MaxRedemptions() int {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	most := 0
	for n := range maps.Values(s.ledger.redeemed) {
		most = max(most, n)
	}
	return most
}
