package testserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// credentialsOf reads the access token of a request and the scheme it came
// under: Bearer (RFC 6750 2.1) or DPoP (RFC 9449 7.1).
func credentialsOf(r *http.Request) (token, scheme string, ok bool) {
	given, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for _, scheme := range []string{"Bearer", "DPoP"} {
		if strings.EqualFold(given, scheme) {
			return strings.TrimSpace(token), scheme, true
		}
	}
	return "", "", false
}

// bound is what the token is bound to.
func (c claims) bound() confirmation {
	if c.Confirmation == nil {
		return confirmation{}
	}
	return *c.Confirmation
}

// confirm checks that whoever shows an access token holds the keys it is bound
// to, and that a bound token is not passed off as a bearer token, nor the other
// way round (RFC 9449 7.1 and 7.2, RFC 8705 3).
func (s *Server) confirm(x *exchange, token, scheme string, cnf confirmation) Outcome {
	if cnf.X5T != "" {
		if certificate, shown := certificateOf(x.r); !shown || certificate != cnf.X5T {
			s.suspect(x, CertificateMismatch)
			return AccessInvalid
		}
	}
	if (cnf.JKT != "") != (scheme == "DPoP") {
		return AccessInvalid
	}
	if cnf.JKT == "" {
		return Done
	}
	_, err := s.checkProof(x, atResource, token, cnf.JKT)
	if err == nil {
		return Done
	}
	outcome := s.proofOutcome(x, err)
	if outcome == WrongKey {
		s.suspect(x, KeyMismatch)
		return AccessInvalid
	}
	return outcome
}

// unauthorized refuses an access token, or what came with it.
func (x *exchange) unauthorized(o Outcome, dpop bool) reply {
	if o == Failed {
		return jsonError(o)
	}
	_, _, text := jsonRefusal(o)
	code := "invalid_token"
	switch o {
	case NonceNeeded, ProofInvalid: // RFC 9449 7.1 and 9
		_, code, text = oauthRefusal(o)
		if x.reason != "" {
			text = x.reason
		}
	}
	rep := challenge(o, fmt.Sprintf(`, error=%q, error_description=%q`, code, text))
	rep.Status = http.StatusUnauthorized
	if dpop {
		rep.Header.Set("WWW-Authenticate", dpopChallenge(code, text))
	}
	return rep
}

// dpopChallenge is the challenge of a resource for DPoP tokens: RFC 9449 7.1.
func dpopChallenge(code, description string) string {
	out := fmt.Sprintf(`DPoP realm="authtest", algs=%q`, strings.Join(asymmetric(), " "))
	if code != "" {
		out += fmt.Sprintf(", error=%q, error_description=%q", code, description)
	}
	return out
}

// apiDPoP takes tokens that are bound to a key, and no others.
func (s *Server) apiDPoP(x *exchange) (*reply, func() reply) {
	if _, _, ok := credentialsOf(x.r); !ok {
		rep := jsonError(AccessMissing)
		rep.Header.Set("WWW-Authenticate", dpopChallenge("", ""))
		return refuse(rep)
	}
	c, refusal := s.authorize(x)
	if refusal != nil {
		return refusal, nil
	}
	if c.bound().JKT == "" {
		return refuse(x.unauthorized(AccessInvalid, true))
	}
	return nil, func() reply {
		return jsonReply(http.StatusOK, Done, struct {
			Subject string       `json:"sub"`
			Bound   confirmation `json:"cnf"`
		}{c.Subject, c.bound()})
	}
}

// apiFormat takes access tokens of one form. An API that asks for opaque ones
// has nothing to look at, and asks its authorization server each time.
func (s *Server) apiFormat(format AccessFormat) handler {
	return func(x *exchange) (*reply, func() reply) {
		c, refusal := s.authorize(x)
		if refusal != nil {
			return refusal, nil
		}
		token, scheme, _ := credentialsOf(x.r)
		if strings.HasPrefix(token, opaqueAccessPrefix) != (format == OpaqueAccess) {
			return refuse(x.unauthorized(AccessInvalid, scheme == "DPoP"))
		}
		return nil, func() reply { return s.apiMe(x, c) }
	}
}

// RevokeAccessToken puts one access token on the blacklist. Its session lives
// on.
func (s *Server) RevokeAccessToken(token string) error {
	c, err := s.mint.readAccess(token)
	if err != nil {
		return err
	}
	return s.revokeAccess(context.Background(), c)
}
