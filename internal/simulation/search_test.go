package simulation_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// node is a moment of a run at which something had to be chosen.
type node struct {
	options []string
	taken   int
}

// search runs every distinct run of a world: it repeats the last one up to its
// deepest moment at which something else could have happened, and lets that
// happen. A run that comes to a state in which another one has been is cut
// short there: what follows is known.
type search struct {
	path     []node
	seen     map[uint64]struct{}
	runs     int
	cut      int
	diverged int
}

// choose follows the path as far as it goes, and extends it.
func (s *search) choose() chooser {
	depth := 0
	return func(w *world, options []option) int {
		d := depth
		depth++
		if d < len(s.path) {
			n := &s.path[d]
			if n.taken >= len(options) || options[n.taken].name() != n.options[n.taken] {
				s.diverged++
				return -1
			}
			return n.taken
		}
		state := w.state()
		if _, seen := s.seen[state]; seen {
			s.cut++
			return -1
		}
		s.seen[state] = struct{}{}
		var n node
		for _, o := range options {
			n.options = append(n.options, o.name())
		}
		s.path = append(s.path, n)
		return 0
	}
}

// advance prepares the next run; false when all are done.
func (s *search) advance() bool {
	for len(s.path) > 0 {
		last := &s.path[len(s.path)-1]
		if last.taken++; last.taken < len(last.options) {
			return true
		}
		s.path = s.path[:len(s.path)-1]
	}
	return false
}

// choices is how the present run is repeated.
func (s *search) choices() string {
	return encode(s.taken())
}

// encode writes choices as "0x12,3,0x4,1": zeros are counted, and those at the
// end are left out.
func encode(taken []int) string {
	var parts []string
	zeros := 0
	for _, n := range taken {
		if n == 0 {
			zeros++
			continue
		}
		if zeros > 0 {
			parts = append(parts, fmt.Sprintf("0x%d", zeros))
		}
		zeros = 0
		parts = append(parts, strconv.Itoa(n))
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.Join(parts, ",")
}

// decode reads what encode wrote.
func decode(choices string) ([]int, error) {
	var taken []int
	for part := range strings.SplitSeq(choices, ",") {
		var n, times int
		if count, ok := strings.CutPrefix(part, "0x"); ok {
			if _, err := fmt.Sscan(count, &times); err != nil {
				return nil, fmt.Errorf("choice %q: %w", part, err)
			}
		} else if _, err := fmt.Sscan(part, &n); err != nil {
			return nil, fmt.Errorf("choice %q: %w", part, err)
		} else {
			times = 1
		}
		for range times {
			taken = append(taken, n)
		}
	}
	return taken, nil
}

// repeats follows choices, and takes what comes first after them.
func repeats(taken []int) chooser {
	return func(_ *world, options []option) int {
		n := 0
		if len(taken) > 0 {
			n, taken = taken[0], taken[1:]
		}
		return min(n, len(options)-1)
	}
}

// draws chooses by seed: now and then something that goes wrong, if it can.
func draws(seed uint64, faults int) chooser {
	r := rand.New(rand.NewPCG(seed, 0))
	rarely := 8 + r.IntN(40)/max(faults, 1)
	return func(_ *world, options []option) int {
		fine := 0
		for fine < len(options) && options[fine].what == "" {
			fine++
		}
		if fine < len(options) && (fine == 0 || r.IntN(rarely) == 0) {
			return fine + r.IntN(len(options)-fine)
		}
		return r.IntN(fine)
	}
}

// exhaust searches a world to its end, or until limit runs are done.
func exhaust(t *testing.T, s setup, limit int) *search {
	t.Helper()
	all := search{seen: map[uint64]struct{}{}}
	for {
		r := run(t, s, all.choose(), false)
		all.runs++
		if r.wrong != "" {
			fail(t, r.wrong, run(t, s, repeats(all.taken()), true), "-sim.choices="+all.choices())
			return &all
		}
		if !all.advance() || all.runs >= limit {
			return &all
		}
	}
}

func (s *search) taken() (taken []int) {
	for _, n := range s.path {
		taken = append(taken, n.taken)
	}
	return taken
}

// fail reports a run, with the one command that repeats it.
func fail(t *testing.T, wrong string, again result, how string) {
	t.Helper()
	t.Errorf("%s\nto see it again: go test ./internal/simulation -run '%s' -args %s", wrong, "^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", how)
	if again.wrong != wrong {
		t.Errorf("repeated, it ended otherwise: %q", again.wrong)
	}
	for _, line := range again.log {
		t.Log(line)
	}
}

// explore searches a world, or repeats one run of it.
func explore(t *testing.T, s setup) {
	t.Helper()
	if *simChoices == "" {
		all := exhaust(t, s, *simLimit)
		t.Logf("%d runs, %d of them cut short", all.runs, all.cut)
		if all.diverged > 0 {
			t.Errorf("%d runs could not be repeated: something decides that is no choice", all.diverged)
		}
		return
	}
	taken, err := decode(*simChoices)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, s, repeats(taken), true)
	for _, line := range r.log {
		t.Log(line)
	}
	if r.wrong != "" {
		t.Error(r.wrong)
	}
}
