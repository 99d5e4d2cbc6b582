package testserver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// demoRoutes are endpoints of the API that each catch a mistake of clients.
func (s *Server) demoRoutes(mux *http.ServeMux) {
	handle := func(pattern string, h func(*exchange, claims) reply) {
		mux.HandleFunc(pattern, s.endpoint(API, s.protect(h)))
	}
	handle("PUT /api/upload", s.apiUpload)
	handle("POST /api/upload", s.apiUpload)
	handle("GET /api/stream", s.apiStream)
	handle("GET /api/sse", s.apiEvents)
	handle("GET /api/ws", s.apiSocket)
	handle("/api/401-once", s.api401Once)
	handle("/api/403-always", s.api403)
	handle("/api/expire/{ttl}", s.apiExpire)
	handle("/api/redirect", s.apiRedirect)
	handle("POST /api/charge", s.apiCharge)
	handle("GET /api/charge", s.apiCharges)
	handle("/api/slow", s.apiSlow)
	handle("/api/rate", s.apiRate)
}

// demo is what these endpoints remember.
type demo struct {
	mu      sync.Mutex // guards what follows; never held across I/O, timers or callbacks
	counts  map[string]int
	windows map[string]time.Time // when the window of a count began
}

// count adds one under a key, and returns the sum.
func (d *demo) count(key string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.counts == nil {
		d.counts, d.windows = make(map[string]int), make(map[string]time.Time)
	}
	d.counts[key]++
	return d.counts[key]
}

func (d *demo) counted(key string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[key]
}

// within counts like count, from 1 again when the window is over, and tells
// when that is.
func (d *demo) within(key string, window time.Duration, now time.Time) (n int, ends time.Time) {
	d.mu.Lock()
	if began, ok := d.windows[key]; ok && now.Sub(began) >= window {
		delete(d.counts, key)
		delete(d.windows, key)
	}
	d.mu.Unlock()
	n = d.count(key)
	d.mu.Lock()
	defer d.mu.Unlock()
	if n == 1 {
		d.windows[key] = now
	}
	return n, d.windows[key].Add(window)
}

func (d *demo) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts, d.windows = nil, nil
}

