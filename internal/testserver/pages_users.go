package testserver

import (
	"errors"
	"net/http"
)

// personRow is one who can sign in.
type personRow struct {
	Name, Locked string // since when; empty: not locked out
	Version      int64
	Live         int // sessions
}

func (s *Server) addPeople(r *http.Request, d *dashboardData) error {
	users, err := s.store.users(r.Context())
	if err != nil {
		return err
	}
	for _, u := range users {
		live, err := s.liveSessions(r.Context(), u.name)
		if err != nil {
			return err
		}
		row := personRow{Name: u.name, Version: u.version, Live: len(live)}
		if !u.disabled.IsZero() {
			row.Locked = ago(s.now(), u.disabled)
		}
		d.Users = append(d.Users, row)
	}
	return nil
}

// usersAction is POST of usersForm.
func (s *Server) usersAction(_ http.ResponseWriter, r *http.Request) reply {
	var err error
	name, done := r.PostForm.Get("user"), ""
	switch r.PostForm.Get("action") {
	case "bump":
		err, done = s.RevokeUser(name), "All that "+name+" had is void."
	case "disable":
		err, done = s.DisableUser(name), name+" is locked out."
	case "enable":
		err, done = s.EnableUser(name), name+" may sign in again."
	default:
		return s.showDashboard(r, "", "There is no such button.")
	}
	switch {
	case errors.Is(err, errUnknownUser):
		return s.showDashboard(r, "", "There is no such user.")
	case err != nil:
		return s.brokenPage(r, err)
	}
	return s.showDashboard(r, done, "")
}
