package tokensource

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// The budgets of a refresh.
const (
	flightBudget  = 30 * time.Second // one refresh, waiting for the lease included
	sendMargin    = 5 * time.Second  // what the lease covers beyond an attempt
	saveBudget    = 10 * time.Second // the first tries to save a new set
	saveRetry     = time.Second      // the pause between later tries
	lookInterval  = time.Second      // between two looks at a store that said no
	maxPause      = time.Minute      // the longest pause of our own
	maxRetryAfter = time.Hour        // the longest pause a server can impose
)

// Session keeps one login alive. It is safe for concurrent use. Sessions with
// the same key over one store, in this and in other processes, renew as one.
//
// An idle Session has no goroutine, and no timer unless Config.KeepAlive is
// set.
type Session struct {
	cfg     Config
	holder  string // names this Session in a spend mark
	current atomic.Pointer[snapshot]
	fault   atomic.Pointer[fault]
	flights singleflight.Group

	mu sync.Mutex // guards what follows; never held across I/O, timers or callbacks
	// epoch counts the logins and logouts made through this Session, so
	// that a refresh which began before one cannot publish after it.
	epoch  uint64
	closed bool
	over   bool     // ended by End, until the next Adopt
	gone   [16]byte // the family that End ended
	storm  storm
	alive  *time.Timer
	// unsaved: the current set could not be saved yet (rule 11). saver is
	// closed when the goroutine that saves it has ended, its hooks included.
	unsaved bool
	saver   chan struct{}
}

// fault is the last failure, shared by all callers until it lapses.
type fault struct {
	err   *Error
	id    TokenID
	look  deadline // until then the store is not read again
	until deadline // until then nothing is sent
}

// NewSession returns the Session of cfg. It reads nothing yet; the first
// Token does.
func NewSession(cfg Config) (*Session, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Session{cfg: cfg, holder: rand.Text()}, nil
}

// Token returns a token to send now. While the current one is fresh this
// costs one atomic load; from the advisory window on, one caller renews it
// and the others keep the current one; at the end everyone waits.
//
// It returns the cause of ctx when ctx ends first; the refresh goes on then,
// and what it obtains is kept. Other errors match ErrLoginRequired,
// ErrTryAgain, ErrConfig or ErrClosed.
func (s *Session) Token(ctx context.Context) (Token, error) {
	now := time.Now()
	if cur := s.current.Load(); cur != nil && cur.fresh(now) {
		return cur.token, nil
	}
	return s.tokenSlow(ctx, now)
}

func (s *Session) tokenSlow(ctx context.Context, now time.Time) (Token, error) {
	if cur := s.current.Load(); cur != nil && !cur.pressing(now) {
		if !cur.claim(now) {
			return cur.token, nil
		}
		if s.cfg.Background {
			s.flights.DoChan(flightName, s.fly)
			return cur.token, nil
		}
	}
	tok, err := s.await(ctx)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrClosed) {
		return tok, err
	}
	// What the API has not refused is served until it expires, whatever
	// became of the refresh.
	if cur := s.current.Load(); cur != nil && cur.usable(time.Now()) {
		return cur.token, nil
	}
	return Token{}, err
}

// Renew returns a token other than rejected, one that an API refused. If the
// session has moved on since that was handed out, the current token is
// returned at once (RFC 6750 3.1). Errors are as for Token.
func (s *Session) Renew(ctx context.Context, rejected Token) (Token, error) {
	if rejected.IsZero() {
		return s.Token(ctx)
	}
	now := time.Now()
	cur := s.current.Load()
	if cur != nil && cur.token.ID() != rejected.ID() && cur.usable(now) {
		return cur.token, nil
	}
	if cur != nil && cur.token.ID() == rejected.ID() {
		if err := s.reject(cur, now); err != nil {
			return Token{}, err
		}
	}
	tok, err := s.await(ctx)
	if err == nil && tok.ID() == rejected.ID() {
		// The flight that was joined had begun before the rejection.
		tok, err = s.await(ctx)
	}
	if err == nil && tok.ID() == rejected.ID() {
		return Token{}, &Error{Reason: ReasonBusy, RetryAfter: lookInterval}
	}
	return tok, err
}

// flightName: every refresh of a Session is one flight.
const flightName = ""

