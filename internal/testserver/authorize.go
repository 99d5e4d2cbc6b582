package testserver

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Pushed requests (RFC 9126): where they are kept, how their URIs begin, and
// how long they wait for their browser.
const (
	kindPushed   = "pushed"
	pushedPrefix = "urn:ietf:params:oauth:request_uri:"
	pushedLife   = time.Minute
)

// resolve checks an authorization request, pushed or not. spent is the id of
// the pushed request behind it, if any, to be used up with spend.
func (s *Server) resolve(ctx context.Context, params url.Values) (a authRequest, spent string, p *oauthProblem, err error) {
	if len(params["client_id"]) > 1 || len(params["request_uri"]) > 1 {
		return a, "", invalidRequest("a parameter was given twice"), nil
	}
	client, err := s.client(ctx, params.Get("client_id"))
	if err != nil {
		return a, "", nil, err
	}
	if client == nil {
		return a, "", invalidRequest("client_id is not known"), nil
	}
	uri := params.Get("request_uri")
	if uri == "" {
		a, p = s.readAuthorization(client, params)
		if p == nil && client.PushRequired {
			p = invalidRequest("this client must push its requests")
		}
		return a, "", p, nil
	}
	// RFC 9126 4: nothing but the pushed parameters counts.
	id, ok := strings.CutPrefix(uri, pushedPrefix)
	if !ok {
		return a, "", problem("request_uri_not_supported", "only pushed requests have a request_uri here"), nil
	}
	pushed, err := readDocument[authRequest](ctx, s.documents, s.now(), kindPushed, id)
	if err != nil {
		return a, "", nil, err
	}
	if pushed == nil || pushed.Client != client.ID {
		return a, "", problem("invalid_request_uri", "request_uri is unknown, used or expired"), nil
	}
	pushed.Asked = s.now()
	return *pushed, id, nil, nil
}

// spend uses a pushed request up, and reports whether it was still there.
func (s *Server) spend(ctx context.Context, id string) (bool, error) {
	if id == "" {
		return true, nil
	}
	a, err := takeDocument[authRequest](ctx, s.documents, s.now(), kindPushed, id)
	return a != nil, err
}

// oauthAuthorize is GET and POST /oauth/authorize (RFC 6749 3.1).
func (s *Server) oauthAuthorize(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, endpoint: Authorize, client: r.URL.Query().Get("client_id")}
	s.run(x, func(x *exchange) (*reply, func() reply) {
		params, ok := queryOrForm(w, r)
		if !ok {
			return refuse(s.problemPage(x, invalidRequest("the request cannot be read")))
		}
		return s.askUser(x, params)
	})
}

// queryOrForm reads the parameters of an endpoint that a browser visits.
func queryOrForm(w http.ResponseWriter, r *http.Request) (params url.Values, ok bool) {
	if r.Method == http.MethodPost {
		form, refusal := readForm(w, r)
		return form, refusal == nil
	}
	params, err := url.ParseQuery(r.URL.RawQuery)
	return params, err == nil
}

func (s *Server) askUser(x *exchange, params url.Values) (*reply, func() reply) {
	a, spent, p, err := s.resolve(x.r.Context(), params)
	switch {
	case err != nil:
		return refuse(s.failedPage(x, err))
	case p != nil && a.Redirect == "": // RFC 6749 4.1.2.1: never to a place that is not the client's
		return refuse(s.problemPage(x, p))
	case p != nil:
		return refuse(redirectReply(Refused, s.refusal(a, p)))
	}
	who, err := s.present(x.r, a)
	if err != nil {
		return refuse(s.failedPage(x, err))
	}
	p, direct, err := s.mayAnswer(x.r.Context(), a, who)
	switch {
	case err != nil:
		return refuse(s.failedPage(x, err))
	case p != nil:
		return refuse(redirectReply(Refused, s.refusal(a, p)))
	}
	ctx := x.ctx()
	return nil, func() reply {
		if ok, err := s.spend(ctx, spent); err != nil {
			return s.failedPage(x, err)
		} else if !ok {
			return s.problemPage(x, problem("invalid_request_uri", "request_uri is unknown, used or expired"))
		}
		return s.answerOrAsk(ctx, x, a, who, direct)
	}
}

