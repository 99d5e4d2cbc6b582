package testserver

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
)

// credentials is every body of the JSON dialect in one.
type credentials struct {
	Username     string `json:"username"`
	Password     string `json:"password"`
	Device       string `json:"device"`
	OTP          string `json:"otp"`
	RefreshToken string `json:"refreshToken"`
	Scope        string `json:"scope"`        // of a refresh: less than was granted
	ClientID     string `json:"clientId"`     // who asks; empty: the first client
	ClientSecret string `json:"clientSecret"` // what proves it
}

// jsonHandler is a handler of the first-party dialects.
type jsonHandler func(*exchange, credentials) (*reply, func() reply)

// jsonEndpoint reads the body before the stages: the book and the faults want
// to know the refresh token of a request that they then lose. token says where
// that is.
func (s *Server) jsonEndpoint(e Endpoint, h jsonHandler, token func(*http.Request, credentials) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{w: w, r: r, endpoint: e, dialect: JSON, client: s.clients.first}
		body, refusal := readJSON(w, r)
		x.user, x.device = body.Username, body.Device
		if e == Refresh || e == Revoke {
			x.presented = token(r, body)
		}
		s.run(x, func(x *exchange) (*reply, func() reply) {
			if refusal != nil {
				return refusal, nil
			}
			return h(x, body)
		})
	}
}

func readJSON(w http.ResponseWriter, r *http.Request) (credentials, *reply) {
	var body credentials
	refused := func(o Outcome) (credentials, *reply) {
		rep := jsonError(o)
		return credentials{}, &rep
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return refused(TooLarge)
	}
	if err == nil && len(data) == 0 {
		return body, nil
	}
	media, _, errType := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if errType != nil || media != "application/json" {
		return refused(WrongType)
	}
	if err != nil || json.Unmarshal(data, &body) != nil {
		return refused(Malformed)
	}
	return body, nil
}

// jsonClient judges the client that a body may name. The company's own
// programs need not: one that names none is the first client.
func (s *Server) jsonClient(x *exchange, body credentials) Outcome {
	if body.ClientID == "" {
		return Done
	}
	client, err := s.client(x.ctx(), body.ClientID)
	switch {
	case err != nil:
		return s.failure(x, err)
	case client == nil, !client.public() && !client.knows(body.ClientSecret):
		return ClientRefused
	}
	return Done
}

func (s *Server) jsonLogin(x *exchange, body credentials) (*reply, func() reply) {
	if outcome := s.jsonClient(x, body); outcome != Done {
		return refuse(jsonError(outcome))
	}
	if outcome := s.signIn(x, body.Username, body.Password); outcome != LoggedIn {
		return refuse(jsonError(outcome))
	}
	if outcome := s.bindFirst(x, session{}); outcome != Done {
		return refuse(x.refusal(outcome))
	}
	return nil, func() reply {
		tokens, err := s.enterBy(x, session{
			user: body.Username, client: cmp.Or(body.ClientID, s.clients.first), device: deviceOf(x, body.Device), acr: acrOf(body.OTP),
		}, start{})
		if err != nil {
			return jsonError(s.failure(x, err))
		}
		s.ledger.count(func(st *Stats) { st.Logins++ })
		return jsonTokens(tokens, LoggedIn)
	}
}

// jsonRefresh never looks at the Authorization header: a program that adds its
// stale access token to every request must still be able to renew it.
func (s *Server) jsonRefresh(x *exchange, body credentials) (*reply, func() reply) {
	if outcome := s.jsonClient(x, body); outcome != Done {
		return refuse(jsonError(outcome))
	}
	if x.presented == "" {
		return refuse(jsonError(MissingToken))
	}
	r, err := s.find(x.ctx(), x.presented)
	if err != nil {
		return refuse(jsonError(s.unfound(x, err)))
	}
	if body.ClientID != "" && body.ClientID != r.sess.client {
		return refuse(jsonError(WrongClient))
	}
	if outcome := s.bindFirst(x, r.sess); outcome != Done {
		return refuse(x.refusal(outcome))
	}
	r.cnf = x.confirmation
	if body.Scope != "" {
		if !within(body.Scope, r.sess.scope) {
			return refuse(jsonError(WiderScope))
		}
		r.scope = body.Scope
	}
	return nil, func() reply { return s.settle(x, r, jsonTokens, jsonError) }
}

