package testserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
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
	dialect  Dialect

	presented string // the refresh token, at the token endpoint
	session   string // its session, for the book
	// As the form or the authentication of the client has them.
	client, user, device string

	access     *accessRead // its access token, once it was read
	caller     string      // the client that it was proven to be from
	redeemed   *redemption // set when the answer carries its child
	answered   bool        // an answer went to a client that was still there
	attempt    int         // at the API: the how-manieth request for this URI
	overlapped bool        // guarded by the ledger's mu

	confirmation confirmation // what the request proved to hold: its access token is bound to it
	holder       confirmation // what its session is bound to
	reason       string       // why its DPoP proof was refused

	step    *Rule    // of a script, that this request is to meet
	twice   bool     // the request is to be carried out once more
	spoiled bool     // an edit made the answer hard to read
	faults  []string // that it met
	seen    Exchange // for the book of exchanges
}

// abandoned reports that the client did not wait for the answer.
func (x *exchange) abandoned() bool { return x.r.Context().Err() != nil }

// ctx is the request's context without its end: what has begun is finished,
// whether or not the client waits for it.
func (x *exchange) ctx() context.Context { return context.WithoutCancel(x.r.Context()) }

// reply is what a handler wants to answer.
type reply struct {
	Answer
	outcome Outcome
	message string                // what the body must hold for the client to have heard it
	tokens  *Tokens               // that the body holds
	stream  func(*exchange) error // writes the body after the header, instead of Body
}

// handler checks a request without changing anything. It either refuses with a
// reply, or returns what is to be done; the stages lie between the two.
type handler func(x *exchange) (refusal *reply, commit func() reply)

// run takes a request through its stages.
func (s *Server) run(x *exchange, h handler) {
	if !s.begin() {
		panic(http.ErrAbortHandler)
	}
	defer s.running.Done()
	x.introduce()
	x.step = s.faults.step(x.endpoint)
	s.open(x)
	defer s.record(x)
	defer func() { s.faults.passed(x.endpoint, x.seen.Number) }()
	defer s.arrive(x)()
	rep := s.handle(x, h)
	if replace := s.pass(x, Rewriting); replace != nil {
		rep.Answer, rep.stream = replace(rep.Answer), nil
	}
	s.send(x, rep)
}

// handle does what the request asks for. The commit is given no context: a
// client that goes away must not turn "answer lost" into "nothing happened".
func (s *Server) handle(x *exchange, h handler) reply {
	if replace := s.pass(x, BeforeHandler); replace != nil {
		return reply{Answer: replace(Answer{})}
	}
	if x.twice {
		s.carryOutOnce(x, h)
	}
	if refusal := s.limit(x); refusal != nil {
		return *refusal
	}
	if x.endpoint == Refresh {
		s.pause(x.r.Context(), s.tokenDelay)
	}
	refusal, commit := h(x)
	if refusal != nil {
		return *refusal
	}
	if replace := s.pass(x, BeforeCommit); replace != nil {
		return reply{Answer: replace(Answer{})}
	}
	rep := commit()
	if replace := s.pass(x, AfterCommit); replace != nil {
		rep.Answer, rep.stream = replace(rep.Answer), nil
	}
	return rep
}

// carryOutOnce is the first of two deliveries of one request: nobody reads its
// answer. The body is kept for the second.
func (s *Server) carryOutOnce(x *exchange, h handler) {
	body, err := io.ReadAll(x.r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	x.r.Body = io.NopCloser(bytes.NewReader(body))
	if x.endpoint == Refresh {
		s.ledger.again(digestOf(x.presented))
	}
	if refusal, commit := h(x); refusal == nil {
		commit()
	}
	x.redeemed = nil
	x.r.Body = io.NopCloser(bytes.NewReader(body))
}

// arrive books the request, and returns what books its end.
func (s *Server) arrive(x *exchange) (leave func()) {
	var sess session
	if x.presented != "" {
		sess = s.sessionBehind(x, x.presented)
		x.session = sess.id
	}
	s.inspect(x)
	switch x.endpoint {
	case API:
		x.attempt = s.ledger.attempt(x.r.Method + " " + x.r.URL.RequestURI())
	case Refresh:
		first := earlier(sess.created.Add(s.policy.AccessTTL), sess.absolute)
		s.ledger.arrive(x, digestOf(x.presented), first, s.now())
		return func() { s.ledger.leave(x, s.now()) }
	}
	return func() {}
}

// sessionBehind is the session of a refresh token; the zero one if it is none.
func (s *Server) sessionBehind(x *exchange, token string) session {
	sess, _, err := s.store.sessionOf(x.ctx(), digestOf(token))
	if err != nil && !errors.Is(err, errNoSession) {
		s.failure(x, err)
	}
	return sess
}

// failure logs what went wrong inside the server, and is what the request
// comes to. The log has the pattern of the route and never the path: a client
// may have put a token into it.
func (s *Server) failure(x *exchange, err error) Outcome {
	s.log.ErrorContext(x.r.Context(), "failure", "route", x.r.Pattern, "error", err)
	return Failed
}

// unfound is what a look-up that failed comes to.
func (s *Server) unfound(x *exchange, err error) Outcome {
	if errors.Is(err, errNoSession) {
		return Unknown
	}
	return s.failure(x, err)
}

// send writes the answer and books what it told.
func (s *Server) send(x *exchange, rep reply) {
	x.seen.Status, x.seen.Outcome = rep.status(), rep.outcome
	if rep.outcome != "" {
		x.w.Header().Set(headerOutcome, string(rep.outcome))
	}
	if x.endpoint == API && rep.Status == http.StatusUnauthorized {
		s.ledger.count(func(st *Stats) { st.APIUnauthorized++ })
	}
	// Asked and booked before the write: a client may hang up or come back as
	// soon as it has its answer. What then was not sent is struck out again.
	gone := x.abandoned()
	heard := !gone && !x.spoiled && rep.tells()
	if heard && x.redeemed != nil {
		now := s.now()
		s.ledger.deliver(x, digestOf(rep.message), earlier(now.Add(s.policy.AccessTTL), x.redeemed.sess.absolute), now)
	}
	defer func() {
		if !x.answered {
			s.ledger.undeliver(x)
		}
	}()
	s.ledger.answering(x)
	x.answered = s.deliver(x, rep) == nil && !gone
	heard = heard && x.answered
	if heard && x.presented != "" && rep.outcome.terminal() {
		s.ledger.refuse(digestOf(x.presented), s.now())
	}
	s.report(x, rep)
	s.judge(x, rep.outcome)
	s.log.DebugContext(x.r.Context(), "exchange", "route", x.r.Pattern,
		"endpoint", string(x.endpoint), "session", x.session, "status", rep.status(), "outcome", string(rep.outcome))
}

func (s *Server) deliver(x *exchange, rep reply) error {
	if rep.stream == nil {
		return s.write(x, rep.Answer)
	}
	maps.Copy(x.w.Header(), rep.Header)
	return rep.stream(x)
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

// bearer reads the access token of a request, bound to a key or not.
func bearer(r *http.Request) (token string, ok bool) {
	token, _, ok = credentialsOf(r)
	return token, ok
}

// failed logs what broke inside and answers with nothing of it.
func (s *Server) failed(x *exchange, err error) *reply {
	s.log.ErrorContext(x.r.Context(), "request failed", "route", x.r.Pattern,
		"endpoint", string(x.endpoint), "error", err.Error())
	rep := oauthError(Failed)
	return &rep
}