// present says who is there: the user of AutoApprove, or who signed in in this
// browser.
func (s *Server) present(r *http.Request, a authRequest) (*authentication, error) {
	if s.approver != "" {
		return &authentication{User: s.approver, Time: s.now(), ACR: a.reachable()}, nil
	}
	return s.signedIn(r)
}

// mayAnswer reports whether the request can be answered without a page: the
// user is there and said yes before. With prompt none it must be, and what is
// missing is the answer (OpenID Connect Core 3.1.2.6).
func (s *Server) mayAnswer(ctx context.Context, a authRequest, who *authentication) (p *oauthProblem, direct bool, err error) {
	silent := slices.Contains(a.Prompt, "none")
	if !a.satisfied(who, s.now()) {
		if silent {
			p = problem("login_required", "the user has to sign in")
		}
		return p, false, nil
	}
	if s.approver != "" {
		return nil, true, nil
	}
	agreed, err := s.consented(ctx, who.User, a)
	if silent && !agreed {
		p = problem("consent_required", "the user has not agreed yet")
	}
	return p, agreed && !slices.Contains(a.Prompt, "consent"), err
}

func (s *Server) answerOrAsk(ctx context.Context, x *exchange, a authRequest, who *authentication, direct bool) reply {
	if direct {
		location, err := s.issueCode(ctx, a, *who)
		if err != nil {
			return s.failedPage(x, err)
		}
		return redirectReply(CodeIssued, location)
	}
	id, err := s.await(ctx, a)
	if err != nil {
		return s.failedPage(x, err)
	}
	return redirectReply(UserAsked, s.path+interactionPath+"?request="+url.QueryEscape(id))
}

// oauthPush is RFC 9126 2: the client proves itself, and the server checks the
// request, before a browser is involved.
func (s *Server) oauthPush(w http.ResponseWriter, r *http.Request) {
	s.clientForm(w, r, Push, func(x *exchange, client *registration, form url.Values) (*reply, func() reply) {
		if form.Get("request_uri") != "" { // RFC 9126 2.1
			return refuse(problemReply(http.StatusBadRequest, Refused, invalidRequest("request_uri cannot be pushed")))
		}
		a, p := s.readAuthorization(client, form)
		if p != nil {
			return refuse(problemReply(http.StatusBadRequest, Refused, p))
		}
		if outcome := s.bindCode(x, &a); outcome != Done {
			return refuse(x.refusal(outcome))
		}
		ctx := x.ctx()
		return nil, func() reply {
			id, now := rand.Text(), s.now()
			if _, err := putDocument(ctx, s.documents, now, kindPushed, id, a, now.Add(pushedLife)); err != nil {
				return *s.failed(x, err)
			}
			return jsonReply(http.StatusCreated, Pushed, struct {
				URI     string `json:"request_uri"`
				Expires int64  `json:"expires_in"`
			}{pushedPrefix + id, seconds(pushedLife)})
		}
	})
}

// bindCode binds the code to the key of a proof that came with the pushed
// request, which must not contradict dpop_jkt (RFC 9449 10.1).
func (s *Server) bindCode(x *exchange, a *authRequest) Outcome {
	if len(x.r.Header.Values("Dpop")) == 0 {
		return Done
	}
	thumbprint, err := s.checkProof(x, atAuthorization, "", a.JKT)
	if err != nil {
		return s.proofOutcome(x, err)
	}
	a.JKT = thumbprint
	return Done
}

// clientForm serves an endpoint that takes a form from a client that proves
// itself.
func (s *Server) clientForm(w http.ResponseWriter, r *http.Request, e Endpoint, g grant) {
	x := &exchange{w: w, r: r, endpoint: e}
	form, refusal := readForm(w, r)
	x.client = claimedBy(r, form)
	s.run(x, func(x *exchange) (*reply, func() reply) {
		if refusal != nil {
			return refusal, nil
		}
		return s.asClient(form, g)(x)
	})
}

// problemReply is an error of RFC 6749 5.2.
func problemReply(status int, o Outcome, p *oauthProblem) reply {
	return jsonReply(status, o, map[string]string{"error": p.code, "error_description": p.description})
}
