package testserver

import (
	"net/http"
	"slices"
	"strings"
)

// CrossOrigin is what a request comes to that a page of another site has sent
// along with the user's cookie.
const CrossOrigin Outcome = "cross_origin"

// The names of the cookie: a browser takes one that begins with __Secure- only
// over TLS, so nobody on the network can have planted it (RFC 6265bis 4.1.3.1).
const (
	cookieName       = "rt"
	secureCookieName = "__Secure-rt"
)

// cookieRoutes are the first-party dialect for a page in a browser: the refresh
// token is in a cookie that no script can read, and which only these paths are
// ever sent.
func (s *Server) cookieRoutes(mux *http.ServeMux) {
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(s.endpoint(AnyEndpoint, func(*exchange) (*reply, func() reply) {
		return refuse(jsonReply(http.StatusForbidden, CrossOrigin, map[string]string{"error": "Cross-origin request"}))
	}))
	handle := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, csrf.Handler(h)) }
	handle("POST /session/login", s.cookieEndpoint(Authenticate, s.jsonLogin))
	handle("POST /session/refresh", s.cookieEndpoint(Refresh, s.jsonRefresh))
	handle("POST /session/refresh-token", s.cookieEndpoint(Refresh, s.jsonRefresh))
	handle("POST /session/logout", s.cookieEndpoint(Revoke, s.jsonLogout))
	handle("POST /session/logout-all", s.cookieEndpoint(Revoke, s.jsonLogoutAll))
	handle("GET /session/sessions", s.endpoint(Devices, s.listSessions))
	handle("DELETE /session/sessions/{id}", s.endpoint(Devices, s.deleteSession))
}

// cookieEndpoint is jsonEndpoint with the refresh token in the cookie. What the
// body has in its place does not count: a page should not have one.
func (s *Server) cookieEndpoint(e Endpoint, h jsonHandler) http.HandlerFunc {
	return s.jsonEndpoint(e, func(x *exchange, body credentials) (*reply, func() reply) {
		refusal, commit := h(x, body)
		if refusal != nil {
			return refuse(s.inCookie(x, *refusal))
		}
		return nil, func() reply { return s.inCookie(x, commit()) }
	}, s.readCookie)
}

// readCookie is where the cookie dialect has its refresh token.
func (s *Server) readCookie(r *http.Request, _ credentials) string {
	c, err := r.Cookie(s.cookie(r).Name)
	if err != nil {
		return ""
	}
	return c.Value
}

// readBody is where the JSON dialect has it.
func readBody(_ *http.Request, body credentials) string { return body.RefreshToken }

// inCookie moves a new refresh token from the body into the cookie, and takes
// the cookie back where the session is over. Any other answer leaves it alone:
// one that lost a race, was sent too often or met a server that is down would
// throw away what the winner has put there.
func (s *Server) inCookie(x *exchange, rep reply) reply {
	c := s.cookie(x.r)
	switch {
	case rep.tokens != nil && rep.tokens.Refresh != "":
		t := rep.tokens
		rep = jsonReply(rep.Status, rep.outcome, struct {
			Access  string `json:"accessToken"`
			Expires int64  `json:"expiresIn"`
		}{t.Access, seconds(t.ExpiresIn)})
		rep.message, c.Value, c.MaxAge = t.Refresh, t.Refresh, int(seconds(t.RefreshEnds))
	case rep.outcome.over():
		c.MaxAge = -1
	default:
		return rep
	}
	rep.Header.Add("Set-Cookie", c.String())
	return rep
}

// cookie is the cookie without its value.
func (s *Server) cookie(r *http.Request) *http.Cookie {
	c := &http.Cookie{
		Name: cookieName, Path: s.path + "/session", HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Secure: !s.insecureCookie,
	}
	if r.TLS != nil || strings.HasPrefix(s.mint.issuer, "https:") {
		c.Name, c.Secure = secureCookieName, true
	}
	return c
}

// over reports that the cookie is of no more use to anybody: its session is
// over, or it never had one. A token that is merely dead itself may be that of
// a race's loser, whose winner's cookie this is by now.
func (o Outcome) over() bool {
	switch o {
	case ReuseDetected, SessionRevoked, UserDisabled, VersionBumped,
		SessionExpired, MaxRefreshes, TokenExpired, Unknown, LoggedOut:
		return true
	}
	return false
}

// tells reports that the answer still holds what its client must hear.
func (rep reply) tells() bool {
	return strings.Contains(rep.Body, rep.message) || slices.ContainsFunc(rep.Header["Set-Cookie"], func(c string) bool {
		return strings.Contains(c, rep.message)
	})
}
