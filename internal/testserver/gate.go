package testserver

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Gate holds requests at a stage until it is told to let them go, so that a
// test can choose the order of a race. A client that leaves does not free its
// request: what was sent is still at the server.
type Gate struct {
	id int
	on Endpoint
	at Stage

	mu      sync.Mutex // guards what follows; never held across I/O, timers or callbacks
	held    []chan struct{}
	open    bool
	changed chan struct{} // closed and replaced when held changes
}

// Gate closes a gate on an endpoint at a stage.
func (s *Server) Gate(on Endpoint, at Stage) *Gate {
	if at == "" {
		at = BeforeHandler
	}
	g := &Gate{on: on, at: at, changed: make(chan struct{})}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.last++
	g.id = s.faults.last
	s.faults.gates = append(s.faults.gates, g)
	return g
}

func (f *faults) gatesAt(e Endpoint, at Stage) []*Gate {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*Gate
	for _, g := range f.gates {
		if g.at == at && (g.on == AnyEndpoint || g.on == e) {
			out = append(out, g)
		}
	}
	return out
}

// hold keeps a request until it is released; false means that the server ends.
func (g *Gate) hold(done <-chan struct{}) bool {
	g.mu.Lock()
	if g.open {
		g.mu.Unlock()
		return true
	}
	mine := make(chan struct{})
	g.held = append(g.held, mine)
	g.wake()
	g.mu.Unlock()
	select {
	case <-mine:
		return true
	case <-done:
		return false
	}
}

// wake tells the waiters that held has changed. The caller holds g.mu.
func (g *Gate) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// Wait returns when at least n requests are held, or with an error when ctx
// ends first.
func (g *Gate) Wait(ctx context.Context, n int) error {
	for {
		g.mu.Lock()
		held, changed := len(g.held), g.changed
		g.mu.Unlock()
		if held >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("testserver: %d of %d requests at the gate: %w", held, n, context.Cause(ctx))
		}
	}
}

// ReleaseOne lets the request go that has been held longest, and reports
// whether there was one.
func (g *Gate) ReleaseOne() bool { return g.release(func(int) int { return 0 }) }

// ReleaseLast lets the request go that came last, and reports whether there
// was one.
func (g *Gate) ReleaseLast() bool { return g.release(func(n int) int { return n - 1 }) }

func (g *Gate) release(which func(n int) int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.held) == 0 {
		return false
	}
	i := which(len(g.held))
	close(g.held[i])
	g.held = slices.Delete(g.held, i, i+1)
	g.wake()
	return true
}

// Held says how many requests are at the gate.
func (g *Gate) Held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.held)
}

// ReleaseAll opens the gate for good.
func (g *Gate) ReleaseAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
	for _, c := range g.held {
		close(c)
	}
	g.held = nil
	g.wake()
}