// jsonTokens leaves all but the access token out where there is nothing new to
// keep: the simplest answer that first-party servers give.
func jsonTokens(t Tokens, o Outcome) reply {
	if t.Refresh == "" {
		return jsonReply(http.StatusOK, o, map[string]string{"accessToken": t.Access})
	}
	rep := jsonReply(http.StatusOK, o, struct {
		Access  string `json:"accessToken"`
		Refresh string `json:"refreshToken"`
		Expires int64  `json:"expiresIn"`
	}{t.Access, t.Refresh, seconds(t.ExpiresIn)})
	rep.message, rep.tokens = t.Refresh, &t
	return rep
}

// jsonLogout ends the session of the refresh token in the body or, failing
// that, of the access token, which may have expired: nobody should have to
// refresh in order to leave. Doing it again is no error.
func (s *Server) jsonLogout(x *exchange, _ credentials) (*reply, func() reply) {
	var id string
	token, hasBearer := bearer(x.r)
	switch {
	case x.presented != "":
		id = s.sessionBehind(x, x.presented).id
	case hasBearer:
		if c, err := s.mint.readAccess(token); err == nil {
			id = c.Session
		}
	default:
		return refuse(jsonError(MissingToken))
	}
	return nil, func() reply {
		if err := s.revoke(x.ctx(), id, "logout"); err != nil && !errors.Is(err, errNoSession) {
			return jsonError(s.failure(x, err))
		}
		return emptyReply(http.StatusNoContent, LoggedOut)
	}
}

// jsonLogoutAll ends every session of the user.
func (s *Server) jsonLogoutAll(x *exchange, _ credentials) (*reply, func() reply) {
	c, refusal := s.authorizeSensitive(x)
	if refusal != nil {
		return refusal, nil
	}
	sess, err := s.store.session(x.ctx(), c.Session)
	if err != nil {
		return refuse(jsonError(s.failure(x, err)))
	}
	if sess.user == "" {
		return refuse(jsonError(NotFound))
	}
	return nil, func() reply {
		if err := s.revokeAll(x.ctx(), sess.user, "logout-all"); err != nil {
			return jsonError(s.failure(x, err))
		}
		return emptyReply(http.StatusNoContent, LoggedOut)
	}
}

// device is one row of GET /sessions.
type device struct {
	ID         string    `json:"id"`
	Device     string    `json:"device"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt"`
	ExpiresAt  time.Time `json:"expiresAt"`
	Current    bool      `json:"current"`
}

func (s *Server) listSessions(x *exchange) (*reply, func() reply) {
	c, refusal := s.authorize(x)
	if refusal != nil {
		return refusal, nil
	}
	return nil, func() reply {
		now, rows := s.now(), []device{}
		all, err := s.sessionsOf(x.ctx(), c.Subject)
		if err != nil {
			return jsonError(s.failure(x, err))
		}
		for _, sess := range all {
			if sess.Ended == "" && now.Before(sess.ExpiresAt) {
				rows = append(rows, device{
					ID: sess.ID, Device: sess.Device, Current: sess.ID == c.Session,
					CreatedAt: sess.CreatedAt, LastUsedAt: sess.LastUsedAt, ExpiresAt: sess.ExpiresAt,
				})
			}
		}
		return jsonReply(http.StatusOK, Done, rows)
	}
}

// deleteSession ends one of the user's own sessions. Somebody else's does not
// exist as far as this user can tell.
func (s *Server) deleteSession(x *exchange) (*reply, func() reply) {
	c, refusal := s.authorizeSensitive(x)
	if refusal != nil {
		return refusal, nil
	}
	sess, err := s.store.session(x.ctx(), x.r.PathValue("id"))
	if err != nil && !errors.Is(err, errNoSession) {
		return refuse(jsonError(s.failure(x, err)))
	}
	if err != nil || sess.user == "" || sess.user != c.Subject {
		return refuse(jsonError(NotFound))
	}
	return nil, func() reply {
		if err := s.revoke(x.ctx(), sess.id, "device"); err != nil {
			return jsonError(s.failure(x, err))
		}
		return emptyReply(http.StatusNoContent, LoggedOut)
	}
}
