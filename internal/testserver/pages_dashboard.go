package testserver

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Where the dashboard is, and where its forms go.
const (
	dashboardPath = "/_test/"
	decoderPath   = "/_test/ui/decoder"
	clockForm     = "/_test/ui/clock"
	faultsForm    = "/_test/ui/faults"
	gatesForm     = "/_test/ui/gates"
	scriptsForm   = "/_test/ui/scripts"
	serverForm    = "/_test/ui/server"
	sessionsForm  = "/_test/ui/sessions"
	usersForm     = "/_test/ui/users"
	profileForm   = "/_test/ui/profile"
	keyForm       = "/_test/ui/key"
	familyPath    = "/_test/ui/session/" // and the id
	requestPath   = "/_test/ui/request/" // and the number
	livePath      = "/_test/ui/live"     // what the script listens to
)

// shownExchanges and shownSessions are what fits on a page.
const (
	shownExchanges = 50
	shownSessions  = 50
)

type dashboardData struct {
	Base, Done, Problem string
	Name                string // of the profile
	Live                bool
	Profile             []fact
	Clock               []fact
	Stats               []fact
	Rules               []ruleRow
	Scripts             []scriptRow
	Steps               []quickFault
	Edits               []Edit
	Issuer              string
	Gates               []gateJSON
	GateStages          []Stage
	Users               []personRow
	Quick               []quickFault
	Profiles            []Profile
	Endpoints           []Endpoint
	Stages              []Stage
	Sessions            []dashboardSession
	MoreSessions        int
	Exchanges           []exchangeRow
	Violations          []Violation
}

type fact struct{ Name, Value string }

type ruleRow struct {
	ID, Text, Does string
	Fired          int
}

type dashboardSession struct {
	ID, User, Client, Device, Created, LastUsed, State, Kind string
	Refreshes                                                int64
	Live                                                     bool
}

type exchangeRow struct {
	Exchange
	At, Kind string
}

func (s *Server) dashboard(_ http.ResponseWriter, r *http.Request) reply {
	return s.showDashboard(r, "", "")
}

// showDashboard says what was done, or what could not be.
func (s *Server) showDashboard(r *http.Request, done, problem string) reply {
	d := dashboardData{
		Base: s.path, Name: s.profileTitle(), Done: done, Problem: problem, Live: r.Method == http.MethodGet && r.URL.Query().Has("live"),
		Profile: s.profileFacts(), Clock: s.clockFacts(), Stats: statsFacts(s.Stats(), s.MaxRedemptions()),
		Rules: s.ruleRows(), Quick: quickFaults(), Profiles: Profiles(), Endpoints: endpoints(), Stages: stages()[1:],
		Scripts: s.scriptRows(), Steps: scriptSteps(), Edits: Edits(), Issuer: s.mint.issuer, Gates: s.gateStates(), GateStages: stages()[2:],
		Violations: s.Violations(),
	}
	if err := errors.Join(s.addSessions(r, &d), s.addPeople(r, &d)); err != nil {
		return s.brokenPage(r, err)
	}
	all := s.Exchanges(AnyEndpoint)
	for _, e := range slices.Backward(all[max(0, len(all)-shownExchanges):]) {
		d.Exchanges = append(d.Exchanges, rowOf(e))
	}
	v := view{name: "dashboard", title: "Dashboard", width: "full", nav: dashboardPath, live: s.path + dashboardPath, data: d}
	if d.Live {
		v.reload = 2
	}
	if problem != "" {
		v.status = http.StatusBadRequest
	}
	return s.show(r, v)
}

func (s *Server) addSessions(r *http.Request, d *dashboardData) error {
	rows, err := s.store.sessions(r.Context(), "")
	if err != nil {
		return err
	}
	d.MoreSessions = max(0, len(rows)-shownSessions)
	now := s.now()
	for _, sess := range slices.Backward(rows[d.MoreSessions:]) {
		row := dashboardSession{
			ID: sess.id, User: sess.user, Client: sess.client, Device: sess.device, Refreshes: sess.refreshes,
			Created: ago(now, sess.created), LastUsed: ago(now, sess.lastUsed), State: "live", Kind: "good", Live: true,
		}
		switch {
		case sess.ended != "":
			row.State, row.Kind, row.Live = sess.ended, "bad", false
		case !now.Before(sess.absolute):
			row.State, row.Kind, row.Live = "expired", "", false
		}
		d.Sessions = append(d.Sessions, row)
	}
	return nil
}

func rowOf(e Exchange) exchangeRow { return exchangeRow{e, clockTime(e.Time), exchangeKind(e)} }

// exchangeKind is the colour of a row.
func exchangeKind(e Exchange) string {
	switch {
	case len(e.Faults) > 0 || !e.Delivered:
		return "warn"
	case e.Status >= http.StatusBadRequest:
		return "bad"
	}
	return "good"
}

func clockTime(t time.Time) string { return t.UTC().Format("15:04:05.000") }

func (s *Server) profileFacts() []fact {
	p := s.rules()
	window := "none"
	if w := p.Replay.Window; w > 0 {
		window = between(w)
		if w == Always {
			window = "until the new token is used"
		}
	}
	most := "no limit"
	if p.MaxRefreshes > 0 {
		most = strconv.Itoa(p.MaxRefreshes)
	}
	return []fact{
		{"Profile", s.profileTitle()},
		{"Issuer", s.mint.issuer},
		{"Access token", between(p.AccessTTL)},
		{"Idle refresh token", between(p.IdleTTL)},
		{"Session", between(p.AbsoluteTTL)},
		{"Refreshes", most},
		{"Window of a retired token", window},
	}
}

func (s *Server) profileTitle() string { return s.Profile().Name }

func (s *Server) clockFacts() []fact {
	now := s.now()
	facts := []fact{{"Now", now.UTC().Format("2006-01-02 15:04:05 MST")}}
	if moved := now.Sub(s.clock()).Round(time.Second); moved > 0 {
		facts = append(facts, fact{"Ahead of the real time", between(moved)})
	} else if moved < 0 {
		facts = append(facts, fact{"Behind the real time", between(-moved)})
	}
	if skew := s.skewed(); skew != 0 {
		facts = append(facts, fact{"Shown to clients with an error of", skew.String()})
	}
	return facts
}

func statsFacts(st Stats, most int) []fact {
	n := strconv.Itoa
	return []fact{
		{"Logins", n(st.Logins)},
		{"Refreshes that arrived", n(st.RefreshRequests)},
		{"Rotations", n(st.Rotations)},
		{"Replays", n(st.Replays)},
		{"Reuses", n(st.Reuses)},
		{"Families revoked", n(st.FamiliesRevoked)},
		{"Most redemptions of one token", n(most)},
		{"API requests", n(st.APIRequests)},
		{"of these 401", n(st.APIUnauthorized)},
	}
}
