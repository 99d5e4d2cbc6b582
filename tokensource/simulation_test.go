package tokensource_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// The simulation runs the real Session code of several processes over one
// store against a server of each kind, on fake time, with seeded faults:
// crashes, lost answers, requests that are processed late, failed saves,
// leases that expire, pauses. Each I/O takes a time of its own, drawn from the
// seed, so that the order of everything is that of the seed.
var (
	simSeeds = flag.Int("sim.seeds", 20, "seeds for each server and set of faults")
	simSeed  = flag.Uint64("sim.seed", 0, "only this seed")
)

// live is the life of a process: it uses its token about once a second, and is
// started again when it crashes.
func (s *simulation) live(t *testing.T, name string, end time.Time) {
	for life := 0; time.Now().Before(end); life++ {
		p := &simProcess{simulation: s, name: name + "." + strconv.Itoa(life)}
		p.ctx, p.kill = context.WithCancel(context.Background())
		session, err := tokensource.NewSession(tokensource.Config{Key: testKey, Store: p, Refresher: p, Rotation: s.policy.rotation()})
		if err != nil {
			t.Error(err)
			return
		}
		for n := 0; time.Now().Before(end) && p.ctx.Err() == nil; n++ {
			_, _ = session.Token(p.ctx)
			time.Sleep(500*time.Millisecond + time.Duration(s.draw(p.name+"use", n, uint64(time.Second))))
		}
		p.die()
		time.Sleep(time.Duration(1 + s.draw(p.name+"restart", life, uint64(2*time.Second))))
	}
}

// run is one simulation. It returns what is wrong with its end.
func (s *simulation) run(t *testing.T, processes int) (wrong string) {
	s.store, s.tokens, s.alive = tokensource.NewMemoryStore(), map[string]*simToken{}, true
	login, err := tokensource.NewSession(tokensource.Config{Key: testKey, Store: s.store, Refresher: &simProcess{simulation: s}})
	require.NoError(t, err)
	s.mu.Lock()
	first := s.issue(nil, "login")
	s.mu.Unlock()
	require.NoError(t, login.Adopt(t.Context(), simGrant(first)))
	// The processes outlive the last fault: what nobody comes back to while
	// a grace lasts is lost.
	s.calm = time.Now().Add(100 * time.Second)
	end := time.Now().Add(2 * time.Minute)
	var all sync.WaitGroup
	for i := range processes {
		all.Go(func() { s.live(t, "p"+strconv.Itoa(i), end) })
	}
	all.Wait()
	time.Sleep(2 * time.Minute) // every late request and pending save is over
	return s.judge(t)
}

// judge starts a last process that nothing happens to, and compares what it
// gets with what it could have got.
func (s *simulation) judge(t *testing.T) string {
	s.mu.Lock()
	s.left = map[fault]int{}
	s.mu.Unlock()
	p := &simProcess{simulation: s, name: "judge"}
	p.ctx, p.kill = context.WithCancel(context.Background())
	session, err := tokensource.NewSession(tokensource.Config{Key: testKey, Store: p, Refresher: p, Rotation: s.policy.rotation()})
	require.NoError(t, err)
	for range 90 { // longer than any pause
		if _, err = session.Token(t.Context()); err == nil || errors.Is(err, tokensource.ErrLoginRequired) {
			break
		}
		time.Sleep(time.Second)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	most := 0
	for _, t := range s.tokens {
		most = max(most, t.presented)
	}
	switch {
	case err != nil && !s.excused():
		return "the session was lost: " + err.Error()
	case err != nil && !errors.Is(err, tokensource.ErrLoginRequired):
		return "no clear end: " + err.Error()
	case len(s.happened) == 0 && most > 1:
		return "a token was presented twice though nothing had happened"
	case s.requests > 60:
		return fmt.Sprintf("a storm of %d requests", s.requests)
	}
	return ""
}

// excused: no client can survive these (see ARCHITECTURE.md).
func (s *simulation) excused() bool {
	bad := func(faults ...fault) bool {
		return slices.ContainsFunc(s.happened, func(h string) bool { return slices.Contains(faults, fault(h)) })
	}
	switch s.policy {
	case sameChild, sibling:
		return false
	case shortGrace: // nobody comes back in so short a time
		return bad(crash, crashAsking, lateRequest, slowNetwork, pauseProc)
	case lastWins, untilUsed:
		// A dead or paused holder's request that lands after its successor's;
		// with two crashes, the waits for two marks are longer than a grace.
		crashes := slices.DeleteFunc(slices.Clone(s.happened), func(h string) bool { return fault(h) != crash && fault(h) != crashAsking })
		return bad(lateRequest, pauseProc, loseLease) || s.policy == lastWins && len(crashes) > 1 // of either kind
	}
	return bad(crash, crashAsking, loseAnswer, lateRequest, pauseProc)
}

// simulate runs the seeds of one server and set of faults.
func simulate(t *testing.T, p policy, faults map[fault]int) {
	t.Helper()
	first, n := uint64(1), *simSeeds
	if *simSeed != 0 {
		first, n = *simSeed, 1
	}
	for seed := first; seed < first+uint64(n); seed++ {
		s := &simulation{seed: seed, policy: p, left: map[fault]int{}}
		for f, n := range faults {
			s.left[f] = n
		}
		var wrong string
		processes := 1 + int(seed%3)
		if faults[rollBack] > 0 {
			processes = 1 // the newest token must be in somebody's memory
		}
		synctest.Test(t, func(t *testing.T) { wrong = s.run(t, processes) })
		if wrong != "" {
			t.Errorf("%s, seed %d (-sim.seed=%d): %s; what happened: %v", p, seed, seed, wrong, s.happened)
			for _, line := range s.log {
				t.Log(line)
			}
			return
		}
	}
}

// Guards rules 5 to 12 together: whatever happens once or twice, a session is
// lost only where no client could have kept it.
func TestNoInterleavingLosesASessionThatCouldBeKept(t *testing.T) {
	for _, p := range []policy{strictRevoke, strictReject, sameChild, sibling, lastWins, untilUsed, shortGrace} {
		t.Run(string(p), func(t *testing.T) {
			for name, faults := range map[string]map[fault]int{
				"nothing happens": {},
				"crashes":         {crash: 2},
				"crash asking":    {crashAsking: 1},
				"slow":            {slowNetwork: 3, loseLease: 2},
				"full disk":       {fullDisk: 1, slowNetwork: 1},
				"roll-back":       {rollBack: 1},
				"network":         {loseAnswer: 1, loseRequest: 1, lateRequest: 1},
				"store":           {failSwap: 2, loseLease: 1},
				"everything":      {crash: 1, loseAnswer: 1, lateRequest: 1, failSwap: 1, loseLease: 1, pauseProc: 1},
			} {
				t.Run(name, func(t *testing.T) { simulate(t, p, faults) })
			}
		})
	}
}
