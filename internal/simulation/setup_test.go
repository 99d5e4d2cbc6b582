package simulation_test

import (
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// kind is what a server does with a refresh token that comes back.
type kind string

const (
	strictRevoke kind = "strict-revoking"  // the session ends
	strictReject kind = "strict-rejecting" // it is refused, and that is all
	sameChild    kind = "same-successor"   // for 30 s, until the successor is used
	sibling      kind = "sibling"          // another successor, for 30 s
	lastWins     kind = "last-wins"        // another one, and the first is void; for 30 s
	untilUsed    kind = "until-used"       // the same, for as long as the successor is not used
	shortGrace   kind = "same-for-3s"      // as same-successor, for 3 s
)

var kinds = []kind{strictRevoke, sameChild, lastWins, sibling, untilUsed, strictReject, shortGrace}

// strict kinds forgive nothing.
func (k kind) strict() bool { return k == strictRevoke || k == strictReject }

func (k kind) grace() time.Duration {
	switch k {
	case sameChild, sibling, lastWins:
		return 30 * time.Second
	case shortGrace:
		return 3 * time.Second
	}
	return 0
}

// rotation is what a client is told about the server.
func (k kind) rotation() tokensource.Rotation {
	switch k {
	case sameChild, sibling, shortGrace:
		return tokensource.Rotation{Replay: tokensource.ReplayAnswered, Grace: k.grace()}
	case lastWins, untilUsed:
		return tokensource.Rotation{Replay: tokensource.ReplayLastWins, Grace: k.grace()}
	}
	return tokensource.Rotation{}
}

// fault is something that goes wrong.
type fault string

const (
	crash        fault = "its process dies"
	pauseProc    fault = "its process stands still for a minute"
	notSent      fault = "it is not sent"
	loseRequest  fault = "it is lost on the way there"
	lateRequest  fault = "it is given up, and arrives later"
	crashLate    fault = "its process dies, and it arrives later"
	slowRequest  fault = "it takes its time"
	loseAnswer   fault = "the answer is lost"
	silence      fault = "the answer never comes"
	slowAnswer   fault = "the answer takes its time"
	failLoad     fault = "the store cannot be read"
	failSave     fault = "the store refuses"
	failSaved    fault = "the store fails after it has written"
	fullDisk     fault = "its disk is full from now on, for a while"
	storeGone    fault = "its store is gone from now on, for a while"
	loseLease    fault = "the lease is lost"
	rollBack     fault = "the store was restored from a backup"
	lag          fault = "a replica does not know the token yet"
	early        fault = "it is refused while the access token lasts"
	otherAccount fault = "it is answered for another account"
	busyServer   fault = "the server asks for patience"
	dawdle       fault = "it takes a moment" // nothing wrong with that
)

// The times of faults.
const (
	longPause = time.Minute // longer than any lease
	moment    = 700 * time.Millisecond
	lateBy    = 8 * time.Second  // longer than anybody waits without a reason
	fullFor   = 15 * time.Second // longer than the first tries to save
	leaseTime = 45 * time.Second // what a lease lasts that nobody extends
	lifetime  = time.Minute      // of an access token
)

// setup is what a run begins with.
type setup struct {
	kind      kind
	processes int
	rounds    int             // refreshes that each process wants
	age       time.Duration   // of the first token
	phases    []time.Duration // when a process uses its token next, from the end of that token on
	timed     bool            // a lease ends by the clock; else with its process, as a lock of the kernel does
	comeBack  time.Duration   // until somebody tries again, or starts again
	oneShot   bool            // a process tries once and exits
	faults    []fault         // each may happen, ...
	budget    int             // ... so many in all
	users     []string        // what users do meanwhile: "logout", "login"
	rejecting rejection       // what the API refuses
	sameText  bool            // access tokens read the same
	slow      int             // how many steps may take a little longer
	seed      uint64          // draws the phases
	want      int             // token requests that there have to be where nothing goes wrong
}

// rejection is what the API refuses.
type rejection uint8

const (
	rejectsNothing rejection = iota
	rejectsOld               // every token but the newest
	rejectsAll               // every token, whatever it is
)
