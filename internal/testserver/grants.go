package testserver

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The words of RFC 8693.
const (
	grantExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
)

// grantAssertion is RFC 7523 2.1: whoever is trusted to vouch for users gets an
// access token for one. There is no refresh token: the assertion that got this
// one gets the next (RFC 7521 4.1).
func (s *Server) grantAssertion(x *exchange, client *registration, form url.Values) (*reply, func() reply) {
	assertion := form.Get("assertion")
	if assertion == "" {
		return refuse(oauthError(Malformed))
	}
	subject, err := s.vouchedFor(x, assertion)
	switch {
	case errors.Is(err, errReplayed):
		s.suspect(x, AssertionReplayed)
		return refuse(oauthError(AssertionInvalid))
	case errors.Is(err, errAssertion), errors.Is(err, errUnknownUser):
		return refuse(oauthError(AssertionInvalid))
	case errors.Is(err, errDisabled):
		return refuse(oauthError(UserDisabled))
	case err != nil:
		return refuse(oauthError(s.failure(x, err)))
	}
	return nil, func() reply {
		tokens, err := s.enterBy(x, session{
			user: subject, client: client.ID, device: deviceOf(x, ""), scope: form.Get("scope"),
		}, start{bare: true})
		if err != nil {
			return oauthError(s.failure(x, err))
		}
		return oauthTokens(tokens, Minted)
	}
}

var errDisabled = errors.New("testserver: the user may not sign in")

// vouchedFor checks an assertion and returns the user that it is about.
func (s *Server) vouchedFor(x *exchange, assertion string) (string, error) {
	issuer, ok := peekAssertion(assertion)
	if !ok {
		return "", errAssertion
	}
	keys, err := s.keysOf(x, issuer)
	if err != nil {
		return "", err
	}
	subject, err := s.checkAssertion(x.ctx(), assertion, keys, issuer, "")
	if err != nil {
		return "", err
	}
	u, err := s.store.user(x.ctx(), subject)
	if err == nil && !u.disabled.IsZero() {
		err = errDisabled
	}
	return subject, err
}

// keysOf are those of a configured issuer, or of a client that vouches itself.
func (s *Server) keysOf(x *exchange, issuer string) ([]verifyKey, error) {
	if i := slices.IndexFunc(s.issuers, func(i AssertionIssuer) bool { return i.Issuer == issuer }); i >= 0 {
		return parseJWKS(s.issuers[i].JWKS)
	}
	client, err := s.client(x.ctx(), issuer)
	if err != nil {
		return nil, err
	}
	if client == nil {
		return nil, errAssertion
	}
	keys, err := parseJWKS(client.Keys)
	if err != nil {
		return nil, errAssertion
	}
	return keys, nil
}

// actor is who acts for the subject: RFC 8693 4.1. An actor that was acted for
// holds the one before.
type actor struct {
	Subject string `json:"sub"`
	Client  string `json:"client_id,omitempty"`
	Actor   *actor `json:"act,omitempty"`
}

// exchangeRequest is a checked request of RFC 8693 2.1.
type exchangeRequest struct {
	subject claims
	actor   *actor
	scope   string
	issued  string // the issued_token_type
}

// grantTokenExchange is RFC 8693 for access tokens of this server. The token
// it gives belongs to the session of its subject and dies with it.
func (s *Server) grantTokenExchange(x *exchange, client *registration, form url.Values) (*reply, func() reply) {
	if client.public() {
		return refuse(oauthError(GrantRefused))
	}
	request, outcome := s.readExchange(x, form)
	if outcome != Done {
		return refuse(oauthError(outcome))
	}
	return nil, func() reply {
		tokens, err := s.exchange(x, client, request)
		if err != nil {
			return oauthError(s.failure(x, err))
		}
		return jsonReply(http.StatusOK, Exchanged, struct {
			Access  string `json:"access_token"`
			Issued  string `json:"issued_token_type"` // REQUIRED: RFC 8693 2.2.1
			Type    string `json:"token_type"`
			Expires int64  `json:"expires_in"`
			Scope   string `json:"scope,omitempty"`
		}{tokens.Access, request.issued, tokens.Type, seconds(tokens.ExpiresIn), tokens.Scope})
	}
}

func (s *Server) readExchange(x *exchange, form url.Values) (exchangeRequest, Outcome) {
	r := exchangeRequest{issued: typeAccessToken}
	if asked := form.Get("requested_token_type"); asked != "" && asked != typeAccessToken {
		if asked != typeJWT || s.mint.opaque {
			return r, Malformed
		}
		r.issued = typeJWT
	}
	for _, name := range []string{"audience", "resource"} {
		if target := form.Get(name); target != "" && !slices.Contains([]string{s.mint.issuer, s.mint.issuer + "/api"}, target) {
			return r, TargetInvalid
		}
	}
	subject, outcome := s.exchanged(x, form.Get("subject_token"), form.Get("subject_token_type"))
	if outcome != Done {
		return r, outcome
	}
	r.subject, r.actor, r.scope = subject, subject.Actor, subject.Scope
	// RFC 8693 2.1: the type goes with the token, and not without it.
	if token, kind := form.Get("actor_token"), form.Get("actor_token_type"); token != "" || kind != "" {
		acting, outcome := s.exchanged(x, token, kind)
		if outcome != Done {
			return r, outcome
		}
		r.actor = &actor{Subject: acting.Subject, Client: acting.Client, Actor: subject.Actor}
	}
	if asked := form.Get("scope"); asked != "" {
		if !within(asked, subject.Scope) {
			return r, WiderScope
		}
		r.scope = asked
	}
	return r, Done
}

// exchanged checks a token that is to be exchanged. It must be as good as at
// the API, but for the keys it is bound to, which are its owner's.
func (s *Server) exchanged(x *exchange, token, kind string) (claims, Outcome) {
	isJWT := !strings.HasPrefix(token, opaqueAccessPrefix)
	if token == "" || kind != typeAccessToken && (kind != typeJWT || !isJWT) {
		return claims{}, Malformed
	}
	c, err := s.mint.readAccess(token)
	if err != nil {
		return claims{}, SubjectInvalid
	}
	switch outcome := s.judgeAccess(x, c); outcome {
	case Done, Failed:
		return c, outcome
	}
	return claims{}, SubjectInvalid
}

// exchange mints the token under the lock of its subject's session.
func (s *Server) exchange(x *exchange, client *registration, r exchangeRequest) (tokens Tokens, err error) {
	err = s.store.update(x.ctx(), r.subject.Session, func(t *tx) error {
		now := s.now()
		row := accessToken{
			jti: rand.Text(), scope: r.scope, issued: now,
			expires: earlier(earlier(now.Add(s.policy.AccessTTL), t.session.absolute), r.subject.ExpiresAt.Time),
		}
		sess := t.session
		sess.client = client.ID
		c := s.mint.accessClaims(sess, row, x.confirmation)
		c.Actor = r.actor
		access, err := s.mint.writeAccess(c)
		if err != nil {
			return err
		}
		t.putAccess(row, now)
		tokens = Tokens{
			Access: access, ExpiresIn: row.expires.Sub(now), Session: sess.id,
			Scope: r.scope, Type: x.confirmation.tokenType(),
		}
		return nil
	})
	return tokens, err
}
