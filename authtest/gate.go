package authtest

import (
	"context"
	"fmt"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// Gate holds requests at a stage until it lets them go, so that a test chooses
// the order of a race. A client that leaves does not free its request. Gates
// come before faults; Close aborts what is still held.
type Gate struct{ inner *testserver.Gate }

// Gate closes a gate on an endpoint at a stage.
func (s *Server) Gate(on Endpoint, at Stage) *Gate {
	return &Gate{s.inner.Gate(testserver.Endpoint(on), testserver.Stage(at))}
}

// Wait returns when at least n requests are held, or with an error when ctx
// ends first.
func (g *Gate) Wait(ctx context.Context, n int) error {
	if err := g.inner.Wait(ctx, n); err != nil {
		return fmt.Errorf("authtest: %w", err)
	}
	return nil
}

// ReleaseOne lets the request go that has been held longest, and reports
// whether there was one.
func (g *Gate) ReleaseOne() bool { return g.inner.ReleaseOne() }

// ReleaseLast lets the request go that came last, and reports whether there
// was one: answers in the reverse order of their requests.
func (g *Gate) ReleaseLast() bool { return g.inner.ReleaseLast() }

// ReleaseAll opens the gate for good.
func (g *Gate) ReleaseAll() { g.inner.ReleaseAll() }
