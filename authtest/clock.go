package authtest

import "time"

// Skew sets how far the clock that the server shows, in the Date header, in the
// claims of tokens and in Retry-After, is ahead of the one it decides by.
func (s *Server) Skew(d time.Duration) { s.inner.Skew(d) }

// SetClock moves the server's clock to t, from where it goes on.
func (s *Server) SetClock(t time.Time) { s.inner.SetClock(t) }

// SetAccessLag makes the API refuse an access token until d after it was
// issued, as a replica does that the news has not reached yet.
func (s *Server) SetAccessLag(d time.Duration) { s.inner.SetAccessLag(d) }