// await starts or joins the one flight and waits for it as long as ctx and
// the budget last. The flight does not depend on who waits.
func (s *Session) await(ctx context.Context) (Token, error) {
	if f := s.fault.Load(); f != nil && !f.look.passed(time.Now()) {
		return Token{}, f.err
	}
	timer := time.NewTimer(flightBudget)
	defer timer.Stop()
	select {
	case r := <-s.flights.DoChan(flightName, s.fly):
		tok, _ := r.Val.(Token)
		return tok, r.Err
	case <-ctx.Done():
		return Token{}, fmt.Errorf("tokensource: the caller left before a token was there: %w", context.Cause(ctx))
	case <-timer.C:
		return Token{}, &Error{Reason: ReasonBusy, RetryAfter: lookInterval, Advice: "the refresh takes too long"}
	}
}

// begin returns the epoch that a flight belongs to.
func (s *Session) begin() (epoch uint64, unsaved, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch, s.unsaved, s.closed
}

// publish makes rec what callers get, unless a login or a logout has come
// between, and reports whether it did. A set that is already current stays as
// it is, with its windows and its rejection.
func (s *Session) publish(epoch uint64, rec *record) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch != s.epoch {
		return false
	}
	if cur := s.current.Load(); cur != nil && cur.rec.id == rec.id {
		return true
	}
	snap := newSnapshot(rec, s.cfg.KeepAlive, now)
	s.current.Store(snap)
	s.keepAlive(snap.advisory.at.Sub(now))
	return true
}

// keepAlive arranges for a refresh after d; the caller holds mu.
func (s *Session) keepAlive(d time.Duration) {
	if s.cfg.KeepAlive == 0 || s.closed {
		return
	}
	if s.alive == nil {
		s.alive = time.AfterFunc(d, func() { s.flights.DoChan(flightName, s.fly) })
		return
	}
	s.alive.Reset(d)
}

// drop forgets the current token: the session is over or someone else's.
func (s *Session) drop(epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch == s.epoch {
		s.current.Store(nil)
	}
}

// Close waits until no refresh runs and everything is saved, then lets go.
// Where ctx ends first, Close returns its cause; it may be called again. The
// session itself stays in the store: Close is no logout. A program that uses
// Config.Background has to call it.
func (s *Session) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	if s.alive != nil {
		s.alive.Stop()
	}
	s.mu.Unlock()
	// Joins the flight that runs; one that starts now sees closed and ends.
	select {
	case <-s.flights.DoChan(flightName, s.fly):
	case <-ctx.Done():
		return fmt.Errorf("tokensource: a refresh was still under way: %w", context.Cause(ctx))
	}
	s.mu.Lock()
	saver := s.saver
	s.mu.Unlock()
	if saver != nil {
		select {
		case <-saver:
		case <-ctx.Done():
			return fmt.Errorf("tokensource: the new tokens are not saved yet, the session is lost if the process ends now: %w", context.Cause(ctx))
		}
	}
	s.current.Store(nil)
	return nil
}

// Status is what a Session knows about itself, without asking the store.
type Status struct {
	// LoggedIn: there is a token set.
	LoggedIn bool
	// ID is the identity of the current token set.
	ID TokenID
	// Subject names the account, where known.
	Subject string
	// Scopes are the granted scopes, where known.
	Scopes []string
	// IssuedAt and Expiry belong to the access token, HardEnd and IdleEnd
	// to the session; zero where unknown.
	IssuedAt, Expiry, HardEnd, IdleEnd time.Time
	// Unsaved: the current set is not in the store yet.
	Unsaved bool
	// Err is the failure that callers are told of at present.
	Err error
}

// Status returns a snapshot.
func (s *Session) Status() Status {
	var st Status
	if f := s.fault.Load(); f != nil {
		st.Err = f.err
	}
	_, st.Unsaved, _ = s.begin()
	if cur := s.current.Load(); cur != nil {
		g := cur.rec.grant
		st.LoggedIn, st.ID, st.Subject = true, cur.rec.id, g.Subject
		st.Scopes = slices.Clone(g.Scopes)
		st.IssuedAt, st.Expiry, st.HardEnd, st.IdleEnd = g.IssuedAt, g.Expiry, g.HardEnd, g.IdleEnd
	}
	return st
}
