package testserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// The page on which users see where they are signed in, and where its forms
// go. The first is the API's path, too.
const (
	devicesPath = "/sessions"
	devicesForm = "/ui/sessions"
)

type devicesData struct {
	Action, User, Since, Done string
	Name                      string // of the device with this browser
	Devices                   []deviceRow
}

type deviceRow struct{ ID, Name, Client, IP, LastUsed, Created, Ends string }

// listOrPage answers a browser with a page, and a program with JSON.
func (s *Server) listOrPage() http.HandlerFunc {
	list, page := s.endpoint(Devices, s.listSessions), s.page(s.devicesPage)
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept, Authorization")
		if forPeople(r) {
			page(w, r)
		} else {
			list(w, r)
		}
	}
}

// asUser is a page for whoever is signed in in the browser.
func (s *Server) asUser(h func(*exchange, *authentication) reply) func(*exchange) reply {
	return func(x *exchange) reply {
		who, err := s.signedIn(x.r)
		if err != nil {
			return s.brokenPage(x.r, err)
		}
		if who == nil {
			return redirectReply(UserAsked, s.path+signInPath+"?"+url.Values{"to": {s.path + devicesPath}}.Encode())
		}
		return h(x, who)
	}
}

func (s *Server) devicesPage(x *exchange) reply {
	return s.asUser(func(x *exchange, who *authentication) reply { return s.showDevices(x, who, "") })(x)
}

func (s *Server) showDevices(x *exchange, who *authentication, done string) reply {
	live, err := s.liveSessions(x.ctx(), who.User)
	if err != nil {
		return s.brokenPage(x.r, err)
	}
	now := s.now()
	d := devicesData{Action: s.path + devicesForm, User: who.User, Since: ago(now, who.Time), Done: done, Name: who.Device}
	for _, sess := range live {
		row := deviceRow{
			ID: sess.id, Name: sess.device, Client: sess.client, LastUsed: ago(now, sess.lastUsed),
			Created: ago(now, sess.created), Ends: ahead(now, sess.absolute),
		}
		if row.Name == "" {
			row.Name = "A device without a name"
		}
		if row.IP = sess.ip; row.IP != "" {
			if host, _, err := net.SplitHostPort(row.IP); err == nil {
				row.IP = host
			}
		}
		d.Devices = append(d.Devices, row)
	}
	return s.show(x.r, view{
		name: "devices", outcome: Done, title: "Your devices", user: who.User, width: "wide", nav: devicesPath, data: d,
	})
}

// liveSessions are those that a refresh could still use.
func (s *Server) liveSessions(ctx context.Context, user string) (live []session, err error) {
	rows, err := s.store.sessions(ctx, user)
	if err != nil {
		return nil, err
	}
	person, err := s.store.user(ctx, user)
	if err != nil {
		return nil, err
	}
	now := s.now()
	for _, sess := range rows {
		if sess.ended == "" && sess.version == person.version && now.Before(sess.absolute) {
			live = append(live, sess)
		}
	}
	return live, nil
}

// devicesAction is POST of devicesForm.
func (s *Server) devicesAction(x *exchange) reply {
	return s.asUser(func(x *exchange, who *authentication) reply {
		switch x.r.PostForm.Get("action") {
		case "browser":
			return s.signOutPage(x)
		case "one":
			return s.endDevice(x, who)
		case "others":
			return s.endOthers(x, who)
		case "all":
			return s.endEverywhere(x, who)
		}
		return s.errorPage(x.r, http.StatusBadRequest, "invalid_request", "There is no such button.")
	})(x)
}

// endDevice ends one of the user's own sessions. Somebody else's does not
// exist as far as this user can tell.
func (s *Server) endDevice(x *exchange, who *authentication) reply {
	id := x.r.PostForm.Get("id")
	sess, err := s.store.session(x.ctx(), id)
	if errors.Is(err, errNoSession) || err == nil && sess.user != who.User {
		return s.errorPage(x.r, http.StatusNotFound, "not_found", "There is no such device.")
	}
	if err == nil {
		err = s.revoke(x.ctx(), id, "device")
	}
	if err != nil {
		return s.brokenPage(x.r, err)
	}
	return s.showDevices(x, who, fmt.Sprintf("%s is signed out.", sess.device))
}

func (s *Server) endOthers(x *exchange, who *authentication) reply {
	live, err := s.liveSessions(x.ctx(), who.User)
	for _, sess := range live {
		if err == nil {
			err = s.revoke(x.ctx(), sess.id, "device")
		}
	}
	if err != nil {
		return s.brokenPage(x.r, err)
	}
	return s.showDevices(x, who, "All other devices are signed out.")
}

type everywhereData struct {
	User, Problem, Action, Back string
	Count                       int
}

// endEverywhere wants the password once more: whoever sits down at an
// unattended browser must not be able to lock its owner out.
func (s *Server) endEverywhere(x *exchange, who *authentication) reply {
	live, err := s.liveSessions(x.ctx(), who.User)
	if err != nil {
		return s.brokenPage(x.r, err)
	}
	d := everywhereData{User: who.User, Action: s.path + devicesForm, Back: s.path + devicesPath, Count: len(live)}
	v := view{name: "everywhere", outcome: StepUp, title: "Sign out everywhere", user: who.User, nav: devicesPath}
	if password, given := x.r.PostForm["password"]; given {
		outcome := s.signIn(x, who.User, password[0])
		if outcome == LoggedIn {
			return s.endAll(x, who)
		}
		d.Problem, v.status, v.outcome = loginProblem(outcome), http.StatusUnauthorized, outcome
	}
	v.data = d
	return s.show(x.r, v)
}

func (s *Server) endAll(x *exchange, who *authentication) reply {
	if err := s.revokeAll(x.ctx(), who.User, "logout-all"); err != nil {
		return s.brokenPage(x.r, err)
	}
	s.signOutBrowser(x.w, x.r)
	return s.signedOut(x.r, "You are signed out everywhere.")
}
