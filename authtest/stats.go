package authtest

import "time"

// Stats counts what the server has seen and done.
type Stats struct {
	Logins          int // sessions begun over HTTP
	RefreshRequests int // refreshes that arrived, those that a fault answered included
	Rotations       int // refreshes that issued a new refresh token
	Replays         int // retired tokens answered within the grace
	Reuses          int // retired tokens that came back too late
	FamiliesRevoked int // sessions ended by reuse: the cliff
	SessionsRevoked int // sessions ended by logout, by hand or by MaxRefreshes
	APIRequests     int // requests that arrived at /api/, those that a fault answered included
	APIUnauthorized int // of these, answered 401
	Recoveries      int // retired tokens that came back because their successor had been lost
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats { return Stats(s.inner.Stats()) }

// Redemptions says how often a refresh token was presented at the token
// endpoint. Every presentation counts, also one that a fault answered.
func (s *Server) Redemptions(refreshToken string) int { return s.inner.Redemptions(refreshToken) }

// MaxRedemptions is the highest count of Redemptions over all tokens.
func (s *Server) MaxRedemptions() int { return s.inner.MaxRedemptions() }

// Session is what the server knows of one login on one device.
type Session struct {
	ID         string    // as in Tokens.SessionID
	Client     string    // whose refresh tokens these are
	Device     string    // as given at the login
	Scope      string    // as granted
	CreatedAt  time.Time // the login
	LastUsedAt time.Time // the latest refresh
	ExpiresAt  time.Time // the hard end
	Refreshes  int       // rotations so far
	Ended      string    // why it was revoked; empty while it lives
}

// Sessions lists the sessions of a user, oldest first, ended ones included.
func (s *Server) Sessions(user string) []Session {
	inner, err := s.inner.Sessions(user)
	s.must("listing sessions", err)
	out := make([]Session, len(inner))
	for i, sess := range inner {
		out[i] = Session(sess)
	}
	return out
}
