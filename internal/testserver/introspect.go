package testserver

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/golang-jwt/jwt/v5"
)

// introspection is RFC 7662 2.2. What is not active says so and nothing else.
type introspection struct {
	Active    bool             `json:"active"`
	Scope     string           `json:"scope,omitempty"`
	Client    string           `json:"client_id,omitempty"`
	User      string           `json:"username,omitempty"`
	TokenType string           `json:"token_type,omitempty"`
	Expires   *jwt.NumericDate `json:"exp,omitempty"`
	Issued    *jwt.NumericDate `json:"iat,omitempty"`
	Subject   string           `json:"sub,omitempty"`
	Audience  jwt.ClaimStrings `json:"aud,omitempty"`
	Issuer    string           `json:"iss,omitempty"`
	ID        string           `json:"jti,omitempty"`
	Session   string           `json:"sid,omitempty"`
	AuthTime  *jwt.NumericDate `json:"auth_time,omitempty"` // RFC 9470 6.2
	ACR       string           `json:"acr,omitempty"`
	Bound     *confirmation    `json:"cnf,omitempty"` // RFC 8705 3.2, RFC 9449 6.2
}

// oauthIntrospect tells whoever can prove to be a client: a public one cannot,
// and the endpoint would be an oracle for stolen tokens (RFC 7662 4).
func (s *Server) oauthIntrospect(w http.ResponseWriter, r *http.Request) {
	s.clientForm(w, r, Introspect, func(x *exchange, client *registration, form url.Values) (*reply, func() reply) {
		token := form.Get("token")
		switch {
		case client.public():
			return refuse(oauthError(ClientRefused))
		case token == "":
			return refuse(oauthError(MissingToken))
		}
		return nil, func() reply {
			found, err := s.introspect(x, token)
			if err != nil {
				return *s.failed(x, err)
			}
			return jsonReply(http.StatusOK, Done, found)
		}
	})
}

// introspect ignores token_type_hint, as RFC 7662 2.1 allows: one look tells
// the kinds apart.
func (s *Server) introspect(x *exchange, token string) (introspection, error) {
	c, err := s.mint.readAccess(token)
	if err != nil {
		return s.introspectRefresh(x, token)
	}
	if s.judgeAccess(x, c) != Done {
		return introspection{}, nil
	}
	out := introspection{
		Active: true, Scope: c.Scope, Client: c.Client, TokenType: c.bound().tokenType(), Bound: c.Confirmation,
		Expires: c.ExpiresAt, Issued: c.IssuedAt, Subject: c.Subject, Audience: c.Audience, Issuer: c.Issuer,
		ID: c.ID, Session: c.Session, AuthTime: c.AuthTime, ACR: c.ACR,
	}
	if c.AuthTime != nil {
		out.User = c.Subject
	}
	return out, nil
}

// introspectRefresh calls a refresh token active if it could be redeemed as
// the newest of its family. It is not redeemed, and a retired one is not taken
// for theft.
func (s *Server) introspectRefresh(x *exchange, token string) (introspection, error) {
	r, err := s.find(x.ctx(), token)
	if errors.Is(err, errNoSession) {
		return introspection{}, nil
	}
	if err != nil {
		return introspection{}, err
	}
	var out introspection
	err = s.store.view(x.ctx(), r.sess.id, func(t *tx) error {
		row, err := t.refreshToken(r.hash)
		now := s.now()
		if err != nil || row.status != statusActive || !now.Before(earlier(row.expires, t.session.absolute)) ||
			t.session.ended != "" || t.disabled() || t.outdated() {
			return err
		}
		out = introspection{
			Active: true, Scope: t.session.scope, Client: t.session.client, User: t.session.user,
			Expires: jwt.NewNumericDate(row.expires), Issued: jwt.NewNumericDate(row.issued),
			Subject: t.session.user, Issuer: s.mint.issuer, Session: t.session.id,
		}
		return nil
	})
	return out, err
}
