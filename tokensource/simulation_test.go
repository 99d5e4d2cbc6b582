package tokensource_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
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

// fault is something that goes wrong.
type fault string

const (
	crash       fault = "crash"        // a process dies and is started again
	crashAsking fault = "crash asking" // ... while its request is on the way
	slowNetwork fault = "slow network" // the request takes seconds to arrive
	fullDisk    fault = "full disk"    // no save succeeds for a while after an answer
	rollBack    fault = "roll-back"    // the store is restored from a backup
	loseAnswer  fault = "lost answer"  // processed, the answer is lost
	loseRequest fault = "lost request" // lost on the way there, and nobody knows
	lateRequest fault = "late request" // given up, and processed afterwards
	failSwap    fault = "failed save"  // the store refuses, or says so
	loseLease   fault = "lost lease"   // somebody else can have it
	pauseProc   fault = "pause"        // a process stands still
)

// policy is what a server does with a spent refresh token.
type policy string

const (
	strictRevoke policy = "strict, revoking"
	strictReject policy = "strict, rejecting"
	sameChild    policy = "same successor"
	sibling      policy = "sibling"
	lastWins     policy = "last wins"
	untilUsed    policy = "until used"
	shortGrace   policy = "same successor, for 3 s"
)

func (p policy) grace() time.Duration {
	if p == shortGrace {
		return 3 * time.Second
	}
	return 30 * time.Second
}

func (p policy) rotation() tokensource.Rotation {
	switch p {
	case sameChild, sibling, shortGrace:
		return tokensource.Rotation{Replay: tokensource.ReplayAnswered, Grace: p.grace()}
	case lastWins:
		return tokensource.Rotation{Replay: tokensource.ReplayLastWins, Grace: p.grace()}
	case untilUsed:
		return tokensource.Rotation{Replay: tokensource.ReplayLastWins}
	}
	return tokensource.Rotation{}
}

// simulation is one run: its world and its verdict.
type simulation struct {
	seed   uint64
	policy policy
	store  *tokensource.MemoryStore

	mu       sync.Mutex // guards what follows; never held across a sleep
	left     map[fault]int
	calm     time.Time // nothing happens after this
	happened []string
	log      []string
	full     time.Time // no save succeeds before
	backup   []byte    // the record before the last
	// The server.
	tokens   map[string]*simToken
	alive    bool
	requests int
}

type simToken struct {
	parent    string
	child     string
	retired   time.Time
	dead      bool
	presented int
}

// draw returns a number that depends on the seed and on who asks for the
// how-manieth time, and not on the scheduler.
func (s *simulation) draw(who string, n int, below uint64) uint64 {
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, s.seed)
	_, _ = h.Write([]byte(who + "/" + strconv.Itoa(n)))
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x % below
}

// spend reports whether the fault happens here; each kind has a budget.
func (s *simulation) spend(f fault, chance bool, who string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !chance || s.left[f] == 0 || time.Now().After(s.calm) {
		return false
	}
	s.left[f]--
	s.happened = append(s.happened, string(f))
	s.note(who + ": " + string(f))
	return true
}

// note writes the log; the caller holds mu.
func (s *simulation) note(what string) {
	s.log = append(s.log, time.Now().Format("15:04:05.000 ")+what)
}

// serve processes a request.
func (s *simulation) serve(rt string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	t := s.tokens[rt]
	t.presented++
	refused := &tokensource.Error{Reason: tokensource.ReasonRejected, Status: 400, Code: "invalid_grant"}
	switch {
	case !s.alive || t.dead:
		s.note("server: refuses " + rt)
		return "", refused
	case t.child == "":
		return s.issue(t, rt), nil
	}
	inGrace := time.Since(t.retired) < s.policy.grace()
	switch {
	case (s.policy == sameChild || s.policy == shortGrace) && inGrace && s.tokens[t.child].child == "":
		return t.child, nil
	case s.policy == sibling && inGrace, s.policy == lastWins && inGrace && s.tokens[t.child].child == "":
		if s.policy == lastWins {
			s.tokens[t.child].dead = true
		}
		return s.issue(t, rt), nil
	case s.policy == untilUsed && s.tokens[t.child].child == "":
		s.tokens[t.child].dead = true
		return s.issue(t, rt), nil
	}
	if s.policy != strictReject {
		s.alive = false
	}
	s.note("server: reuse of " + rt)
	return "", refused
}

// issue makes the successor of t; the caller holds mu.
func (s *simulation) issue(t *simToken, rt string) string {
	child := fmt.Sprintf("rt%d", len(s.tokens))
	if t != nil {
		t.child = child
		if t.retired.IsZero() {
			t.retired = time.Now()
		}
	}
	s.tokens[child] = &simToken{parent: rt}
	s.note("server: " + rt + " -> " + child)
	return child
}

func simGrant(rt string) tokensource.Grant {
	now := time.Now()
	return tokensource.Grant{
		AccessToken: tokensource.NewSecret("at of " + rt), RefreshToken: tokensource.NewSecret(rt),
		IssuedAt: now, Expiry: now.Add(20 * time.Second),
	}
}

// simProcess is a process: its own way to the store and to the server.
type simProcess struct {
	*simulation
	name  string
	ctx   context.Context // ends with the process
	kill  context.CancelFunc
	mu    sync.Mutex // guards n and lease
	n     int
	lease *simLease
}

var errDead = errors.New("the process is dead")

