package testserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Headers that the server adds to its answers.
const (
	headerOutcome = "X-Authtest-Outcome"
	headerNotice  = "X-Authtest"
	notice        = "not-for-production"
)

const maxForm = 1 << 20

// exchange is one request on its way through the stages.
type exchange struct {
	w        http.ResponseWriter
	r        *http.Request
	endpoint Endpoint

	presented  string      // the refresh token, at the token endpoint
	session    string      // its session, for the book
	redeemed   *redemption // set when the answer carries its child
	answered   bool        // an answer went to a client that was still there
	attempt    int         // at the API: the how-manieth request for this URI
	overlapped bool        // guarded by the ledger's mu
}

// ctx is what a store is asked with: a client that goes away must not turn
// "answer lost" into "nothing happened".
func (x *exchange) ctx() context.Context { return context.WithoutCancel(x.r.Context()) }

// abandoned reports that the client did not wait for the answer.
func (x *exchange) abandoned() bool { return x.r.Context().Err() != nil }

// reply is what a handler wants to answer.
type reply struct {
	Answer
	outcome Outcome
	message string // what the body must hold for the client to have heard it
}

// handler checks a request without changing anything. It either refuses with a
// reply, or returns what is to be done; the stages lie between the two.
type handler func(x *exchange) (refusal *reply, commit func() reply)

// run takes a request through its stages. The commit is given no context: a
// client that goes away must not turn "answer lost" into "nothing happened".
func (s *Server) run(x *exchange, h handler) {
	if !s.begin() {
		panic(http.ErrAbortHandler)
	}
	defer s.running.Done()
	defer s.arrive(x)()
	if replace := s.pass(x, BeforeHandler); replace != nil {
		s.send(x, reply{Answer: replace(Answer{})})
		return
	}
	if x.endpoint == Refresh {
		s.pause(x.r.Context(), s.tokenDelay)
	}
	refusal, commit := h(x)
	if refusal != nil {
		s.send(x, *refusal)
		return
	}
	if replace := s.pass(x, BeforeCommit); replace != nil {
		s.send(x, reply{Answer: replace(Answer{})})
		return
	}
	rep := commit()
	if replace := s.pass(x, AfterCommit); replace != nil {
		rep.Answer = replace(rep.Answer)
	}
	s.send(x, rep)
}

// arrive books the request, and returns what books its end.
func (s *Server) arrive(x *exchange) (leave func()) {
	s.inspect(x)
	switch x.endpoint {
	case API:
		x.attempt = s.ledger.attempt(x.r.Method + " " + x.r.URL.RequestURI())
	case Refresh:
		hash := digestOf(x.presented)
		x.session = s.sessionBehind(x, x.presented)
		s.ledger.arrive(x, hash, s.now())
		return func() { s.ledger.leave(x, s.now()) }
	}
	return func() {}
}

// sessionBehind names the session of a refresh token; empty if it is none.
func (s *Server) sessionBehind(x *exchange, token string) string {
	sess, _, err := s.store.sessionOf(x.ctx(), digestOf(token))
	if err != nil && !errors.Is(err, errNoSession) {
		s.failure(x, err)
	}
	return sess.id
}

// failure logs what went wrong inside the server, and is what the request
// comes to.
func (s *Server) failure(x *exchange, err error) Outcome {
	s.log.ErrorContext(x.r.Context(), "failure", "method", x.r.Method, "path", x.r.URL.Path, "error", err)
	return Failed
}

// unfound is what a look-up that failed comes to.
func (s *Server) unfound(x *exchange, err error) Outcome {
	if errors.Is(err, errNoSession) {
		return Unknown
	}
	return s.failure(x, err)
}

