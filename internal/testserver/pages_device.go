package testserver

import (
	"errors"
	"net/http"
	"net/url"
)

type codeData struct{ Action, Code, Problem string }

// devicePage is RFC 8628 3.3: the user types the code, or brings it along with
// verification_uri_complete, and is then asked in any case.
func (s *Server) devicePage(x *exchange) reply {
	typed := x.r.FormValue("user_code")
	if typed == "" {
		return s.askCode(x, typed, "")
	}
	d, _, err := s.pendingDevice(x.ctx(), typed)
	if errors.Is(err, errNoRequest) {
		return s.askCode(x, typed, "This code is unknown, over, or was used already.")
	}
	if err != nil {
		return s.brokenPage(x.r, err)
	}
	client, err := s.client(x.ctx(), d.Client)
	if err == nil && client == nil {
		err = errNoRequest
	}
	if err != nil {
		return s.noRequest(x, err)
	}
	who, err := s.signedIn(x.r)
	if err != nil {
		return s.brokenPage(x.r, err)
	}
	if who == nil {
		return s.show(x.r, s.loginView(x, s.askDeviceLogin(client, d), ""))
	}
	return s.show(x.r, view{
		name: "confirm", outcome: UserAsked, title: "Connect a device", user: who.User,
		data: consentData{
			Action: s.path + devicePath, User: who.User, Client: nameOf(client), ClientID: client.ID,
			Code: d.UserCode, Scopes: scopeRows(d.Scope), Hidden: []field{{"user_code", d.UserCode}},
		},
	})
}

func (s *Server) askCode(x *exchange, typed, problem string) reply {
	v := view{
		name: "device", outcome: UserAsked, title: "Connect a device",
		data: codeData{Action: s.path + devicePath, Code: typed, Problem: problem},
	}
	if problem != "" {
		v.status, v.outcome = http.StatusNotFound, NotFound
	}
	return s.show(x.r, v)
}

func (s *Server) askDeviceLogin(client *registration, d *deviceRequest) loginData {
	return loginData{
		Action: s.path + devicePath, Hidden: []field{{"user_code", d.UserCode}}, Client: nameOf(client), CanDeny: true,
	}
}

// deviceAction is what a button on one of the pages does.
func (s *Server) deviceAction(x *exchange) reply {
	typed, action := x.r.PostForm.Get("user_code"), x.r.PostForm.Get("action")
	switch {
	case action == "login" || x.r.PostForm.Has("as"):
		return s.logInForDevice(x, typed)
	case action == "approve":
		who, err := s.signedIn(x.r)
		if err == nil {
			err = s.approveDevice(x.ctx(), typed, who)
		}
		if errors.Is(err, errLoginNeeded) {
			return s.devicePage(x)
		}
		return s.deviceDecided(x, err, "good", "Connected", "The device is signed in. You can close this page.")
	case action == "deny":
		return s.deviceDecided(x, s.denyDevice(x.ctx(), typed), "warn", "Denied", "The device was told no. You can close this page.")
	}
	return s.errorPage(x.r, http.StatusBadRequest, "invalid_request", "There is no such button.")
}

func (s *Server) deviceDecided(x *exchange, err error, kind, heading, text string) reply {
	if err != nil {
		return s.noRequest(x, err)
	}
	return s.show(x.r, view{
		name: "message", outcome: Done, title: heading,
		data: messageData{Heading: heading, Kind: kind, Text: text, Links: []link{{"Your devices", s.path + devicesPath}}},
	})
}

func (s *Server) logInForDevice(x *exchange, typed string) reply {
	d, _, err := s.pendingDevice(x.ctx(), typed)
	if err != nil {
		return s.noRequest(x, err)
	}
	who, problem, outcome := s.readLogin(x, "")
	if problem != "" {
		client, err := s.client(x.ctx(), d.Client)
		if err != nil || client == nil {
			return s.noRequest(x, errors.Join(err, errNoRequest))
		}
		data := s.askDeviceLogin(client, d)
		data.Problem, data.Hint = problem, x.r.PostForm.Get("username")
		v := s.loginView(x, data, "")
		v.outcome = outcome
		return s.show(x.r, v)
	}
	if err := s.signInBrowser(x.w, x.r, who); err != nil {
		return s.brokenPage(x.r, err)
	}
	return redirectReply(LoggedIn, s.path+devicePath+"?"+url.Values{"user_code": {d.UserCode}}.Encode())
}
