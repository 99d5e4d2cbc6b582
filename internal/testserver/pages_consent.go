package testserver

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

type consentData struct {
	Action, User, Client, ClientID, Redirect string
	Code                                     string // of a device
	Device                                   string // what the user calls the one with this browser
	Scopes                                   []scopeRow
	Hidden                                   []field
}

type scopeRow struct{ Name, Meaning string }

// scopeRows explain what has a meaning of its own: OpenID Connect Core 5.4 and
// 11. The rest is the client's business.
func scopeRows(scope string) (rows []scopeRow) {
	meanings := map[string]string{
		"openid":         "know who you are",
		"profile":        "see your name",
		"email":          "see your email address",
		"offline_access": "stay signed in while you are away",
	}
	for _, name := range strings.Fields(scope) {
		rows = append(rows, scopeRow{name, meanings[name]})
	}
	return rows
}

// undecided looks up the request that the user is to decide on, and who is
// there to do it.
func (s *Server) undecided(x *exchange, id string) (*pending, *authentication, *reply) {
	who, err := s.signedIn(x.r)
	var p *pending
	if err == nil {
		p, err = s.pending(x.ctx(), id, who)
	}
	if err != nil {
		rep := s.noRequest(x, err)
		return nil, nil, &rep
	}
	return p, who, nil
}

// noRequest is the page for what cannot be decided any more.
func (s *Server) noRequest(x *exchange, err error) reply {
	if errors.Is(err, errNoRequest) {
		return s.errorPage(x.r, http.StatusBadRequest, "invalid_request",
			"This request is unknown, over, or was answered already. Start again where you came from.")
	}
	return s.brokenPage(x.r, err)
}

// interactionPage shows the login or the question, whichever is next.
func (s *Server) interactionPage(x *exchange) reply {
	p, who, refusal := s.undecided(x, x.r.FormValue("request"))
	if refusal != nil {
		return *refusal
	}
	if p.NeedLogin {
		return s.show(x.r, s.loginView(x, s.askLogin(x, p), p.Redirect))
	}
	return s.show(x.r, view{
		name: "consent", outcome: UserAsked, title: "Allow access", user: p.User, ends: p.Redirect,
		data: consentData{
			Action: s.path + interactionPath, User: p.User, Client: nameOf(p.Client), ClientID: p.Client.ID,
			Redirect: p.Redirect, Device: who.Device, Scopes: scopeRows(p.Scope), Hidden: []field{{"request", p.ID}},
		},
	})
}

func nameOf(c *registration) string { return cmp.Or(c.Name, c.ID) }

func (s *Server) askLogin(x *exchange, p *pending) loginData {
	d := loginData{
		Action: s.path + interactionPath, Hidden: []field{{"request", p.ID}}, Client: nameOf(p.Client),
		Hint: cmp.Or(p.User, p.Hint), Strong: p.NeedACR == acrStrong, CanDeny: true,
	}
	s.askDeviceName(x, &d)
	return d
}

// interactionAction is what a button on one of the two pages does.
func (s *Server) interactionAction(x *exchange) reply {
	id := x.r.PostForm.Get("request")
	p, who, refusal := s.undecided(x, id)
	if refusal != nil {
		return *refusal
	}
	switch action := x.r.PostForm.Get("action"); {
	case action == "deny":
		location, err := s.deny(x.ctx(), id)
		if err != nil {
			return s.noRequest(x, err)
		}
		return redirectReply(Refused, location)
	case action == "login" || x.r.PostForm.Has("as"):
		return s.logInAndGoOn(x, p)
	case action == "approve":
		location, err := s.approve(x.ctx(), id, who)
		if errors.Is(err, errLoginNeeded) {
			return s.interactionPage(x)
		}
		if err != nil {
			return s.noRequest(x, err)
		}
		return redirectReply(CodeIssued, location)
	}
	return s.errorPage(x.r, http.StatusBadRequest, "invalid_request", "There is no such button.")
}

// logInAndGoOn takes the login page of a request. The question follows under a
// GET, so that a reload repeats nothing.
func (s *Server) logInAndGoOn(x *exchange, p *pending) reply {
	who, problem, outcome := s.readLogin(x, p.NeedACR)
	if problem != "" {
		d := s.askLogin(x, p)
		d.Problem, d.Hint = problem, x.r.PostForm.Get("username")
		v := s.loginView(x, d, p.Redirect)
		v.outcome = outcome
		return s.show(x.r, v)
	}
	if err := s.signInBrowser(x.w, x.r, who); err != nil {
		return s.brokenPage(x.r, err)
	}
	s.rememberDevice(x)
	return redirectReply(LoggedIn, s.path+interactionPath+"?"+url.Values{"request": {p.ID}}.Encode())
}