// io is one step of I/O: it takes time, more if the process is paused, and
// never returns to a dead process's benefit.
func (p *simProcess) io(kind string) (n int, err error) {
	p.mu.Lock()
	p.n++
	n = p.n
	p.mu.Unlock()
	time.Sleep(time.Duration(1 + p.draw(p.name+kind, n, uint64(40*time.Millisecond))))
	if p.spend(pauseProc, p.draw(p.name+"pause", n, 12) == 0, p.name) {
		time.Sleep(time.Duration(p.draw(p.name+"long", n, uint64(20*time.Second))))
	}
	if p.spend(crash, p.draw(p.name+"crash", n, 12) == 0, p.name+" at "+kind) {
		p.die()
	}
	if p.ctx.Err() != nil {
		return n, errDead
	}
	return n, nil
}

// die ends the process: the kernel takes its lock back.
func (p *simProcess) die() {
	p.kill()
	p.mu.Lock()
	lease := p.lease
	p.mu.Unlock()
	if lease != nil {
		_ = lease.Lease.Release()
	}
}

func (p *simProcess) Load(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
	if _, err := p.io("load"); err != nil {
		return tokensource.Version{}, nil, err
	}
	return p.store.Load(ctx, key)
}

func (p *simProcess) Swap(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	n, err := p.io("swap")
	if err != nil {
		return err
	}
	if p.spend(failSwap, p.draw(p.name+"fail", n, 8) == 0, p.name) {
		if p.draw(p.name+"how", n, 2) == 0 {
			return errDisk
		}
		if err := p.store.Swap(ctx, key, old, new, data); err != nil {
			return err
		}
		return errDisk // it was written all the same
	}
	if err := p.swapNow(ctx, key, old, new, data); err != nil {
		return err
	}
	if n, err = p.io("swapped"); err != nil {
		return err
	}
	if p.spend(rollBack, p.draw(p.name+"back", n, 6) == 0, p.name) {
		p.restoreBackup()
	}
	return nil
}

// swapNow is the store's own step, in no time.
func (p *simProcess) swapNow(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	p.simulation.mu.Lock()
	full := time.Now().Before(p.full)
	p.simulation.mu.Unlock()
	if full {
		return errDisk
	}
	_, before, _ := p.store.Load(ctx, key)
	err := p.store.Swap(ctx, key, old, new, data)
	if err == nil && before != nil {
		p.simulation.mu.Lock()
		defer p.simulation.mu.Unlock()
		if view, _ := tokensource.ViewRecord(before); view.ID.Generation > 0 && !strings.Contains(string(data), view.RefreshToken) {
			p.backup = before
		}
	}
	return err
}

// restoreBackup puts the last record with another refresh token in place.
func (s *simulation) restoreBackup() {
	s.mu.Lock()
	defer s.mu.Unlock()
	ver, _, _ := s.store.Load(context.Background(), testKey)
	if s.backup != nil {
		_ = s.store.Swap(context.Background(), testKey, ver, tokensource.Version{255}, s.backup)
	}
}

func (p *simProcess) Lock(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
	if _, err := p.io("lock"); err != nil {
		return nil, err
	}
	inner, err := p.store.Lock(ctx, key)
	if err != nil {
		return nil, err
	}
	lease := &simLease{Lease: inner, p: p}
	p.mu.Lock()
	p.lease = lease
	p.mu.Unlock()
	if p.ctx.Err() != nil {
		_ = inner.Release()
		return nil, errDead
	}
	return lease, nil
}

// simLease can be lost to somebody else before it is extended.
type simLease struct {
	tokensource.Lease
	p *simProcess
}

func (l *simLease) Extend(context.Context, time.Duration) error {
	n, err := l.p.io("extend")
	if err != nil {
		return err
	}
	if l.p.spend(loseLease, l.p.draw(l.p.name+"lease", n, 6) == 0, l.p.name) {
		_ = l.Lease.Release()
		return errors.New("the lease is lost")
	}
	return nil
}

// Refresh sends a request over a network that loses and delays.
func (p *simProcess) Refresh(ctx context.Context, old tokensource.Grant) (tokensource.Grant, error) {
	n, err := p.io("send")
	if err != nil {
		return tokensource.Grant{}, unsent()
	}
	rt := old.RefreshToken.Reveal()
	hit := func(f fault) bool { return p.spend(f, p.draw(p.name+string(f), n, 5) == 0, p.name+" with "+rt) }
	switch {
	case hit(loseRequest):
		return tokensource.Grant{}, lost()
	case hit(crashAsking):
		p.die()
		time.AfterFunc(time.Duration(p.draw(p.name+"late", n, uint64(8*time.Second))), func() { _, _ = p.serve(rt) })
		return tokensource.Grant{}, lost()
	case hit(slowNetwork):
		time.Sleep(time.Duration(p.draw(p.name+"slow", n, uint64(8*time.Second))))
	case hit(lateRequest):
		// The kernel of a process that has given up, or died, still sends.
		time.AfterFunc(time.Duration(p.draw(p.name+"late", n, uint64(8*time.Second))), func() { _, _ = p.serve(rt) })
		return tokensource.Grant{}, lost()
	}
	child, err := p.serve(rt)
	if err == nil && hit(fullDisk) {
		p.simulation.mu.Lock()
		p.full = time.Now().Add(15 * time.Second)
		p.simulation.mu.Unlock()
	}
	if hit(loseAnswer) {
		return tokensource.Grant{}, lost()
	}
	if _, dead := p.io("answer"); dead != nil || ctx.Err() != nil {
		return tokensource.Grant{}, lost()
	}
	if err != nil {
		return tokensource.Grant{}, err
	}
	return simGrant(child), nil
}

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
