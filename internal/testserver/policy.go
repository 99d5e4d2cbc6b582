package testserver

import (
	"fmt"
	"time"
)

// Mode says what a retired refresh token earns when it comes back.
type Mode uint8

const (
	// Strict takes every return for theft and ends the session, as RFC 9700
	// 4.14.2 describes rotation.
	Strict Mode = iota
	// Same answers the parent of the live token with that same live token, as
	// long as the window is open and the live token was not used.
	Same
)

// Replay is what happens when a retired refresh token is presented again.
type Replay struct {
	Mode   Mode
	Window time.Duration // how long after its retirement a token is still answered
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

// Profile is a kind of server, as data.
type Profile struct {
	Name          string
	Replay        Replay
	Dialect       Dialect
	RefreshFormat Format
}

// ProfileNamed returns a preset: "strict" (also ""), "grace" or "firstparty".
func ProfileNamed(name string) (Profile, error) {
	switch name {
	case "", "strict":
		// RFC 9700 4.14.2: reuse of a retired token revokes the live one.
		return Profile{Name: "strict"}, nil
	case "grace":
		// The overlap that FAPI 2.0 asks for and MAS ships: a retry of a lost
		// answer gets what the first answer held.
		return Profile{Name: "grace", Replay: Replay{Mode: Same, Window: 10 * time.Second}}, nil
	case "firstparty":
		// A company's own backend for its own programs: JSON, JWT refresh
		// tokens, and 403 for a session that is over for good.
		return Profile{Name: "firstparty", Dialect: JSON, RefreshFormat: JWT}, nil
	}
	return Profile{}, fmt.Errorf("testserver: there is no profile %q", name)
}
