package tokensource_test

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
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
	s.tokens[child] = &simToken{}
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
