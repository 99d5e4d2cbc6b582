package testserver

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Scenario is a set of rules, scripts, gates and clock settings, as JSON:
//
//	{"clock":   {"skew": "5m"},
//	 "faults":  [{"on": "refresh", "at": "after-commit", "drop": true}],
//	 "scripts": [{"on": "refresh", "steps": [{"answer": {"status": 503, "retryAfter": "1s"}}, {}]}],
//	 "gates":   [{"on": "refresh", "at": "before-commit"}]}
//
// The members of a fault are the fields of Fault, in lower camel case;
// durations read like "90s" or "7d", times are RFC 3339 or, like "+30s", that
// far from now. What it does not know is an error.
type Scenario struct{ inner scenarioJSON }

type scenarioJSON struct {
	Clock   clockJSON    `json:"clock,omitzero"`
	Faults  []faultJSON  `json:"faults,omitempty"`
	Scripts []scriptJSON `json:"scripts,omitempty"`
	Gates   []gateJSON   `json:"gates,omitempty"`
}

// ReadScenario reads one.
func ReadScenario(r io.Reader) (Scenario, error) {
	var sc Scenario
	return sc, readControl(r, &sc.inner)
}

// Apply puts a scenario in force, whole or not at all.
func (s *Server) Apply(sc Scenario) error {
	var errs []error
	now := s.now()
	var faults []Fault
	for _, j := range sc.inner.Faults {
		f, err := j.fault(now)
		faults = append(faults, f)
		errs = append(errs, err, f.check())
	}
	scripts := make([][]Fault, len(sc.inner.Scripts))
	for i, j := range sc.inner.Scripts {
		for _, step := range j.Steps {
			f, err := step.fault(now)
			scripts[i] = append(scripts[i], f)
			errs = append(errs, err)
		}
		_, err := s.script(j.On, scripts[i])
		errs = append(errs, err)
	}
	for _, g := range sc.inner.Gates {
		errs = append(errs, g.check())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	sc.inner.Clock.apply(s)
	for _, f := range faults {
		s.faults.add(f.withDefaults())
	}
	for i, j := range sc.inner.Scripts {
		if err := s.Script(j.On, scripts[i]...); err != nil {
			return err
		}
	}
	for _, g := range sc.inner.Gates {
		s.Gate(g.On, g.At)
	}
	return nil
}

func (s *Server) postScenario(w http.ResponseWriter, r *http.Request) {
	sc, err := ReadScenario(r.Body)
	if err == nil {
		err = s.Apply(sc)
	}
	s.controlled(w, err)
}

func (g gateJSON) check() error {
	if !slices.Contains(endpoints(), g.On) || !slices.Contains(stages(), g.At) || g.At == OnAccept {
		return fmt.Errorf("testserver: gate: no endpoint %q or no stage %q to hold requests at", g.On, g.At)
	}
	return nil
}

// faultJSON is a Fault as the control plane writes it.
type faultJSON struct {
	On          Endpoint  `json:"on,omitempty"`
	Path        string    `json:"path,omitempty"`
	At          Stage     `json:"at,omitempty"`
	Nth         int       `json:"nth,omitempty"`
	Every       int       `json:"every,omitempty"`
	Times       int       `json:"times,omitempty"` // -1: for ever
	Client      string    `json:"client,omitempty"`
	Session     string    `json:"session,omitempty"`
	Device      string    `json:"device,omitempty"`
	User        string    `json:"user,omitempty"`
	Header      string    `json:"header,omitempty"`
	From        string    `json:"from,omitempty"`
	Until       string    `json:"until,omitempty"`
	Probability float64   `json:"probability,omitempty"`
	Seed        uint64    `json:"seed,omitempty"`
	Incident    Incident  `json:"incident,omitempty"`
	Delay       span      `json:"delay,omitzero"`
	Jitter      span      `json:"jitter,omitzero"`
	Twice       bool      `json:"twice,omitempty"`
	Overtaken   bool      `json:"overtaken,omitempty"`
	Hang        bool      `json:"hang,omitempty"`
	Drop        bool      `json:"drop,omitempty"`
	Reset       bool      `json:"reset,omitempty"`
	Answer      *wireJSON `json:"answer,omitempty"`
	Edit        Edit      `json:"edit,omitempty"`
	Bytes       int       `json:"bytes,omitempty"`
}

type wireJSON struct {
	Status     int         `json:"status,omitempty"`
	Header     http.Header `json:"header,omitempty"`
	Body       string      `json:"body,omitempty"`
	Pad        int64       `json:"pad,omitempty"`
	RetryAfter string      `json:"retryAfter,omitempty"`
	Hints      bool        `json:"hints,omitempty"`
	Interim    []int       `json:"interim,omitempty"`
	Raw        bool        `json:"raw,omitempty"`
	PaceBytes  int         `json:"paceBytes,omitempty"`
	PaceEvery  span        `json:"paceEvery,omitzero"`
}

// fault reads a rule; now is what "+30s" counts from.
func (j faultJSON) fault(now time.Time) (Fault, error) {
	from, errFrom := moment(j.From, now)
	until, errUntil := moment(j.Until, now)
	f := Fault{
		On: j.On, Path: j.Path, At: j.At, Nth: j.Nth, Every: j.Every, Times: j.Times,
		Client: j.Client, Session: j.Session, Device: j.Device, User: j.User, Header: j.Header,
		From: from, Until: until, Probability: j.Probability, Seed: j.Seed, Incident: j.Incident,
		Delay: time.Duration(j.Delay), Jitter: time.Duration(j.Jitter),
		Twice: j.Twice, Overtaken: j.Overtaken, Hang: j.Hang, Drop: j.Drop, Reset: j.Reset, Edit: j.Edit, Bytes: j.Bytes,
	}
	if j.Answer != nil {
		f.Answer = &Answer{
			Status: j.Answer.Status, Header: j.Answer.Header, Body: j.Answer.Body, Pad: j.Answer.Pad,
			RetryAfter: j.Answer.RetryAfter, Hints: j.Answer.Hints, Interim: j.Answer.Interim, Raw: j.Answer.Raw,
			PaceBytes: j.Answer.PaceBytes, PaceEvery: time.Duration(j.Answer.PaceEvery),
		}
	}
	return f, errors.Join(errFrom, errUntil)
}

// asJSON is a rule without what JSON cannot say: Do, Match and Rewrite.
func (f Fault) asJSON() faultJSON {
	j := faultJSON{
		On: f.On, Path: f.Path, At: f.At, Nth: f.Nth, Every: f.Every, Times: f.Times,
		Client: f.Client, Session: f.Session, Device: f.Device, User: f.User, Header: f.Header,
		Probability: f.Probability, Seed: f.Seed, Incident: f.Incident, Delay: span(f.Delay), Jitter: span(f.Jitter),
		Twice: f.Twice, Overtaken: f.Overtaken, Hang: f.Hang, Drop: f.Drop, Reset: f.Reset, Edit: f.Edit, Bytes: f.Bytes,
	}
	for to, t := range map[*string]time.Time{&j.From: f.From, &j.Until: f.Until} {
		if !t.IsZero() {
			*to = t.Format(time.RFC3339Nano)
		}
	}
	if f.Answer != nil {
		j.Answer = &wireJSON{
			Status: f.Answer.Status, Header: f.Answer.Header, Body: f.Answer.Body, Pad: f.Answer.Pad,
			RetryAfter: f.Answer.RetryAfter, Hints: f.Answer.Hints, Interim: f.Answer.Interim, Raw: f.Answer.Raw,
			PaceBytes: f.Answer.PaceBytes, PaceEvery: span(f.Answer.PaceEvery),
		}
	}
	return j
}

// moment is RFC 3339, or a while from now.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ahead, ok := strings.CutPrefix(text, "+"); ok {
		d, err := parseSpan(ahead)
		return now.Add(d), err
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, errors.New("testserver: control: a time is RFC 3339 or reads like +30s")
	}
	return t, nil
}
