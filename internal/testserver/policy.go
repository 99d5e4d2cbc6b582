package testserver

import (
	"math"
	"time"
)

// Mode says what a retired refresh token earns when it comes back while it is
// still answered: in its window, from the parent of a live token.
type Mode uint8

// The modes.
const (
	// Strict answers no retired token: every return is taken for theft, as RFC
	// 9700 4.14.2 describes rotation.
	Strict Mode = iota
	// Same tells the live token again, with a fresh access token.
	Same
	// Fork mints a sibling: all children live.
	Fork
	// Replace mints another child and revokes the one that was not used.
	Replace
	// AccessOnly gives a fresh access token and no refresh token: the client
	// is left with a spent one.
	AccessOnly
	// Reject refuses every retired token, and ends nothing.
	Reject
)

// Always is a window that time does not close.
const Always = time.Duration(math.MaxInt64)

// OverMax says what becomes of one replay more than Replay.Max.
type OverMax uint8

// What one replay too many comes to.
const (
	RefuseOnly   OverMax = iota // a refusal that ends nothing
	TakenAsReuse                // reuse, like a token that comes back too late
)

// OnReuse says what is ended when a retired token comes back unanswered.
type OnReuse uint8

// What reuse ends.
const (
	RevokeSession    OnReuse = iota // the family of the token
	RevokeClientUser                // every session of the user with the same client
	RevokeUser                      // every session of the user
	RevokeNothing                   // nothing: the token alone is refused
)

// OldAccess says what a rotation does to the access tokens from before it.
type OldAccess uint8

// The fates of an older access token.
const (
	KeepUntilExp   OldAccess = iota // it lives out its time
	RevokeOnRotate                  // it dies: requests in flight get a 401
)

// RaceLoser says what a request earns whose token was live when it was looked
// up and had been retired when its turn came.
type RaceLoser uint8

// The fates of a race's loser.
const (
	Wait         RaceLoser = iota // it is judged like any other return of a retired token
	RetryHint400                  // 400 invalid_request "please retry"; nothing ends
	Conflict409                   // 409; nothing ends
	Error500                      // 500; nothing ends
	WinnerDies                    // reuse, whatever the window says: the winner's tokens die, too
	LoserRefused                  // refused like reuse, but nothing ends: the winner lives
	Dud                           // 200 for both; the last one's tokens are good, the other's refresh token is a dud
)

// Replay is what happens when a refresh token is presented again.
type Replay struct {
	Mode Mode
	// Window is how long after its retirement a token is answered; zero: not at
	// all, Always: until something else closes it.
	Window time.Duration
	// Max is how often a retired token is answered; zero: as often as it comes.
	Max     int
	OverMax OverMax
	// CloseOnChildUse closes the window once a child was itself redeemed: its
	// answer has arrived, so whoever holds the parent is someone else.
	CloseOnChildUse bool
	// CloseOnAccess closes it already when the child's access token is first
	// used at the API.
	CloseOnAccess bool
	// AnyAncestor answers also tokens none of whose children is live any more,
	// for AncestorWindow (zero: Window). Without it only the immediate parent
	// of a live token is answered.
	AnyAncestor    bool
	AncestorWindow time.Duration

	OnReuse OnReuse
	// AlsoAccess kills the access tokens together with what OnReuse ends;
	// without it they live out their time.
	AlsoAccess bool
	OldAccess  OldAccess

	RaceLoser RaceLoser
	// RaceWait is how long a loser waits for the row: within it, it is judged
	// as under Wait. Zero: it never waits.
	RaceWait time.Duration

	// Hold is the age below which a live token is not rotated but given back;
	// Always: there is no rotation.
	Hold time.Duration
	// HoldUntold leaves the held token out of the answer.
	HoldUntold bool
}

// sound reports whether no duration or count is negative.
func (r Replay) sound() bool {
	return min(r.Window, r.AncestorWindow, r.RaceWait, r.Hold) >= 0 && r.Max >= 0
}

// Policy holds the numbers and choices that decide the life of a session.
type Policy struct {
	AccessTTL    time.Duration
	IdleTTL      time.Duration // a refresh token unused for so long is dead
	AbsoluteTTL  time.Duration // the session's hard end, which no rotation moves
	MaxRefreshes int           // zero: as many as the lifetimes allow
	Replay       Replay
}

// Dialect names one of the two ways to talk to the server. Both are always
// served; the profile's own decides where one answer must serve them both.
type Dialect uint8

// The dialects.
const (
	OAuth Dialect = iota // RFC 6749 forms under /oauth
	JSON                 // first-party JSON at /login, /refresh, /logout
)

// Format is the form of the refresh tokens.
type Format uint8

// The forms of a refresh token.
const (
	Opaque Format = iota // "rt_" and 43 characters
	JWT                  // typ refresh+jwt, under a secret of its own
)
