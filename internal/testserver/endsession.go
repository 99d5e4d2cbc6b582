package testserver

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
)

const kindLogout = "logout"

// logout is a checked request of OpenID Connect RP-Initiated Logout 1.0.
type logout struct {
	Client   string `json:"client,omitempty"`
	Redirect string `json:"redirect,omitempty"` // empty: the browser stays here
	State    string `json:"state,omitempty"`
	Session  string `json:"session,omitempty"` // the one that the ID token is about
	user     string // whom the ID token is about; empty: there was none
}

// oauthEndSession ends the sign-on of the browser, and the session that the
// ID token is about. Without an ID token of the user who is signed in, the
// user is asked first: any page could have sent the browser here.
func (s *Server) oauthEndSession(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, endpoint: EndSession}
	s.run(x, func(x *exchange) (*reply, func() reply) {
		params, ok := queryOrForm(w, r)
		if !ok {
			return refuse(s.problemPage(x, invalidRequest("the request cannot be read")))
		}
		l, p, err := s.readLogout(x.ctx(), params)
		if err == nil && p == nil {
			return s.endOrAsk(x, l)
		}
		if p != nil {
			return refuse(s.problemPage(x, p))
		}
		return refuse(s.failedPage(x, err))
	})
}

func (s *Server) endOrAsk(x *exchange, l logout) (*reply, func() reply) {
	who, err := s.signedIn(x.r)
	if err != nil {
		return refuse(s.failedPage(x, err))
	}
	sure := l.user != "" && (who == nil || who.User == l.user)
	return nil, func() reply {
		if sure {
			location, err := s.endNow(x.w, x.r, l)
			if err != nil {
				return s.failedPage(x, err)
			}
			return redirectReply(LoggedOut, location)
		}
		id := rand.Text()
		_, err := putDocument(x.ctx(), s.documents, s.now(), kindLogout, id, l, s.now().Add(pendingLife))
		if err != nil {
			return s.failedPage(x, err)
		}
		return redirectReply(UserAsked, s.path+logoutPath+"?request="+id)
	}
}

// readLogout checks the hint, which may have expired, and the redirect URI,
// which must be one of the client that the hint or client_id names.
func (s *Server) readLogout(ctx context.Context, params url.Values) (l logout, p *oauthProblem, err error) {
	for _, values := range params {
		if len(values) > 1 || len(values[0]) > maxForm {
			return l, invalidRequest("a parameter was given twice"), nil
		}
	}
	l = logout{Client: params.Get("client_id"), State: params.Get("state")}
	if hint := params.Get("id_token_hint"); hint != "" {
		c, err := s.mint.readIDToken(ctx, hint)
		if err != nil {
			return l, invalidRequest("id_token_hint is not an ID token of this server"), nil
		}
		if l.Client != "" && l.Client != c.Client {
			return l, invalidRequest("id_token_hint is not this client's"), nil
		}
		l.Client, l.Session, l.user = c.Client, c.Session, c.Subject
	}
	redirect := params.Get("post_logout_redirect_uri")
	if redirect == "" {
		return l, nil, nil
	}
	client, err := s.client(ctx, l.Client)
	if err != nil {
		return l, nil, err
	}
	if client == nil || !client.mayReturn(redirect) {
		return l, invalidRequest("post_logout_redirect_uri is not registered for this client"), nil
	}
	l.Redirect = redirect
	return l, nil, nil
}

// mayReturn reports whether a logout may lead there.
func (r *registration) mayReturn(uri string) bool {
	if len(r.AfterLogout) > 0 {
		return redirectAllowed(r.AfterLogout, uri)
	}
	return redirectAllowed(r.Redirects, uri)
}

// confirmLogout is the user's yes to the question that logoutPath asks. It
// returns where to send the browser.
func (s *Server) confirmLogout(w http.ResponseWriter, r *http.Request, id string) (location string, err error) {
	l, err := takeDocument[logout](r.Context(), s.documents, s.now(), kindLogout, id)
	if err != nil {
		return "", err
	}
	if l == nil {
		return "", errNoRequest
	}
	return s.endNow(w, r, *l)
}

// endNow ends it all and says where the browser goes.
func (s *Server) endNow(w http.ResponseWriter, r *http.Request, l logout) (location string, err error) {
	ctx := context.WithoutCancel(r.Context())
	if l.Session != "" {
		if err := s.revoke(ctx, l.Session, "logout"); err != nil && !errors.Is(err, errNoSession) {
			return "", err
		}
	}
	s.signOutBrowser(w, r)
	switch {
	case l.Redirect == "":
		return s.path + loggedOutPath, nil
	case l.State == "":
		return l.Redirect, nil
	}
	return withQuery(l.Redirect, url.Values{"state": {l.State}}), nil
}
