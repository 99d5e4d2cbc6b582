package testserver

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// quickFault is a fault that people want often: a switch of the dashboard, and
// a word for a step of a script.
type quickFault struct {
	Name, Value string
	fault       Fault
}

func quickFaults() []quickFault {
	wait := func(status int) *Answer {
		return &Answer{Status: status, Body: `{"error":"temporarily_unavailable"}`, Header: http.Header{
			"Retry-After": {"1"}, "Content-Type": {"application/json"},
		}}
	}
	return []quickFault{
		{"Lose the answer of the next refresh", "lose", Fault{On: Refresh, At: AfterCommit, Drop: true}},
		{"Drop the next refresh before it is looked at", "drop", Fault{On: Refresh, Drop: true}},
		{"503 to the next refresh", "503", Fault{On: Refresh, Answer: wait(http.StatusServiceUnavailable)}},
		{"429 to the next refresh", "429", Fault{On: Refresh, Answer: wait(http.StatusTooManyRequests)}},
		{"Captive portal for the next refresh", "portal", Fault{On: Refresh, At: AfterCommit, Edit: CaptivePortal}},
		{"401 to the next API request", "401", Fault{On: API, At: Rewriting, Edit: Unauthorized}},
	}
}

func quickFaultNamed(list []quickFault, name string) (Fault, bool) {
	i := slices.IndexFunc(list, func(q quickFault) bool { return q.Value == name })
	if i < 0 {
		return Fault{}, false
	}
	return list[i].fault, true
}

// ruleRows lists the rules in force.
func (s *Server) ruleRows() (rows []ruleRow) {
	s.faults.mu.Lock()
	rules := slices.Clone(s.faults.rules)
	s.faults.mu.Unlock()
	for _, r := range rules {
		rows = append(rows, ruleRow{ID: r.ID(), Text: r.String(), Does: r.fault.describe(), Fired: r.Fired()})
	}
	return rows
}

// clockAction is POST of clockForm.
func (s *Server) clockAction(_ http.ResponseWriter, r *http.Request) reply {
	switch form := r.PostForm; form.Get("action") {
	case "advance":
		d, err := time.ParseDuration(form.Get("by"))
		if err != nil || d == 0 {
			return s.showDashboard(r, "", "The clock moves by a duration such as 90s, 16m or 168h.")
		}
		s.Advance(d)
		return s.showDashboard(r, "The clock was moved by "+d.String()+".", "")
	case "skew":
		d, err := time.ParseDuration(form.Get("by"))
		if err != nil {
			return s.showDashboard(r, "", "The error of the clock is a duration such as -5m.")
		}
		s.Skew(d)
		return s.showDashboard(r, "Clients are shown a clock with an error of "+d.String()+".", "")
	case "reset":
		s.SetClock(s.clock())
		s.Skew(0)
		return s.showDashboard(r, "The clock shows the real time again.", "")
	}
	return s.showDashboard(r, "", "There is no such button.")
}

// faultsAction is POST of faultsForm.
func (s *Server) faultsAction(_ http.ResponseWriter, r *http.Request) reply {
	form := r.PostForm
	if id := form.Get("remove"); id != "" {
		return s.removeRule(r, id)
	}
	fault, ok := quickFaultNamed(quickFaults(), form.Get("quick"))
	if !ok {
		var err error
		if fault, err = readFault(r); err != nil {
			return s.showDashboard(r, "", err.Error())
		}
	}
	rule, err := s.Fault(fault)
	if err != nil {
		return s.showDashboard(r, "", err.Error())
	}
	return s.showDashboard(r, "In force: "+rule.String()+".", "")
}

func (s *Server) removeRule(r *http.Request, id string) reply {
	s.faults.mu.Lock()
	rules := slices.Clone(s.faults.rules)
	s.faults.mu.Unlock()
	for _, rule := range rules {
		if rule.ID() == id {
			rule.Remove()
			return s.showDashboard(r, "Removed: "+rule.String()+".", "")
		}
	}
	return s.showDashboard(r, "", "There is no such fault.")
}

// readFault reads the form for a fault of one's own.
func readFault(r *http.Request) (Fault, error) {
	form := r.PostForm
	f := Fault{On: Endpoint(form.Get("on")), At: Stage(form.Get("at"))}
	var err error
	number := func(name string) int {
		n, bad := strconv.Atoi(form.Get(name))
		if bad != nil && form.Get(name) != "" {
			err = errors.New("testserver: fault: requests are counted in whole numbers")
		}
		return n
	}
	f.Nth, f.Times = number("nth"), number("times")
	switch does := form.Get("does"); does {
	case "drop":
		f.Drop = true
	case "reset":
		f.Reset = true
	case "hang":
		f.Hang = true
	case "delay":
		f.Delay = 2 * time.Second
	default:
		f.Edit = Edit(does)
	}
	return f, err
}

// sessionsAction is POST of sessionsForm.
func (s *Server) sessionsAction(_ http.ResponseWriter, r *http.Request) reply {
	var err error
	done := ""
	switch form := r.PostForm; form.Get("action") {
	case "revoke":
		err, done = s.RevokeSession(form.Get("id"), "dashboard"), "The session was revoked."
	case "access":
		err, done = s.RevokeAccessTokens(), "All access tokens were revoked. The sessions live on."
	default:
		return s.showDashboard(r, "", "There is no such button.")
	}
	switch {
	case errors.Is(err, errNoSession):
		return s.showDashboard(r, "", "There is no such session.")
	case err != nil:
		return s.brokenPage(r, err)
	}
	return s.showDashboard(r, done, "")
}

// profileAction is POST of profileForm.
func (s *Server) profileAction(_ http.ResponseWriter, r *http.Request) reply {
	p, err := ProfileNamed(r.PostForm.Get("profile"))
	if err != nil {
		return s.showDashboard(r, "", "There is no such profile.")
	}
	s.SetProfile(p)
	return s.showDashboard(r, "The server is "+p.Name+" from now on.", "")
}
