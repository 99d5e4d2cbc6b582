package simulation_test

import (
	"flag"
	"testing"
	"time"
)

var (
	simBudget  = flag.Int("sim.faults", 1, "how many things go wrong in a searched run")
	simLimit   = flag.Int("sim.limit", 1_000_000, "how many runs of a world are searched at most")
	simChoices = flag.String("sim.choices", "", "repeat this run of a world")
	simSeeds   = flag.Uint64("sim.seeds", 20, "seeds for each drawn world")
	simSeed    = flag.Uint64("sim.seed", 0, "repeat this seed of a drawn world")
)

// explore searches a world, or repeats one run of it.
func explore(t *testing.T, s setup) {
	t.Helper()
	if *simChoices != "" {
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
		return
	}
	all := exhaust(t, s, *simLimit)
	t.Logf("%d runs, %d of them cut short, %d diverged", all.runs, all.cut, all.diverged)
	if all.diverged > 0 {
		t.Errorf("%d runs could not be repeated: something decides that is no choice", all.diverged)
	}
}

var (
	ended    = lifetime + time.Second
	due      = lifetime - 5*time.Second
	atTheEnd = []time.Duration{time.Second}
)

// Two processes, whose token has ended, and one thing that goes wrong anywhere.
func TestNoInterleavingLosesASessionThatCouldBeKept(t *testing.T) {
	for _, k := range kinds {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			explore(t, setup{
				kind: k, processes: 2, rounds: 1, age: ended, phases: atTheEnd, comeBack: 2 * time.Second, want: 1,
				budget: *simBudget,
				faults: []fault{crash, pauseProc, notSent, loseRequest, lateRequest, crashLate, slowRequest, loseAnswer, silence,
					slowAnswer, failLoad, failSave, failSaved, fullDisk, busyServer},
			})
		})
	}
}
