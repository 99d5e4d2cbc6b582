package authtest

import "time"

// Skew sets how far the clock that the server shows, in the Date header, in the
// claims of tokens and in Retry-After, is ahead of the one it decides by.
func (s *Server) Skew(d time.Duration) { s.inner.Skew(d) }

// SetClock moves the server's clock to t, from where it goes on.
func (s *Server) SetClock(t time.Time) { s.inner.SetClock(t) }
