package testserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// digest is all the server keeps of a refresh token. A token is 256 random
// bits, so its hash needs no salt and its look-up no constant time.
type digest [sha256.Size]byte

func digestOf(token string) digest { return sha256.Sum256([]byte(token)) }

// session is one login on one device: one family of refresh tokens. It is a
// plain value; what lasts is what a store holds.
type session struct {
	id, client, scope string
	user              string // empty for client_credentials
	version           int64  // the user's at the login

	deviceID, device, userAgent, ip string

	issuer   string    // path prefix of the issuer; empty for the server's own
	jkt      string    // RFC 9449 6.1: thumbprint of the DPoP key it is bound to
	x5t      string    // RFC 8705 3.1: thumbprint of the certificate
	acr      string    // RFC 9470: how strongly the user proved to be there
	authTime time.Time // and when

	created, absolute time.Time // absolute is the hard end, which nothing moves

	// What follows changes, under the session's lock alone.
	lastUsed    time.Time
	idleExpires time.Time // of its newest refresh token
	refreshes   int64
	branches    int64 // of the family, beyond the first: see refreshToken
	endedAt     time.Time
	ended       string // why; empty while it lives
}

// status is what a refresh token has come to.
type status int64

const (
	statusActive  status = iota // one that may be redeemed
	statusRotated               // a child took its place
	statusRevoked               // dead, and never was rotated
)

// refreshToken is one member of a family. Retired ones stay as long as the
// session is kept: a token that became unknown could not be told from a
// forgery.
type refreshToken struct {
	hash       digest
	session    string
	generation int64  // of the first of a family: 0
	branch     int64  // siblings that live side by side have branches of their own
	nonce      []byte // with its parent, what the token is derived from
	parent     digest
	child      digest // zero while it has none
	status     status
	issued     time.Time
	expires    time.Time
	skew       time.Duration // of the reported clock at the issue: one in JWT form tells its times by that clock
	used       time.Time     // first redeemed; zero before
	uses       int64         // redeemed so often, replays included
	accessJTI  string        // of the access token that was issued with it
	kept       bool          // was read from a store, or written already
}

// accessToken is the record of one that was issued. One without a record is
// not valid.
type accessToken struct {
	jti, session, scope string
	generation          int64 // of the refresh token it was issued with
	issued, expires     time.Time
	used                time.Time // first seen at the API; zero before
	revoked             time.Time
	kept                bool // was read from a store, or written already
}

var (
	errNoSession   = errors.New("testserver: no such session")
	errUnknownUser = errors.New("testserver: unknown user")
)

// Store keeps users, sessions with their tokens, and documents. All that may
// change of a session changes in update, under the session's own lock: a
// refresh, a revocation and a logout of one session come one after the other,
// in every process that shares the store, and those of two sessions never wait
// for each other.
//
// The time is always the server's, as a parameter or in what is written: a
// clock that a test moves rules the store, too. A nil Store in a Config is one
// in memory; [OpenSQL] makes one that outlives the process.
type Store interface {
	documents() documents

	// addUser adds a user that is not there yet, and reports whether it did.
	addUser(ctx context.Context, name string, password []byte) (fresh bool, err error)
	// setPassword replaces what is kept of the password.
	setPassword(ctx context.Context, name string, password []byte) error
	// user returns errUnknownUser for a name that is not there.
	user(ctx context.Context, name string) (user, error)
	// users lists all of them by name.
	users(ctx context.Context) ([]user, error)
	// bumpUser moves the version on. When it returns, no refresh that was
	// decided on the old version is still to be committed.
	bumpUser(ctx context.Context, name string) error
	// disableUser does what bumpUser does to the right to sign in. A zero time
	// gives it back.
	disableUser(ctx context.Context, name string, now time.Time) error

	// create adds a session with the tokens that fn writes.
	create(ctx context.Context, s session, fn func(*tx) error) error
	// update locks the session, runs fn, and commits what fn wrote if it
	// returned nil; otherwise nothing has changed, and fn's error is returned
	// as it is. fn computes: it must not call the store or wait.
	update(ctx context.Context, id string, fn func(*tx) error) error
	// updateAll is update of the session and of all others of the user, and of
	// the client unless that is empty, that have not ended: it locks them in one
	// step and commits them in one step, so that nobody finds one of them as it
	// was before and another as it is after. An empty id names no session.
	updateAll(ctx context.Context, user, client, id string, fn func([]*tx) error) error
	// view runs fn like update does, but commits nothing.
	view(ctx context.Context, id string, fn func(*tx) error) error

	// session and sessionOf return errNoSession for what is not there.
	session(ctx context.Context, id string) (session, error)
	sessionOf(ctx context.Context, refresh digest) (session, refreshToken, error)
	// sessions lists those of a user, oldest first, ended ones included; those
	// of everybody if the name is empty.
	sessions(ctx context.Context, user string) ([]session, error)

	// revokeAccess revokes every access token issued so far.
	revokeAccess(ctx context.Context, now time.Time) error
	// wipe forgets every session, and every document that is no key.
	wipe(ctx context.Context) error
	// sweep forgets the sessions whose hard end lies before a time, and the
	// documents that have expired.
	sweep(ctx context.Context, before, now time.Time) error
}
