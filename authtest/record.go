package authtest

import (
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// Exchange is what the server keeps of a request and its answer: everything
// but tokens, secrets and bodies.
type Exchange struct {
	Number    int           // counted from 1 in the order of arrival
	Time      time.Time     // of arrival, on the server's clock
	Took      time.Duration // on the same clock
	Endpoint  Endpoint      // what was asked for
	Method    string        // of the request
	Path      string        // of the request, without its query
	Remote    string        // the other end of the connection
	UserAgent string        // as sent
	Client    string        // whose request it was, as far as is known
	Session   string        // as in Tokens.SessionID, as far as is known
	Presented string        // a mark of the refresh token: equal tokens have equal marks
	Status    int           // 0: no answer
	Outcome   string        // as in the header X-Authtest-Outcome
	Faults    []string      // that it met: their stages and what they did
	Delivered bool          // the answer was written to a client that was there
}

// Exchanges lists the latest 4096 requests on an endpoint that have been
// answered or lost, in that order. One whose answer is being read at this very
// moment may be missing.
func (s *Server) Exchanges(on Endpoint) []Exchange {
	inner := s.inner.Exchanges(testserver.Endpoint(on))
	out := make([]Exchange, len(inner))
	for i, e := range inner {
		out[i] = Exchange{
			Number: e.Number, Time: e.Time, Took: e.Took, Endpoint: Endpoint(e.Endpoint),
			Method: e.Method, Path: e.Path, Remote: e.Remote, UserAgent: e.UserAgent,
			Client: e.Client, Session: e.Session, Presented: e.Presented,
			Status: e.Status, Outcome: string(e.Outcome), Faults: e.Faults, Delivered: e.Delivered,
		}
	}
	return out
}
