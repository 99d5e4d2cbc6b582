package tokensource

import (
	"errors"
	"time"
)

// Replay says what a server does with a refresh token that is presented again
// after it was rotated.
type Replay uint8

const (
	// ReplayUnknown: it may end the session. The safe assumption.
	ReplayUnknown Replay = iota
	// ReplayAnswered: within the grace it answers well, with the same
	// successor or a sibling, and neither harms the other.
	ReplayAnswered
	// ReplayLastWins: it answers, and what it answered before is void.
	ReplayLastWins
)

// Rotation is what is known about a server's rotation.
type Rotation struct {
	// Replay says what a second presentation does.
	Replay Replay
	// Grace is how long a rotated refresh token is still answered well; 0
	// where that is unknown or nothing.
	Grace time.Duration
}

// Config configures a [Session]. NewSession copies it.
type Config struct {
	// Key names the session in the store. Required; see [NewKey].
	Key Key
	// Store keeps the session. Required; [NewMemoryStore] is one that
	// forgets with the process.
	Store Store
	// Refresher renews the session. Exactly one of Refresher and Minter is
	// required.
	Refresher Refresher
	// Minter obtains tokens that need no refresh token.
	Minter Minter
	// Revoker tells the server of a logout, and takes back tokens that
	// arrive after one. Nil: the server is not told.
	Revoker Revoker
	// Rotation is what is known about the server. The zero value assumes
	// the strictest.
	Rotation Rotation
	// Resource is the resource (RFC 8707) the session is for, if the server
	// is told one. A stored session for another one is refused.
	Resource string
	// Background: in the advisory window nobody waits for the refresh. Only
	// for programs that call Close before they exit, since a process that
	// ends between the server's rotation and the save loses the session.
	Background bool
	// KeepAlive refreshes the session when the token set reaches this age,
	// even if nobody asks for a token, so that an idle refresh token does
	// not lapse. It costs a timer. 0: never.
	KeepAlive time.Duration
	// Hooks are told what happens.
	Hooks Hooks
}

func (c Config) validate() error {
	var errs []error
	missing := func(bad bool, text string) {
		if bad {
			errs = append(errs, errors.New("tokensource: "+text))
		}
	}
	missing(c.Key.IsZero(), "Config.Key is required: make one with NewKey(issuer, clientID, profile)")
	missing(c.Store == nil, "Config.Store is required: a keyringstore, or NewMemoryStore() for a session that ends with the process")
	missing(c.Refresher == nil && c.Minter == nil, "Config.Refresher is required (or a Minter, for tokens without a refresh token)")
	missing(c.Refresher != nil && c.Minter != nil, "Config has both a Refresher and a Minter: choose one")
	missing(c.Rotation.Grace < 0, "Config.Rotation.Grace is negative")
	missing(c.Rotation.Replay > ReplayLastWins, "Config.Rotation.Replay is not one of the constants")
	missing(c.KeepAlive < 0, "Config.KeepAlive is negative")
	missing(c.KeepAlive > 0 && c.KeepAlive < minKeepAlive, "Config.KeepAlive is under a minute")
	return errors.Join(errs...)
}

// minKeepAlive keeps a typing error from becoming a rotation storm.
const minKeepAlive = time.Minute
