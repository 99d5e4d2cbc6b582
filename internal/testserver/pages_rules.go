package testserver

import (
	"net/http"
	"strings"
)

// gatesAction is POST of gatesForm.
func (s *Server) gatesAction(_ http.ResponseWriter, r *http.Request) reply {
	form := r.PostForm
	action := form.Get("action")
	if action == "set" {
		gate := gateJSON{On: Endpoint(form.Get("on")), At: Stage(form.Get("at"))}
		if err := gate.check(); err != nil {
			return s.showDashboard(r, "", err.Error())
		}
		s.Gate(gate.On, gate.At)
		return s.showDashboard(r, "The gate is shut: whatever comes there waits.", "")
	}
	gate, ok := s.gateNamed(form.Get("id"))
	if !ok {
		return s.showDashboard(r, "", "There is no such gate.")
	}
	released := true
	switch action {
	case "one":
		released = gate.ReleaseOne()
	case "last":
		released = gate.ReleaseLast()
	case "all":
		s.faults.removeGate(gate)
	default:
		return s.showDashboard(r, "", "There is no such button.")
	}
	if !released {
		return s.showDashboard(r, "", "Nothing waits at this gate.")
	}
	if action == "all" {
		return s.showDashboard(r, "All that waited goes on, and the gate is gone.", "")
	}
	return s.showDashboard(r, "One request goes on.", "")
}

// scriptRow is what is left of a script.
type scriptRow struct {
	On    Endpoint
	Steps []string
}

func (s *Server) scriptRows() (rows []scriptRow) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	for _, on := range endpoints() {
		row := scriptRow{On: on}
		for _, step := range s.faults.scripts[on] {
			row.Steps = append(row.Steps, step.fault.describe())
		}
		if len(row.Steps) > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// scriptSteps are the words of a script. The endpoint is the script's.
func scriptSteps() []quickFault {
	steps := []quickFault{{Name: "nothing happens", Value: "pass"}}
	for _, q := range quickFaults() {
		q.fault.On = AnyEndpoint
		steps = append(steps, q)
	}
	return steps
}

// scriptsAction is POST of scriptsForm.
func (s *Server) scriptsAction(_ http.ResponseWriter, r *http.Request) reply {
	switch form := r.PostForm; form.Get("action") {
	case "clear":
		s.faults.removeScripts()
		return s.showDashboard(r, "No script is left.", "")
	case "scenario":
		scenario, err := ReadScenario(strings.NewReader(form.Get("scenario")))
		if err == nil {
			err = s.Apply(scenario)
		}
		if err != nil {
			return s.showDashboard(r, "", err.Error())
		}
		return s.showDashboard(r, "The scenario is in force.", "")
	case "set":
		var steps []Fault
		for _, word := range strings.Fields(form.Get("steps")) {
			step, ok := quickFaultNamed(scriptSteps(), word)
			if !ok {
				return s.showDashboard(r, "", "A script has no word "+word+".")
			}
			steps = append(steps, step)
		}
		if len(steps) == 0 {
			return s.showDashboard(r, "", "A script needs a step.")
		}
		if err := s.Script(Endpoint(form.Get("on")), steps...); err != nil {
			return s.showDashboard(r, "", err.Error())
		}
		return s.showDashboard(r, "The script waits for its requests.", "")
	}
	return s.showDashboard(r, "", "There is no such button.")
}

// serverAction is POST of serverForm.
func (s *Server) serverAction(_ http.ResponseWriter, r *http.Request) reply {
	switch r.PostForm.Get("action") {
	case "keys":
		if err := s.RotateKeys(); err != nil {
			return s.brokenPage(r, err)
		}
		return s.showDashboard(r, "Tokens are signed with a new key from now on.", "")
	case "reset":
		s.Reset()
		return s.showDashboard(r, "Faults, counts and requests are forgotten, and the clock is right. The sessions are still here.", "")
	}
	return s.showDashboard(r, "", "There is no such button.")
}
