package acceptance_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv(memberVar) != "" {
		if err := serveOrders(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "1024") // all cells; the gate says how many work
	os.Exit(m.Run())
}

// gate lets so many cells work at a time, and more of those that mostly wait.
type gate struct{ working, waiting chan struct{} }

func newGate(working, waiting int) gate {
	return gate{make(chan struct{}, working), make(chan struct{}, waiting)}
}

func (g gate) pass(f fault) (leave func()) {
	through := g.working
	if f.hangs {
		through = g.waiting
	}
	through <- struct{}{}
	return func() { <-through }
}

// Guards the rules of the session against every kind of server at once: what
// each cell must come to is in expect_test.go, and what it came to is in
// docs/acceptance.md.
func TestAcceptanceMatrix(t *testing.T) {
	b := &book{cells: map[string]entry{}}
	t.Run("cells", func(t *testing.T) {
		b.oneProcess(t)
		b.fourProcesses(t)
	})
	if !t.Failed() {
		b.compare(t)
	}
}

func (b *book) oneProcess(t *testing.T) {
	working := newGate(8, 24)
	for _, transport := range []string{pipe, http1, http2} {
		b.eachCell(t, layout{transport, 1}, kinds(), working, func(t *testing.T, c cell) observation {
			if transport == pipe {
				return inBubble(t, c)
			}
			return overSockets(t, c)
		})
	}
}

func (b *book) fourProcesses(t *testing.T) {
	if !haveKeyring(t) {
		return
	}
	members := make([]*member, processes)
	for i := range members {
		members[i] = startMember(t)
		t.Cleanup(members[i].stop) // when all cells are over
	}
	working := newGate(4, 24)
	for _, transport := range []string{http1, http2} {
		b.eachCell(t, layout{transport, processes}, representing(), working, func(t *testing.T, c cell) observation {
			return byProcesses(t, c, members)
		})
	}
}

// eachCell runs the cells of one table beside each other and beside those of
// the other tables.
func (b *book) eachCell(t *testing.T, l layout, kinds []kind, working gate, run func(*testing.T, cell) observation) {
	t.Run(fmt.Sprintf("%s-x%d", strings.ReplaceAll(l.transport, "/", "-"), l.processes), func(t *testing.T) {
		t.Parallel()
		for _, k := range kinds {
			for _, f := range faults() {
				c := cell{k, f, l}
				want := expect(k, f, l)
				if want.outcome == impossible {
					continue
				}
				t.Run(string(k.name)+"/"+f.name, func(t *testing.T) {
					t.Parallel()
					defer working.pass(c.fault)()
					b.enter(c, play(t, c, want, run), want)
				})
			}
		}
	})
}

// play runs a cell until it says something: one that misses its expectation
// where the machine was too slow for the budgets of a refresh says nothing. A
// client that is wrong is wrong again, and in the bubbles, which are never slow.
func play(t *testing.T, c cell, want expectation, run func(*testing.T, cell) observation) (o observation) {
	var bad []string
	for range 3 {
		o = run(t, c)
		if bad = o.complaints(c, want); len(bad) == 0 || c.layout.transport == pipe || !o.slow(c) {
			break
		}
		t.Logf("the machine was too slow for this cell: %s", bad)
	}
	for _, what := range bad {
		t.Error(what)
	}
	return o
}

// haveKeyring reports whether there is a real keyring. A missing one is a skip
// of its own, beside the cells that need none.
func haveKeyring(t *testing.T) bool {
	return t.Run("keyring", func(t *testing.T) {
		if os.Getenv("PAWL_TEST_KEYRING") == "1" {
			return
		}
		if os.Getenv("PAWL_REQUIRE_SERVICES") == "1" {
			t.Fatal("PAWL_REQUIRE_SERVICES=1, but there is no keyring to test with")
		}
		t.Skip("needs a Secret Service: run make test")
	}) && os.Getenv("PAWL_TEST_KEYRING") == "1"
}