// number reads a parameter between 0 and most.
func number(query url.Values, name string, fallback, most int) (int, bool) {
	text := query.Get(name)
	if text == "" {
		return fallback, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0 && n <= most
}

// period reads a parameter that is a duration of at most an hour.
func period(query url.Values, name string, fallback time.Duration) (time.Duration, bool) {
	text := query.Get(name)
	if text == "" {
		return fallback, true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0 && d <= time.Hour
}

// refused is the 401 for a token that is good.
func refused() reply {
	return challenge(RefusedByRequest, `, error="invalid_token", error_description="Invalid token"`)
}

// apiUpload takes a body. With reject_after=N it refuses the first request of
// a session after N bytes of it: 0 is before the client was asked for any
// (RFC 9110 10.1.1), more than there are is after the last. A client that can
// sends all of it again, whole.
func (s *Server) apiUpload(x *exchange, c claims) reply {
	query := x.r.URL.Query()
	after, ok := number(query, "reject_after", 0, 1<<30)
	if !ok {
		return jsonError(Malformed)
	}
	if query.Has("reject_after") && s.demo.count("upload "+c.Session+x.r.URL.RawQuery) == 1 {
		if after > 0 {
			_, _ = io.CopyN(io.Discard, x.r.Body, int64(after)) // shorter is well, too
		}
		return refused()
	}
	sum := sha256.New()
	n, err := io.Copy(sum, x.r.Body)
	if err != nil {
		return jsonError(Malformed)
	}
	return jsonReply(http.StatusOK, Done, struct {
		BodySHA256 string `json:"bodySHA256"`
		BodyLength int64  `json:"bodyLength"`
		Attempt    int    `json:"attempt"`
	}{hex.EncodeToString(sum.Sum(nil)), n, x.attempt})
}

// api401Once refuses the first request of a session, although its token is
// good: a client renews and is let in.
func (s *Server) api401Once(x *exchange, c claims) reply {
	if s.demo.count("once "+c.Session+x.r.URL.RequestURI()) == 1 {
		return refused()
	}
	return s.apiMe(x, c)
}

// api403 forbids. No other token would help, so none is to be fetched (RFC
// 9110 15.5.4).
func (s *Server) api403(*exchange, claims) reply {
	return jsonReply(http.StatusForbidden, RefusedByRequest, map[string]string{"error": "Forbidden"})
}

// apiExpire takes tokens for expired once they are as old as ttl.
func (s *Server) apiExpire(x *exchange, c claims) reply {
	ttl, err := time.ParseDuration(x.r.PathValue("ttl"))
	if err != nil || ttl < 0 {
		return jsonError(Malformed)
	}
	var issued time.Time
	err = s.store.view(x.ctx(), c.Session, func(t *tx) error {
		record, err := t.accessToken(c.ID)
		issued = record.issued
		return err
	})
	if err != nil && !errors.Is(err, errNoToken) {
		return jsonError(s.failure(x, err))
	}
	if !s.now().Before(issued.Add(ttl)) {
		return challenge(AccessExpired, `, error="invalid_token", error_description="Token expired"`)
	}
	return s.apiMe(x, c)
}

// apiRedirect sends the client on: to a path here, or to example.com, where the
// token must not follow. status is 302 unless it is told.
func (s *Server) apiRedirect(x *exchange, _ claims) reply {
	query := x.r.URL.Query()
	status, ok := number(query, "status", http.StatusFound, 399)
	to, err := url.Parse(query.Get("to"))
	if err != nil || !ok || status < 301 || !s.reachable(to) {
		return jsonError(Malformed)
	}
	rep := emptyReply(status, Done)
	rep.Header.Set("Location", to.String())
	return rep
}

// reachable reports that a redirect leads nowhere but here and to the hosts
// that test clients send here: the server is no open redirector.
func (s *Server) reachable(to *url.URL) bool {
	if to.Host == "" {
		return to.Scheme == "" && strings.HasPrefix(to.Path, "/") && !strings.HasPrefix(to.Path, "//") && !strings.Contains(to.Path, `\`)
	}
	r := &http.Request{Host: to.Host}
	return (to.Scheme == "http" || to.Scheme == "https") && to.User == nil && (to.Host == s.host || s.foreign(r))
}

// apiCharge must happen once per intent. It counts what came in twice: by
// Idempotency-Key or else by the body. With reject=after the answer is a 401
// although the charge was made, which an API must not do, and from which no
// client can tell that it must not send it again.
func (s *Server) apiCharge(x *exchange, c claims) reply {
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxForm))
	if err != nil {
		return jsonError(Malformed)
	}
	key := x.r.Header.Get("Idempotency-Key")
	if key == "" {
		sum := sha256.Sum256(body)
		key = hex.EncodeToString(sum[:])
	}
	s.demo.count("charges " + c.Session)
	if s.demo.count("charge "+c.Session+" "+key) > 1 {
		s.demo.count("duplicates " + c.Session)
	}
	if x.r.URL.Query().Get("reject") == "after" {
		return refused()
	}
	return s.apiCharges(x, c)
}

func (s *Server) apiCharges(_ *exchange, c claims) reply {
	return jsonReply(http.StatusOK, Done, map[string]int{
		"charges": s.demo.counted("charges " + c.Session), "duplicates": s.demo.counted("duplicates " + c.Session),
	})
}

// apiSlow answers after a while: five seconds, or what for= says.
func (s *Server) apiSlow(x *exchange, c claims) reply {
	d, ok := period(x.r.URL.Query(), "for", 5*time.Second)
	if !ok {
		return jsonError(Malformed)
	}
	s.pause(x.r.Context(), d)
	return s.apiMe(x, c)
}

// apiRate lets limit requests of a session through per period; the others are
// to wait, and not to refresh.
func (s *Server) apiRate(x *exchange, c claims) reply {
	query := x.r.URL.Query()
	limit, okLimit := number(query, "limit", 2, 1<<20)
	per, okPer := period(query, "per", time.Second)
	if !okLimit || !okPer || per == 0 {
		return jsonError(Malformed)
	}
	now := s.now()
	if n, ends := s.demo.within("rate "+c.Session+x.r.URL.RawQuery, per, now); n > limit {
		rep := jsonError(RateLimited)
		rep.Header.Set("Retry-After", strconv.FormatInt(seconds(ends.Sub(now)+time.Second-1), 10))
		return rep
	}
	return s.apiMe(x, c)
}

// good says whether a token that was let in would be let in again.
func (s *Server) good(x *exchange, c claims) bool { return s.judgeAccess(x, c) == Done }
