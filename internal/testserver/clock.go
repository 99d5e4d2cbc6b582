package testserver

import "time"

// The server has two clocks. Decisions are taken by the one that Now tells and
// Advance moves. What is said about time, in the Date header, in iat and exp
// and in Retry-After, is said by the reported one, which Skew sets apart from
// it: a server whose clock is wrong still expires its tokens in order.

// Reported is the clock that the server shows.
func (s *Server) Reported() time.Time { return s.now().Add(s.skewed()) }

// Skew sets how far the reported clock is ahead of the deciding one.
func (s *Server) Skew(d time.Duration) { s.skew.Store(int64(d)) }

func (s *Server) skewed() time.Duration { return time.Duration(s.skew.Load()) }

// SetClock moves the deciding clock to t, from where it goes on.
func (s *Server) SetClock(t time.Time) { s.offset.Store(int64(t.Sub(s.clock()))) }
