package testserver

import (
	"net/http"
	"slices"
	"strconv"
)

type ruleState struct {
	ID    string `json:"id"`
	Fired int    `json:"fired"`
	faultJSON
}

func (s *Server) ruleStates() []ruleState {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	out := []ruleState{}
	for _, r := range s.faults.rules {
		out = append(out, ruleState{ID: r.ID(), Fired: r.fired, faultJSON: r.fault.asJSON()})
	}
	return out
}

func (s *Server) listFaults(w http.ResponseWriter, _ *http.Request) {
	writeControl(w, http.StatusOK, s.ruleStates())
}

type idJSON struct {
	ID string `json:"id"`
}

func (s *Server) postFault(w http.ResponseWriter, r *http.Request) {
	var body faultJSON
	err := readControl(r.Body, &body)
	var fault Fault
	if err == nil {
		fault, err = body.fault(s.now())
	}
	var rule *Rule
	if err == nil {
		rule, err = s.Fault(fault)
	}
	if err != nil {
		s.controlled(w, err)
		return
	}
	writeControl(w, http.StatusCreated, idJSON{rule.ID()})
}

func (s *Server) deleteFault(w http.ResponseWriter, r *http.Request) {
	s.faults.mu.Lock()
	rules := s.faults.rules
	i := slices.IndexFunc(rules, func(rule *Rule) bool { return rule.ID() == r.PathValue("id") })
	s.faults.mu.Unlock()
	if i < 0 {
		s.controlled(w, errNoRule)
		return
	}
	rules[i].Remove()
	s.controlled(w, nil)
}

func (s *Server) deleteFaults(w http.ResponseWriter, _ *http.Request) {
	s.faults.mu.Lock()
	s.faults.rules = nil
	s.faults.mu.Unlock()
	s.controlled(w, nil)
}

type scriptJSON struct {
	On    Endpoint    `json:"on"`
	Steps []faultJSON `json:"steps"`
}

// scriptStates are what is left of the scripts.
func (s *Server) scriptStates() []scriptJSON {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	out := []scriptJSON{}
	for _, on := range endpoints() {
		left := scriptJSON{On: on}
		for _, r := range s.faults.scripts[on] {
			step := r.fault.asJSON()
			step.On, step.Nth, step.Every, step.Times = "", 0, 0, 0
			left.Steps = append(left.Steps, step)
		}
		if len(left.Steps) > 0 {
			out = append(out, left)
		}
	}
	return out
}

func (s *Server) listScripts(w http.ResponseWriter, _ *http.Request) {
	writeControl(w, http.StatusOK, s.scriptStates())
}

func (s *Server) postScript(w http.ResponseWriter, r *http.Request) {
	var body scriptJSON
	err := readControl(r.Body, &body)
	if err == nil {
		err = s.Apply(Scenario{scenarioJSON{Scripts: []scriptJSON{body}}})
	}
	s.controlled(w, err)
}

func (s *Server) deleteScripts(w http.ResponseWriter, _ *http.Request) {
	s.faults.removeScripts()
	s.controlled(w, nil)
}

type gateJSON struct {
	ID   string   `json:"id,omitempty"`
	On   Endpoint `json:"on"`
	At   Stage    `json:"at"`
	Held int      `json:"held"`
}

func (s *Server) gateStates() []gateJSON {
	s.faults.mu.Lock()
	gates := slices.Clone(s.faults.gates)
	s.faults.mu.Unlock()
	out := []gateJSON{}
	for _, g := range gates {
		out = append(out, gateJSON{ID: strconv.Itoa(g.id), On: g.on, At: g.at, Held: g.Held()})
	}
	return out
}

func (s *Server) listGates(w http.ResponseWriter, _ *http.Request) {
	writeControl(w, http.StatusOK, s.gateStates())
}

func (s *Server) postGate(w http.ResponseWriter, r *http.Request) {
	var body gateJSON
	err := readControl(r.Body, &body)
	if err == nil {
		err = body.check()
	}
	if err != nil {
		s.controlled(w, err)
		return
	}
	g := s.Gate(body.On, body.At)
	writeControl(w, http.StatusCreated, idJSON{strconv.Itoa(g.id)})
}

func (s *Server) gateNamed(id string) (*Gate, bool) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	i := slices.IndexFunc(s.faults.gates, func(g *Gate) bool { return strconv.Itoa(g.id) == id })
	if i < 0 {
		return nil, false
	}
	return s.faults.gates[i], true
}

// releaseGate lets one request go, the latest one, or all that come.
func (s *Server) releaseGate(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Last bool `json:"last"`
		All  bool `json:"all"`
	}
	err := readControl(r.Body, &body)
	g, ok := s.gateNamed(r.PathValue("id"))
	switch {
	case err != nil:
		s.controlled(w, err)
		return
	case !ok:
		s.controlled(w, errNoRule)
		return
	}
	released := true
	switch {
	case body.All:
		g.ReleaseAll()
	case body.Last:
		released = g.ReleaseLast()
	default:
		released = g.ReleaseOne()
	}
	writeControl(w, http.StatusOK, map[string]bool{"released": released})
}

func (s *Server) deleteGate(w http.ResponseWriter, r *http.Request) {
	g, ok := s.gateNamed(r.PathValue("id"))
	if !ok {
		s.controlled(w, errNoRule)
		return
	}
	s.faults.removeGate(g)
	s.controlled(w, nil)
}

// removeGate opens a gate and takes it away.
func (f *faults) removeGate(g *Gate) {
	f.mu.Lock()
	f.gates = slices.DeleteFunc(f.gates, func(o *Gate) bool { return o == g })
	f.mu.Unlock()
	g.ReleaseAll()
}

// removeScripts forgets what is left of the scripts.
func (f *faults) removeScripts() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scripts, f.steps = nil, nil
}

// clear takes everything out of force and lets go what is held.
func (f *faults) clear() {
	f.mu.Lock()
	gates := f.gates
	f.rules, f.scripts, f.steps, f.gates = nil, nil, nil, nil
	f.mu.Unlock()
	for _, g := range gates {
		g.ReleaseAll()
	}
}
