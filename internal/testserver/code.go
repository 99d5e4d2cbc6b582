package testserver

import (
	"cmp"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
)

// grantCode is RFC 6749 4.1.3. What the client got wrong does not spend the
// code: whoever only has the code must not be able to take it from its owner.
func (s *Server) grantCode(x *exchange, client *registration, form url.Values) (*reply, func() reply) {
	if !client.may("authorization_code") {
		return refuse(oauthError(GrantRefused))
	}
	code := form.Get("code")
	if code == "" {
		return refuse(badGrant(Malformed, invalidRequest("code missing")))
	}
	id := documentID(code)
	granted, err := readDocument[grantedCode](x.r.Context(), s.documents, s.now(), kindCode, id)
	if err != nil {
		return s.failed(x, err), nil
	}
	if granted == nil || granted.Client != client.ID {
		return refuse(badGrant(CodeRefused, problem("invalid_grant", "code unknown")))
	}
	if p := s.checkCode(x, granted, form); p != nil {
		return refuse(badGrant(CodeRefused, p))
	}
	return nil, func() reply { return s.redeemCode(x, id, deviceOf(x, form.Get("device"))) }
}

// checkCode compares what the token request shows with what the authorization
// request said.
func (s *Server) checkCode(x *exchange, granted *grantedCode, form url.Values) *oauthProblem {
	redirect, verifier := form.Get("redirect_uri"), form.Get("code_verifier")
	switch {
	case granted.Session != "":
		return nil // a replay is answered by the commit, which revokes
	case granted.Named && redirect == "":
		return invalidRequest("redirect_uri missing")
	case redirect != "" && redirect != granted.Redirect:
		return problem("invalid_grant", "redirect_uri is not that of the authorization request")
	case granted.JKT != "" && granted.JKT != x.confirmation.JKT: // RFC 9449 10
		return problem("invalid_dpop_proof", "the code is bound to another key")
	case !s.now().Before(granted.Expires):
		return problem("invalid_grant", "code expired")
	case !s.mayEnter(x.ctx(), granted.Who.User):
		return problem("invalid_grant", "user must sign in again")
	}
	if p := s.checkResources(nil, form); p != nil {
		return p
	}
	return checkVerifier(granted.Challenge, verifier)
}

// checkVerifier is RFC 7636 4.6. A verifier without a challenge is refused:
// somebody took the challenge out of the authorization request (RFC 9700
// 4.8.2).
func checkVerifier(challenge, verifier string) *oauthProblem {
	switch {
	case challenge == "" && verifier == "":
		return nil
	case challenge == "":
		return problem("invalid_grant", "code_verifier without a code_challenge")
	case verifier == "":
		return invalidRequest("code_verifier missing")
	case !verifierPattern.MatchString(verifier):
		return invalidRequest("code_verifier malformed")
	case subtle.ConstantTimeCompare([]byte(hash64([]byte(verifier))), []byte(challenge)) != 1:
		return problem("invalid_grant", "code_verifier does not match")
	}
	return nil
}

// redeemCode spends the code, then begins the session under the id that the
// code remembers. A second request may come between the two steps and finds no
// session to revoke, so the first one looks once more when it has begun.
func (s *Server) redeemCode(x *exchange, id, device string) reply {
	session := newSessionID()
	var spent grantedCode
	err := updateDocument(x.ctx(), s.documents, s.now(), kindCode, id, func(g *grantedCode) error {
		if g.Session == "" {
			g.Session = session
		} else {
			g.Replayed = true
		}
		spent = *g
		return nil
	})
	switch {
	case errors.Is(err, errNoDocument):
		return badGrant(CodeRefused, problem("invalid_grant", "code unknown"))
	case err != nil:
		return *s.failed(x, err)
	case spent.Session != session:
		return s.codeReplayed(x, spent.Session)
	}
	x.session = session
	tokens, err := s.enterBy(x, sessionOf(spent, device), start{nonce: spent.Nonce})
	if err != nil {
		return *s.failed(x, err)
	}
	again, err := readDocument[grantedCode](x.ctx(), s.documents, s.now(), kindCode, id)
	if err != nil {
		return *s.failed(x, err)
	}
	if again != nil && again.Replayed {
		return s.codeReplayed(x, session)
	}
	s.ledger.count(func(st *Stats) { st.Logins++ })
	return oauthTokens(tokens, LoggedIn)
}

// codeReplayed ends what the code began: one of its two presenters stole it
// (RFC 6749 4.1.2).
func (s *Server) codeReplayed(x *exchange, session string) reply {
	x.session = session
	s.suspect(x, CodeReused)
	if err := s.revoke(x.ctx(), session, string(CodeReplayed)); err != nil && !errors.Is(err, errNoSession) {
		return *s.failed(x, err)
	}
	return badGrant(CodeReplayed, problem("invalid_grant", "code already used"))
}

func badGrant(o Outcome, p *oauthProblem) reply {
	return problemReply(http.StatusBadRequest, o, p)
}

// sessionOf is what a code begins. What the user calls the device goes before
// what the client says of it.
func sessionOf(g grantedCode, device string) session {
	return session{
		id: g.Session, client: g.Client, scope: g.Scope, device: cmp.Or(g.Who.Device, device),
		user: g.Who.User, authTime: g.Who.Time, acr: g.Who.ACR,
	}
}
