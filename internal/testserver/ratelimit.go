package testserver

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is a bucket of Burst requests that refills by one every Every. The zero
// Rate limits nothing.
type Rate struct {
	Every time.Duration
	Burst int // zero: 1
}

// RateLimits bound the requests to everything but the API. They are asked
// before the client is, so that a flood costs nothing and guessing secrets is
// slow (RFC 6749 2.3.1); a request that they refuse has spent nothing, its
// refresh token least of all.
type RateLimits struct {
	IP      Rate // by the address of the connection
	Client  Rate // by the registered client that the request names
	Session Rate // by the session of the presented refresh token

	// RetryAfterDate answers Retry-After as a date instead of as seconds: RFC
	// 9110 10.2.3 allows both, and a client must read both.
	RetryAfterDate bool
	Body           string // sent instead of the error of the dialect
	ContentType    string // of Body; text/html; charset=utf-8
}

func (l RateLimits) check() error {
	for _, r := range []Rate{l.IP, l.Client, l.Session} {
		if r.Every < 0 || r.Burst < 0 || r.Every == 0 && r.Burst > 0 {
			return errors.New("testserver: a rate limit needs a positive Every and no negative Burst")
		}
	}
	return nil
}

// bucketKey says whose bucket it is; kind keeps a client from being named like
// an address.
type bucketKey struct{ kind, name string }

// limiter holds the buckets. They refill on the server's clock, so that a test
// waits by moving it.
type limiter struct {
	limits RateLimits

	mu      sync.Mutex // guards what follows; never held across I/O, timers or callbacks
	buckets map[bucketKey]*rate.Limiter
	sweep   int // the number at which the full buckets are thrown out
}

func newLimiter(limits RateLimits) *limiter {
	return &limiter{limits: limits, buckets: make(map[bucketKey]*rate.Limiter), sweep: sweepFloor}
}

// bucket returns nil where nothing is limited.
func (l *limiter) bucket(kind, name string, r Rate, now time.Time) *rate.Limiter {
	if r.Every == 0 || name == "" {
		return nil
	}
	key := bucketKey{kind, name}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[key]
	if b == nil {
		b = rate.NewLimiter(rate.Every(r.Every), max(r.Burst, 1))
		l.buckets[key] = b
		if len(l.buckets) >= l.sweep {
			l.sweepLocked(now)
		}
	}
	return b
}

// sweepLocked forgets full buckets: a new one would be just as full.
func (l *limiter) sweepLocked(now time.Time) {
	for key, b := range l.buckets {
		if b.TokensAt(now) >= float64(b.Burst()) {
			delete(l.buckets, key)
		}
	}
	l.sweep = max(sweepFloor, 2*len(l.buckets))
}

// wait says how long the request would have to wait for its buckets; zero, and
// it has been counted in each of them. A refused one is counted in none.
func (l *limiter) wait(x *exchange, client string, now time.Time) time.Duration {
	var taken []*rate.Reservation
	for _, b := range []*rate.Limiter{
		l.bucket("ip", address(x.r), l.limits.IP, now),
		l.bucket("client", client, l.limits.Client, now),
		l.bucket("session", x.session, l.limits.Session, now),
	} {
		if b == nil {
			continue
		}
		r := b.ReserveN(now, 1)
		taken = append(taken, r)
		if delay := r.DelayFrom(now); delay > 0 {
			for _, r := range taken {
				r.CancelAt(now)
			}
			return delay
		}
	}
	return 0
}

// address is where a request comes from. Headers that say otherwise are not
// believed: anybody can write them.
func address(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

// limit refuses a request that comes too soon.
func (s *Server) limit(x *exchange) *reply {
	if x.endpoint == API {
		return nil
	}
	name := ""
	if s.limits.limits.Client != (Rate{}) {
		client, err := s.client(x.ctx(), x.client)
		if err != nil {
			return s.failed(x, err)
		}
		if client != nil {
			name = client.ID
		}
	}
	delay := s.limits.wait(x, name, s.now())
	if delay == 0 {
		return nil
	}
	rep := s.tooMany(x, delay)
	return &rep
}

// tooMany is 429 in the form that the Config asks for. RFC 6749 knows no such
// error; temporarily_unavailable is the nearest.
func (s *Server) tooMany(x *exchange, delay time.Duration) reply {
	l := s.limits.limits
	rep := x.refusal(RateLimited)
	if l.Body != "" {
		kind := l.ContentType
		if kind == "" {
			kind = "text/html; charset=utf-8"
		}
		rep.Body = l.Body
		rep.Header.Set("Content-Type", kind)
	}
	// Rounded up: whoever waits as long as it was told must get through.
	wait := (delay + time.Second - 1).Truncate(time.Second)
	rep.Header.Set("Retry-After", strconv.FormatInt(seconds(wait), 10))
	if l.RetryAfterDate {
		at := s.now().Add(delay + time.Second - 1).Truncate(time.Second)
		rep.Header.Set("Retry-After", at.UTC().Format(http.TimeFormat))
	}
	return rep
}
