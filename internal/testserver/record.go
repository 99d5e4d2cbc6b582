package testserver

import (
	"encoding/hex"
	"slices"
	"time"
)

// Exchange is what the server keeps of a request and its answer: everything
// but tokens, secrets and bodies.
type Exchange struct {
	Number    int           `json:"number"` // counted from 1 in the order of arrival
	Time      time.Time     `json:"time"`   // of arrival, on the server's clock
	Took      time.Duration `json:"took"`   // on the same, in nanoseconds
	Endpoint  Endpoint      `json:"endpoint"`
	Method    string        `json:"method"`
	Path      string        `json:"path"`
	Remote    string        `json:"remote"` // the other end of the connection
	UserAgent string        `json:"userAgent"`
	Client    string        `json:"client"`
	Session   string        `json:"session"`
	// Presented is a mark of the refresh token presented: equal tokens have
	// equal marks, and no token follows from one.
	Presented string   `json:"presented"`
	Status    int      `json:"status"` // 0: no answer
	Outcome   Outcome  `json:"outcome"`
	Faults    []string `json:"faults"`    // of the rules that it met
	Delivered bool     `json:"delivered"` // the answer was written to a client that was there
}

// keptExchanges is how many the book holds; older ones are forgotten.
const keptExchanges = 4096

// markOf tells tokens apart without telling them: 32 bits of the hash of 256
// random ones.
func markOf(token string) string {
	if token == "" {
		return ""
	}
	d := digestOf(token)
	return hex.EncodeToString(d[:4])
}

// open begins the record of a request.
func (s *Server) open(x *exchange) {
	x.seen = Exchange{
		Number: int(s.exchanges.Add(1)), Time: s.now(), Endpoint: x.endpoint, Method: x.r.Method, Path: x.r.URL.Path,
		Remote: x.r.RemoteAddr, UserAgent: x.r.UserAgent(), Presented: markOf(x.presented),
	}
}

// record ends it.
func (s *Server) record(x *exchange) {
	e := x.seen
	e.Took, e.Faults, e.Delivered = s.now().Sub(e.Time), x.faults, x.answered
	if e.Faults == nil {
		e.Faults = []string{}
	}
	e.Session, e.Client = x.session, x.client
	if who := s.who(x); who.session != "" {
		e.Session, e.Client = who.session, who.client
	}
	s.ledger.keep(e)
	s.watchers.tell(Event{Exchange: &e})
}

func (l *ledger) keep(e Exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.exchanges) >= 2*keptExchanges {
		l.exchanges = slices.Clone(l.exchanges[keptExchanges:])
	}
	l.exchanges = append(l.exchanges, e)
}

// Exchanges lists the latest requests on an endpoint that have been answered
// or lost, in that order.
func (s *Server) Exchanges(on Endpoint) []Exchange {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	out := []Exchange{}
	for _, e := range s.ledger.exchanges {
		if on == AnyEndpoint || e.Endpoint == on {
			out = append(out, e)
		}
	}
	return out[max(0, len(out)-keptExchanges):]
}
