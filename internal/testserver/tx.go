package testserver

import (
	"errors"
	"time"
)

var errNoToken = errors.New("testserver: no such token in the session")

// rows are the tokens of one session as a store holds them.
type rows interface {
	refreshToken(hash digest) (refreshToken, error) // errNoToken if it is not there
	accessToken(jti string) (accessToken, error)    // errNoToken if it is not there
	children(parent digest) ([]refreshToken, error) // in the order of issue
	family() ([]refreshToken, error)                // in the order of issue
}

// tx is one session under its lock. What is written to it is kept by the store
// in one step, when the function that was given the tx has returned nil.
type tx struct {
	session session // as it is; change it by assignment
	user    user    // of the session; zero for client_credentials
	rows    rows

	refresh []refreshToken // written, in this order
	access  []accessToken  // written, in this order
	ending  bool           // refresh tokens that are active are to be revoked
	retire  time.Time      // access tokens issued before the tx are to be revoked; zero: not
	expired time.Time      // access tokens that ended before may be forgotten
}

// refreshToken returns errNoToken for what is not one of this session's.
func (t *tx) refreshToken(hash digest) (refreshToken, error) {
	for i := len(t.refresh) - 1; i >= 0; i-- {
		if r := t.refresh[i]; r.hash == hash {
			r.kept = true
			return r, nil
		}
	}
	return t.rows.refreshToken(hash)
}

// putRefresh writes a refresh token, new or changed. A parent is retired
// before its child is written: a family has one active token per branch.
func (t *tx) putRefresh(r refreshToken) {
	r.session = t.session.id
	t.refresh = append(t.refresh, r)
}

// accessToken returns errNoToken for what is not one of this session's.
func (t *tx) accessToken(jti string) (accessToken, error) {
	for i := len(t.access) - 1; i >= 0; i-- {
		if a := t.access[i]; a.jti == jti {
			a.kept = true
			return a, nil
		}
	}
	return t.rows.accessToken(jti)
}

// putAccess writes an access token, new or changed. The session's access
// tokens that are over by now may be forgotten.
func (t *tx) putAccess(a accessToken, now time.Time) {
	a.session = t.session.id
	t.access, t.expired = append(t.access, a), now
}

// retireAccess revokes the access tokens that the session had before.
func (t *tx) retireAccess(now time.Time) { t.retire = now }

// end revokes the session, and with it every refresh token that is active,
// unless it is over already. It reports whether this call did it.
func (t *tx) end(reason string, now time.Time) bool {
	if t.session.ended != "" {
		return false
	}
	if reason == "" {
		reason = "revoked"
	}
	t.session.ended, t.session.endedAt, t.ending = reason, now, true
	return true
}

// disabled reports whether the session's user may not sign in any more.
func (t *tx) disabled() bool { return !t.user.disabled.IsZero() }

// outdated reports whether the user's token version has moved on since the
// login.
func (t *tx) outdated() bool { return t.user.version != t.session.version }
