package authtest

import (
	"fmt"
	"io"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// Scenario is a set of faults, scripts, gates and clock settings, as JSON:
//
//	{"clock":   {"skew": "5m", "accessLag": "2s"},
//	 "faults":  [{"on": "refresh", "at": "after-commit", "drop": true}],
//	 "scripts": [{"on": "refresh", "steps": [{"answer": {"status": 503, "retryAfter": "1s"}}, {}]}],
//	 "gates":   [{"on": "refresh", "at": "before-commit"}]}
//
// The members of a fault are the fields of [Fault], in lower camel case, but
// for Do, Match and Rewrite; "incident" is the value of an [Incident]. Durations
// read like "90s" or "7d", times are RFC 3339 or, like "+30s", that far from
// now. The control plane takes the same at /_test/scenario, and each part at
// /_test/faults, /_test/scripts, /_test/gates and /_test/clock.
type Scenario struct{ inner testserver.Scenario }

// ReadScenario reads one. What it does not know is an error: a misspelt
// condition would hit every request.
func ReadScenario(r io.Reader) (Scenario, error) {
	inner, err := testserver.ReadScenario(r)
	if err != nil {
		return Scenario{}, fmt.Errorf("authtest: %w", err)
	}
	return Scenario{inner}, nil
}

// Apply puts a scenario in force, whole or not at all.
func (s *Server) Apply(sc Scenario) error {
	if err := s.inner.Apply(sc.inner); err != nil {
		return fmt.Errorf("authtest: %w", err)
	}
	return nil
}

// Reset takes all faults, scripts and gates out of force, lets go what is held,
// forgets what was counted and sets the clocks right. Sessions stay.
func (s *Server) Reset() { s.inner.Reset() }
