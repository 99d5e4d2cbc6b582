package simulation_test

import (
	"flag"
	"slices"
	"strconv"
	"testing"
	"time"
)

var (
	simFaults  = flag.Int("sim.faults", 1, "how many things go wrong in a searched run")
	simAll     = flag.Bool("sim.all", false, "search every world for every kind of server, not for the first alone")
	simLimit   = flag.Int("sim.limit", 1_000_000, "how many runs of a world are searched at most")
	simChoices = flag.String("sim.choices", "", "repeat this run of a searched world")
	simSeeds   = flag.Uint64("sim.seeds", 10, "seeds for each drawn world")
	simSeed    = flag.Uint64("sim.seed", 0, "repeat this seed of a drawn world")
)

const (
	ended = lifetime + time.Second   // of the first token: nobody can use it any more
	due   = lifetime - 5*time.Second // ... it can be used, and is to be renewed
	fresh = lifetime / 10            // ... there is no reason to renew it
	soon  = 2 * time.Second          // until somebody comes back
	late  = 10 * time.Second         // ... later than a short grace lasts
)

// atTheEnd: a token is used again when it has ended.
var atTheEnd = []time.Duration{time.Second}

// pair is what the searched worlds have in common: two processes find a
// token that has ended.
func pair(k kind, faults ...fault) setup {
	return setup{
		kind: k, processes: 2, rounds: 1, age: ended, phases: atTheEnd, comeBack: soon, want: 1,
		budget: *simFaults, faults: faults,
	}
}

// eachKind searches one world for kinds of servers: the first few always, the
// others with -sim.all.
func eachKind(t *testing.T, few int, some []kind, world func(kind) setup) {
	t.Helper()
	for n, k := range some {
		if n >= few && !*simAll && *simChoices == "" {
			break
		}
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			explore(t, world(k))
		})
	}
}

// Guards rules 5 to 12: whatever goes wrong at whatever moment, a session is
// lost only where no client could have kept it, and no token is spent twice.
func TestNothingThatGoesWrongLosesASessionThatCouldBeKept(t *testing.T) {
	eachKind(t, 1, kinds, func(k kind) setup {
		return pair(k, crash, pauseProc, notSent, loseRequest, lateRequest, crashLate, slowRequest, loseAnswer, silence,
			slowAnswer, failLoad, failSave, failSaved, fullDisk, storeGone, busyServer)
	})
}

// Guards rule 7: the store can give the lease to somebody else.
func TestALeaseThatEndsByTheClockIsEnough(t *testing.T) {
	eachKind(t, 3, kinds, func(k kind) setup {
		s := pair(k, crash, pauseProc, crashLate, slowRequest, slowAnswer, silence, loseLease, fullDisk)
		s.timed = true
		return s
	})
}

// Guards rules 9 and 12 for programs that run once and exit: who comes back
// later finds a session.
func TestACommandThatRunsOnceKeepsItsSession(t *testing.T) {
	eachKind(t, len(kinds), kinds, func(k kind) setup {
		s := pair(k, notSent, loseRequest, loseAnswer, silence, failSave, failSaved, failLoad, busyServer)
		s.processes, s.oneShot, s.comeBack = 1, true, late
		return s
	})
}

// Guards rules 10 and 13: a logout wins over what is under way, and what that
// brings is revoked.
func TestALogoutWinsOverARefresh(t *testing.T) {
	eachKind(t, 1, []kind{strictRevoke, sibling, untilUsed}, func(k kind) setup {
		s := pair(k, crash, loseAnswer, lateRequest, failSave, failSaved, fullDisk)
		s.processes, s.users = 1, []string{"logout"}
		return s
	})
}

// Guards rules 10 and 13: so does a login.
func TestALoginWinsOverARefresh(t *testing.T) {
	eachKind(t, 1, []kind{strictRevoke, sibling, untilUsed}, func(k kind) setup {
		s := pair(k, crash, loseAnswer, failSave, failSaved, otherAccount)
		s.processes, s.users = 1, []string{"login"}
		return s
	})
}

// Guards rule 13: in either order.
func TestALogoutAndALoginMeetARefresh(t *testing.T) {
	eachKind(t, 0, []kind{strictRevoke}, func(k kind) setup {
		s := pair(k, crash, loseAnswer, failSaved)
		s.processes, s.users = 1, []string{"login", "logout"}
		s.budget--
		return s
	})
}

