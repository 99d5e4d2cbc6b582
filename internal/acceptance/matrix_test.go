package acceptance_test

import (
	"flag"
	"os"
	"testing"
)

// atOnce is how many cells run at a time: they wait more than they work.
const atOnce = "48"

func TestMain(m *testing.M) {
	flag.Parse()
	if !given("test.parallel") {
		_ = flag.Set("test.parallel", atOnce) // it exists, and takes a number
	}
	os.Exit(m.Run())
}

func given(name string) (found bool) {
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

func TestAcceptanceMatrix(t *testing.T) {
	for _, l := range []layout{{pipe, 1}, {http1, 1}, {http2, 1}} {
		t.Run(l.transport, func(t *testing.T) {
			t.Parallel()
			for _, k := range kinds() {
				for _, f := range faults() {
					c := cell{k, f, l}
					want := expect(k, f, l)
					if want.outcome == impossible {
						continue
					}
					t.Run(string(k.name)+"/"+f.name, func(t *testing.T) {
						t.Parallel()
						if l.transport == pipe {
							inBubble(t, c).check(t, c, want)
						} else {
							overSockets(t, c).check(t, c, want)
						}
					})
				}
			}
		})
	}
}
