package testserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// worded gives the answers of a handler of the token endpoint the words and
// the form that the profile's server would give them.
func (s *Server) worded(h handler) handler {
	return func(x *exchange) (*reply, func() reply) {
		refusal, commit := h(x)
		if refusal != nil {
			rep := s.word(x, *refusal)
			return &rep, nil
		}
		return nil, func() reply { return s.word(x, commit()) }
	}
}

// plain reports whether every answer is as RFC 6749 has it.
func (w Wire) plain() bool {
	return w.Body == BodyOAuth && w.Type == "" && len(w.Members) == 0 && len(w.Refusals) == 0
}

// word leaves alone what is neither a token answer nor an error.
func (s *Server) word(x *exchange, rep reply) reply {
	wire := s.current.Load().Wire
	if wire.plain() {
		return rep
	}
	var body map[string]any
	dec := json.NewDecoder(strings.NewReader(rep.Body))
	dec.UseNumber()
	if dec.Decode(&body) != nil {
		return rep
	}
	if _, ok := body["access_token"]; ok {
		return wire.dress(x, rep, wire.tokens(body, rep.tokens, s.now()))
	}
	if _, ok := body["error"]; ok {
		rep.Status, body = wire.refusal(rep.status(), rep.outcome, body)
		if wire.Body == BodyGoTrue {
			rep.Header.Set("X-Sb-Error-Code", fmt.Sprint(body["error_code"]))
		}
		rep = wire.dress(x, rep, body)
		rep.message = rep.Body
	}
	return rep
}

// tokens adds to a token answer what the profile's server says, too.
func (w Wire) tokens(body map[string]any, t *Tokens, now time.Time) map[string]any {
	if w.Type != "" && body["token_type"] == "Bearer" {
		body["token_type"] = w.Type
	}
	if w.Body == BodyOK {
		body["ok"] = true
	}
	if t == nil {
		return body
	}
	for _, name := range w.Members {
		if value := t.member(name, now); value != nil {
			body[name] = value
		}
	}
	return body
}

// member is the value of one of the members that RFC 6749 does not know; nil:
// there is none.
func (t Tokens) member(name string, now time.Time) any {
	switch name {
	case memberExpiresAt:
		return now.Add(t.ExpiresIn).Unix()
	case memberExtExpires:
		return seconds(t.ExpiresIn)
	case memberNotBefore:
		return 0
	case memberSessionState:
		return t.Session
	case memberUser:
		return map[string]string{"id": t.User, "aud": "authenticated", "role": ""}
	}
	if t.Refresh == "" {
		return nil
	}
	switch name {
	case memberRefreshExpires, memberRefreshExpiresGH, memberRefreshTimeout:
		return seconds(t.RefreshEnds)
	case memberGrantExpires:
		return seconds(t.SessionEnds)
	}
	return nil
}

// refusal words an error. What the profile says nothing of keeps its words.
func (w Wire) refusal(status int, o Outcome, body map[string]any) (int, map[string]any) {
	if r, ok := w.Refusals[o]; ok {
		if r.Status != 0 {
			status = r.Status
		}
		if r.Code != "" {
			body["error"] = r.Code
		}
		delete(body, "error_description")
		if r.Text != "" {
			body["error_description"] = r.Text
		}
	}
	switch w.Body {
	case BodyGoTrue:
		return status, map[string]any{"code": status, "error_code": body["error"], "msg": body["error_description"]}
	case BodyOK:
		return status, map[string]any{"ok": false, "error": body["error"]}
	}
	return status, body
}

// dress encodes an answer the way the profile's server does.
func (w Wire) dress(x *exchange, rep reply, body map[string]any) reply {
	if w.Body == BodyForm && !strings.Contains(x.r.Header.Get("Accept"), "application/json") {
		values := make(url.Values, len(body))
		for name, value := range body {
			values.Set(name, fmt.Sprint(value))
		}
		rep.Body = values.Encode()
		rep.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		return rep
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(body) == nil { // a map of what was just decoded
		rep.Body = strings.TrimSuffix(out.String(), "\n")
	}
	return rep
}

// atProfilePath serves the token endpoint where the profile's server has it.
func (s *Server) atProfilePath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wire := s.current.Load().Wire
		switch {
		case r.Method != http.MethodPost || r.URL.Path != wire.Path:
			next.ServeHTTP(w, r)
		case wire.Body == BodyGoTrue:
			s.goTrueToken(w, r)
		default:
			s.oauthToken(w, r)
		}
	})
}

// goTrueToken takes the grant from the query and the rest from JSON. There are
// no clients to authenticate: the sessions are the first client's.
func (s *Server) goTrueToken(w http.ResponseWriter, r *http.Request) {
	form, refusal := readGoTrue(w, r)
	s.token(&exchange{w: w, r: r}, form, refusal, func(g grant) handler {
		return func(x *exchange) (*reply, func() reply) { return g(x, s.clients.fixed[s.clients.first], form) }
	})
}

func readGoTrue(w http.ResponseWriter, r *http.Request) (url.Values, *reply) {
	var body struct {
		Refresh  string `json:"refresh_token"`
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	outcome := Malformed
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		outcome = TooLarge
	}
	media, _, errType := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || errType != nil || media != "application/json" || json.Unmarshal(data, &body) != nil {
		rep := oauthError(outcome)
		return nil, &rep
	}
	return url.Values{
		"grant_type": {r.URL.Query().Get("grant_type")}, "refresh_token": {body.Refresh},
		"username": {body.Email}, "password": {body.Password},
	}, nil
}