// inspect looks for tokens and headers where a good client puts none.
func (s *Server) inspect(x *exchange) {
	violate := func(rule string) { s.ledger.violate(rule, x.session, s.now()) }
	if x.r.Header.Get("Authorization") != "" && s.foreign(x.r) {
		violate(BearerAbroad)
	}
	if x.endpoint == Refresh && x.r.Header.Get("Idempotency-Key") != "" {
		violate(RefreshKeyed)
	}
	if token, ok := bearer(x.r); ok && s.sessionBehind(x, token) != "" {
		violate(RefreshMisplaced)
	}
	for _, values := range x.r.URL.Query() {
		for _, v := range values {
			if s.sessionBehind(x, v) != "" {
				violate(RefreshInURL)
			}
		}
	}
}

// send writes the answer and books what it told.
func (s *Server) send(x *exchange, rep reply) {
	if rep.outcome != "" {
		x.w.Header().Set(headerOutcome, string(rep.outcome))
	}
	// Asked before the write: a client may well hang up once it has its answer.
	gone := x.abandoned()
	whole := rep.write(x.w) == nil && !gone
	x.answered = whole
	if x.endpoint == API && rep.Status == http.StatusUnauthorized {
		s.ledger.count(func(st *Stats) { st.APIUnauthorized++ })
	}
	heard := whole && strings.Contains(rep.Body, rep.message)
	if heard && x.redeemed != nil {
		s.ledger.deliver(x.redeemed.hash)
	}
	if heard && x.presented != "" && rep.outcome.terminal() {
		s.ledger.refuse(digestOf(x.presented), s.now())
	}
	s.log.DebugContext(x.r.Context(), "exchange", "method", x.r.Method, "path", x.r.URL.Path,
		"endpoint", string(x.endpoint), "session", x.session, "status", rep.status(), "outcome", string(rep.outcome))
}

var errCut = errors.New("testserver: answer cut short")

// write sends the answer. A Content-Length that promises more than the body
// holds makes net/http cut the connection; that is an error here, too.
func (a Answer) write(w http.ResponseWriter) error {
	header := w.Header()
	for name, values := range a.Header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	length := int64(len(a.Body)) + a.Pad
	promised := header.Get("Content-Length")
	if promised == "" && a.Pad == 0 && a.Status != http.StatusNoContent {
		header.Set("Content-Length", strconv.FormatInt(length, 10))
	}
	w.WriteHeader(a.status())
	if _, err := io.WriteString(w, a.Body); err != nil {
		return err
	}
	blank := bytes.Repeat([]byte(" "), int(min(a.Pad, 32<<10)))
	for left := a.Pad; left > 0; left -= int64(len(blank)) {
		if _, err := w.Write(blank[:min(left, int64(len(blank)))]); err != nil {
			return err
		}
	}
	if promised != "" && promised != strconv.FormatInt(length, 10) {
		return errCut
	}
	if err := http.NewResponseController(w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

func (a Answer) status() int {
	if a.Status == 0 {
		return http.StatusOK
	}
	return a.Status
}

// jsonReply encodes body. Tokens must not be cached: RFC 6749 5.1.
func jsonReply(status int, o Outcome, body any) reply {
	encoded, err := json.Marshal(body)
	if err != nil { // a bug: every body here is a struct or map of plain values
		status, encoded = http.StatusInternalServerError, []byte("{}")
	}
	return reply{outcome: o, message: string(encoded), Answer: Answer{Status: status, Body: string(encoded), Header: http.Header{
		"Content-Type":  {"application/json"},
		"Cache-Control": {"no-store"},
		"Pragma":        {"no-cache"},
	}}}
}

func emptyReply(status int, o Outcome) reply {
	return reply{outcome: o, Answer: Answer{Status: status, Header: http.Header{"Cache-Control": {"no-store"}}}}
}

func refuse(rep reply) (*reply, func() reply) { return &rep, nil }

// bearer reads the token of RFC 6750 2.1.
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
}

// failed logs what broke inside and answers with nothing of it.
func (s *Server) failed(x *exchange, err error) *reply {
	s.log.ErrorContext(x.r.Context(), "request failed", "method", x.r.Method, "path", x.r.URL.Path,
		"endpoint", string(x.endpoint), "error", err.Error())
	rep := oauthError(Failed)
	return &rep
}
