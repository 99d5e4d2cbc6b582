package testserver

import (
	"cmp"
	"net/http"
)

// logoutPage asks the user whom no ID token vouched for: any page could have
// sent the browser here (OpenID Connect RP-Initiated Logout 1.0, 2).
func (s *Server) logoutPage(x *exchange) reply {
	id := x.r.FormValue("request")
	l, err := readDocument[logout](x.ctx(), s.documents, s.now(), kindLogout, id)
	if err == nil && l == nil {
		err = errNoRequest
	}
	if err != nil {
		return s.noRequest(x, err)
	}
	return s.show(x.r, view{
		name: "message", outcome: UserAsked, title: "Sign out", ends: l.Redirect,
		data: messageData{
			Heading: "Sign out?", Kind: "warn", Text: cmp.Or(l.Client, "A program") + " asks to sign you out of this browser.",
			Form:  &messageForm{Action: s.path + logoutPath, Hidden: []field{{"request", id}}, Name: "Sign out", Value: "logout"},
			Links: []link{{"Stay signed in", s.path + devicesPath}},
		},
	})
}

// logoutAction is the user's yes.
func (s *Server) logoutAction(x *exchange) reply {
	location, err := s.confirmLogout(x.w, x.r, x.r.PostForm.Get("request"))
	if err != nil {
		return s.noRequest(x, err)
	}
	return redirectReply(LoggedOut, location)
}

func (s *Server) loggedOutPage(x *exchange) reply {
	return s.signedOut(x.r, "You are signed out of this browser.")
}

func (s *Server) logoutRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+logoutPath, s.page(s.logoutPage))
	mux.HandleFunc("POST "+logoutPath, s.page(s.logoutAction))
	mux.HandleFunc("GET "+loggedOutPath, s.page(s.loggedOutPage))
}