// Guards rule 3: a rejection that comes late renews nothing.
func TestARejectionOfAnOldTokenRenewsNothing(t *testing.T) {
	for name, same := range map[string]bool{"differing": false, "same-text": true} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, 1, []kind{strictRevoke}, func(k kind) setup {
				s := pair(k)
				s.processes, s.age, s.rejecting, s.rounds = 1, fresh, rejectsOld, 2 // callers
				s.sameText, s.budget = same, 0
				return s
			})
		})
	}
}

// Guards rules 3 and 11: nor does one that comes while something goes wrong.
func TestARejectionMeetsWhateverGoesWrong(t *testing.T) {
	eachKind(t, 0, []kind{strictRevoke}, func(k kind) setup {
		s := pair(k, failSaved, fullDisk)
		s.processes, s.age, s.rejecting, s.rounds = 1, fresh, rejectsOld, 2 // callers
		return s
	})
}

// Guards rule 3: an API that refuses every token wears out no session.
func TestAnAPIThatRefusesEverythingCausesNoStorm(t *testing.T) {
	eachKind(t, 1, []kind{strictRevoke}, func(k kind) setup {
		s := pair(k)
		s.processes, s.age, s.rejecting, s.want = 1, fresh, rejectsAll, 4
		return s
	})
}

// Guards rule 5: what the store has forgotten is written back.
func TestARestoredBackupIsNotBelieved(t *testing.T) {
	eachKind(t, len(kinds), kinds, func(k kind) setup {
		s := pair(k, rollBack, failSave, loseAnswer)
		s.processes, s.rounds, s.want = 1, 3, 3
		return s
	})
}

// Guards rule 12: one refusal is not the end.
func TestARefusalIsNotBelievedAtOnce(t *testing.T) {
	eachKind(t, 1, kinds, func(k kind) setup {
		s := pair(k, lag, early, loseAnswer, failSave)
		s.age, s.rounds = due, 2
		s.want = 2
		return s
	})
}

// Guards rule 12: nor is that of a token which a replica does not know yet.
func TestAReplicaMayLag(t *testing.T) {
	eachKind(t, 1, kinds, func(k kind) setup {
		s := pair(k, lag)
		s.age, s.rejecting = time.Second, rejectsOld
		return s
	})
}

// Guards rule 13: tokens of somebody else are not used, and handed back.
func TestAnAnswerForAnotherAccountIsNotUsed(t *testing.T) {
	eachKind(t, 1, []kind{strictRevoke, sibling}, func(k kind) setup { return pair(k, otherAccount, loseAnswer, failSave) })
}

// Guards all of them together, in worlds that are too large to be searched:
// three processes, and many things that go wrong.
func TestNoSeedLosesASessionThatCouldBeKept(t *testing.T) {
	for _, k := range kinds {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			first, last := uint64(1), *simSeeds
			if *simSeed != 0 {
				first, last = *simSeed, *simSeed
			}
			for seed := first; seed <= last; seed++ {
				if !tryOne(t, k, seed) {
					return
				}
			}
		})
	}
}

// drawn is a large world; its seed also says how large.
func drawn(k kind, seed uint64) setup {
	s := setup{
		kind: k, processes: 1 + int(seed%3), rounds: 5, age: ended, comeBack: soon,
		phases: []time.Duration{-lifetime / 2, -8 * time.Second, -time.Second, time.Second, 40 * time.Second},
		timed:  seed%2 == 0, slow: 40, seed: seed, budget: int(seed % 5),
		faults: []fault{crash, pauseProc, notSent, loseRequest, lateRequest, crashLate, slowRequest, loseAnswer, silence,
			slowAnswer, failLoad, failSave, failSaved, fullDisk, storeGone, loseLease, lag, early, busyServer},
	}
	switch seed % 7 {
	case 3:
		s.users = []string{"logout"}
	case 5:
		s.users = []string{"login", "logout", "login"}
	case 6:
		s.processes, s.faults = 1, append(slices.Clone(s.faults), rollBack)
	}
	return s
}

// tryOne runs a seed, and reports whether all was well.
func tryOne(t *testing.T, k kind, seed uint64) bool {
	t.Helper()
	s := drawn(k, seed)
	r := run(t, s, draws(seed, s.budget), *simSeed != 0)
	if r.wrong == "" {
		return true
	}
	again := run(t, s, draws(seed, s.budget), true)
	fail(t, r.wrong, again, "-sim.seed="+strconv.FormatUint(seed, 10))
	return false
}
