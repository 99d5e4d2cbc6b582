package testserver

import (
	"net/http"
	"time"
)

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

// SetAccessLag makes the API refuse an access token until d after it was
// issued, as a replica does that the news has not reached yet.
func (s *Server) SetAccessLag(d time.Duration) { s.lag.Store(int64(d)) }

// lagging reports that the API has not heard of an access token yet. Without a
// lag it has, also of one that a server whose clock is ahead has issued.
func (s *Server) lagging(issued time.Time) bool {
	lag := time.Duration(s.lag.Load())
	return lag > 0 && s.now().Before(issued.Add(lag))
}

// onTime sets the Date header by the reported clock.
func (s *Server) onTime(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.Reported().UTC().Format(http.TimeFormat))
		h.ServeHTTP(w, r)
	})
}

// shown is an access token as its claims tell it, by the reported clock.
func (s *Server) shown(row accessToken) accessToken {
	row.issued, row.expires = row.issued.Add(s.skewed()), row.expires.Add(s.skewed())
	return row
}
