package testserver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// authorize checks the access token of a request (RFC 6750 2.1, RFC 9068 4).
func (s *Server) authorize(x *exchange) (claims, *reply) {
	token, scheme, ok := credentialsOf(x.r)
	if !ok {
		// RFC 6750 3.1: no error code for a request without credentials.
		rep := challenge(AccessMissing, "")
		return claims{}, &rep
	}
	c, err := s.access(x, token)
	outcome := AccessInvalid
	if err == nil {
		outcome = s.judgeAccess(x, c)
	}
	if outcome == Done {
		outcome = s.confirm(x, token, scheme, c.bound())
	}
	if outcome == Done {
		return c, nil
	}
	rep := x.unauthorized(outcome, scheme == "DPoP" || c.bound().JKT != "")
	return claims{}, &rep
}

// accessRead is what an access token was found to say.
type accessRead struct {
	token  string
	claims claims
	err    error
}

// access reads the access token of a request, once: the signature is what
// costs, and both the record and the API want to know whose it is. Neither its
// times nor its revocation are judged here.
func (s *Server) access(x *exchange, token string) (claims, error) {
	if x.access == nil || x.access.token != token {
		c, err := s.mint.readAccess(token)
		x.access = &accessRead{token, c, err}
	}
	return x.access.claims, x.access.err
}

// challenge is the refusal of a protected resource: RFC 6750 3.
func challenge(o Outcome, params string) reply {
	rep := jsonError(o)
	rep.Header.Set("WWW-Authenticate", `Bearer realm="authtest"`+params)
	return rep
}

// judgeAccess says whether a genuine access token is still good. Session,
// user and the token's own record are asked on each request, so that every
// kind of revocation works at once.
func (s *Server) judgeAccess(x *exchange, c claims) Outcome {
	outcome, access := Done, s.store.view
	if s.rules().Replay.CloseOnAccess {
		access = s.store.update // the first use is a fact of its own
	}
	err := access(x.ctx(), c.Session, func(t *tx) error {
		now := s.now()
		record, err := t.accessToken(c.ID)
		known := err == nil
		switch {
		case err != nil && !errors.Is(err, errNoToken):
			return err
		case known && !now.Before(record.expires), !known && now.After(c.ExpiresAt.Time):
			outcome = AccessExpired
		case !known, !record.revoked.IsZero(), s.rules().Replay.kills(t.session), t.disabled(), t.outdated():
			outcome = AccessInvalid
		case s.lagging(record.issued):
			outcome = AccessInvalid
		case record.used.IsZero():
			record.used = now
			t.putAccess(record, now)
		}
		return nil
	})
	switch {
	case errors.Is(err, errNoSession):
		return AccessInvalid
	case err != nil:
		return s.failure(x, err)
	}
	return outcome
}

// protect is a handler of the API for whoever has a good access token.
func (s *Server) protect(h func(*exchange, claims) reply) handler {
	return func(x *exchange) (*reply, func() reply) {
		c, refusal := s.authorize(x)
		if refusal != nil {
			return refusal, nil
		}
		return nil, func() reply { return h(x, c) }
	}
}

func (s *Server) apiMe(_ *exchange, c claims) reply {
	return jsonReply(http.StatusOK, Done, struct {
		Subject string    `json:"sub"`
		Session string    `json:"sid"`
		Client  string    `json:"client_id"`
		Scope   string    `json:"scope,omitempty"`
		Expires time.Time `json:"exp"`
	}{c.Subject, c.Session, c.Client, c.Scope, c.ExpiresAt.UTC()})
}

// echo tells what arrived, so that a test can prove that a body was sent again
// whole, and how often.
type echo struct {
	Method        string              `json:"method"`
	Path          string              `json:"path"`
	Host          string              `json:"host"`
	Header        map[string][]string `json:"header"` // without credentials
	Authorization authorization       `json:"authorization"`
	BodySHA256    string              `json:"bodySHA256"`
	BodyLength    int64               `json:"bodyLength"`
	Attempt       int                 `json:"attempt"`
}

type authorization struct {
	Present bool   `json:"present"`
	Scheme  string `json:"scheme"`
}

// apiEcho asks for an access token, except where the request was meant for
// another host: a token that came along there is what the test looks for.
func (s *Server) apiEcho(x *exchange) (*reply, func() reply) {
	if s.foreign(x.r) {
		return nil, func() reply { return s.echo(x, claims{}) }
	}
	return s.protect(s.echo)(x)
}

func (s *Server) echo(x *exchange, _ claims) reply {
	sum := sha256.New()
	n, err := io.Copy(sum, x.r.Body)
	if err != nil {
		return jsonError(Malformed)
	}
	header := x.r.Header.Clone()
	for _, secret := range []string{"Authorization", "Proxy-Authorization", "Cookie", "Dpop"} {
		header.Del(secret)
	}
	scheme, _, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	return jsonReply(http.StatusOK, Done, echo{
		Method: x.r.Method, Path: x.r.URL.Path, Host: x.r.Host, Header: header,
		Authorization: authorization{Present: x.r.Header.Get("Authorization") != "", Scheme: scheme},
		BodySHA256:    hex.EncodeToString(sum.Sum(nil)), BodyLength: n, Attempt: x.attempt,
	})
}

// api401 refuses even a good token: a client must not renew for ever.
func (s *Server) api401(*exchange) (*reply, func() reply) {
	return nil, func() reply {
		return challenge(RefusedByRequest, `, error="invalid_token", error_description="Invalid token"`)
	}
}

// apiScope wants a scope. A refresh cannot widen one, so its 403 must not
// start a refresh (RFC 6750 3.1).
func (s *Server) apiScope(x *exchange, c claims) reply {
	if want := x.r.PathValue("scope"); !within(want, c.Scope) {
		return challenge(ScopeMissing, fmt.Sprintf(`, error="insufficient_scope", scope=%q`, want))
	}
	return jsonReply(http.StatusOK, Done, map[string]string{"scope": c.Scope})
}
