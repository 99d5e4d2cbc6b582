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

// gate lets so many cells work at a time. Those with a fault that hangs, which
// mostly wait, need not ask.
type gate chan struct{}

func (g gate) pass(t *testing.T, f fault) {
	if f.hangs {
		return
	}
	g <- struct{}{}
	t.Cleanup(func() { <-g })
}

const (
	atWork  = 8 // cells in this process
	atWork4 = 4 // cells of four processes
)

func TestAcceptanceMatrix(t *testing.T) {
	working := make(gate, atWork)
	for _, l := range []layout{{pipe, 1}, {http1, 1}, {http2, 1}} {
		eachCell(t, l, kinds(), func(t *testing.T, c cell) observation {
			working.pass(t, c.fault)
			if l.transport == pipe {
				return inBubble(t, c)
			}
			return overSockets(t, c)
		})
	}
}

func TestAcceptanceMatrixOfFourProcesses(t *testing.T) {
	needKeyring(t)
	members := make([]*member, processes)
	for i := range members {
		members[i] = startMember(t)
		t.Cleanup(members[i].stop)
	}
	var few []kind
	for _, name := range representatives() {
		few = append(few, kindNamed(name))
	}
	working := make(gate, atWork4)
	for _, l := range []layout{{http1, processes}, {http2, processes}} {
		eachCell(t, l, few, func(t *testing.T, c cell) observation {
			working.pass(t, c.fault)
			return byProcesses(t, c, members)
		})
	}
}

// eachCell runs the cells of one table beside each other.
func eachCell(t *testing.T, l layout, kinds []kind, run func(*testing.T, cell) observation) {
	t.Run(strings.ReplaceAll(l.transport, "/", "-"), func(t *testing.T) {
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
					run(t, c).check(t, c, want)
				})
			}
		}
	})
}

func needKeyring(t *testing.T) {
	t.Helper()
	if os.Getenv("PAWL_TEST_KEYRING") == "1" {
		return
	}
	if os.Getenv("PAWL_REQUIRE_SERVICES") == "1" {
		t.Fatal("PAWL_REQUIRE_SERVICES=1, but there is no keyring to test with")
	}
	t.Skip("needs a Secret Service: run make test")
}
