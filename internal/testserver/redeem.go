package testserver

import (
	"crypto/rand"
	"errors"
	"slices"
	"time"
)

// errUnknownUser says that a name is not among Config.Users.
var errUnknownUser = errors.New("testserver: unknown user")

// Tokens is a set of tokens as a client receives it.
type Tokens struct {
	Access, Refresh string
	ExpiresIn       time.Duration
	Session, Scope  string
}

// login starts a session: user is nil for client_credentials, which get an
// access token alone (RFC 6749 4.4.3).
func (s *Server) login(u *user, client, device, scope string) (Tokens, error) {
	now := s.now()
	sess := &session{
		id: "ses_" + rand.Text(), client: client, device: device, scope: scope, user: u,
		created: now, absolute: now.Add(s.policy.AbsoluteTTL), lastUsed: now,
		refresh: make(map[digest]*refreshToken), access: make(map[string]accessToken),
	}
	var refresh string
	if u != nil {
		sess.version = u.version.Load()
		first := s.newRefresh(sess, now)
		var err error
		if refresh, err = s.mint.refreshToken(sess, "", first); err != nil {
			return Tokens{}, err
		}
		sess.refresh[digestOf(refresh)] = first
	}
	tokens, commit, err := s.mintAccess(sess, refresh, scope, now)
	if err != nil {
		return Tokens{}, err
	}
	commit()
	s.store.add(sess)
	return tokens, nil
}

// newRefresh is the row of a token issued now: its end slides, the session's
// hard end does not.
func (s *Server) newRefresh(sess *session, now time.Time) *refreshToken {
	return &refreshToken{
		nonce: random(16), issued: now,
		expires: earlier(now.Add(s.policy.IdleTTL), sess.absolute),
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// mintAccess signs an access token to go with refresh. Nothing is changed
// until the returned commit runs. The caller holds the session's lock.
func (s *Server) mintAccess(sess *session, refresh, scope string, now time.Time) (Tokens, func(), error) {
	jti, expires := rand.Text(), earlier(now.Add(s.policy.AccessTTL), sess.absolute)
	access, err := s.mint.accessToken(sess, jti, scope, now, expires)
	if err != nil {
		return Tokens{}, nil, err
	}
	record := accessToken{expires: expires, serial: s.serial.Add(1)}
	tokens := Tokens{
		Access: access, Refresh: refresh, ExpiresIn: expires.Sub(now),
		Session: sess.id, Scope: scope,
	}
	return tokens, func() { sess.addAccess(jti, record, now) }, nil
}

// redemption is a refresh token that was looked up and may be redeemed.
type redemption struct {
	sess  *session
	hash  digest
	token string
	scope string // of the new access token: what was granted, or less
}

// find looks a refresh token up. What is not one of ours, an access token
// included, is unknown.
func (s *Server) find(token string) (redemption, bool) {
	hash := digestOf(token)
	sess := s.store.sessionOf(hash)
	if sess == nil {
		return redemption{}, false
	}
	return redemption{sess: sess, hash: hash, token: token, scope: sess.scope}, true
}

// redeem decides and carries out the decision under the session's lock. All
// that can fail is done before anything is changed: a signature that fails
// after the commit would lose the session. A refusal that ends the session is
// a commit, too. reused reports that the token came back although the answer
// that replaced it had reached its client.
func (s *Server) redeem(r redemption) (tokens Tokens, outcome Outcome, reused bool) {
	r.sess.mu.Lock()
	defer r.sess.mu.Unlock()
	now := s.now()
	row := r.sess.refresh[r.hash]
	outcome = Decide(s.policy, r.sess.presented(row), now)
	reused = row.delivered && (outcome == ReplayedSame || outcome == ReuseDetected)
	var err error
	switch outcome {
	case Rotated:
		tokens, err = s.rotate(r, row, now)
	case ReplayedSame:
		tokens, err = s.replay(r, row, now)
	default:
		if reason := outcome.ending(); reason != "" {
			r.sess.endLocked(reason)
		}
	}
	if err != nil {
		return Tokens{}, Failed, reused
	}
	return tokens, outcome, reused
}

// rotate retires the presented token and puts its child in its place.
func (s *Server) rotate(r redemption, row *refreshToken, now time.Time) (Tokens, error) {
	child := s.newRefresh(r.sess, now)
	refresh, err := s.mint.refreshToken(r.sess, r.token, child)
	if err != nil {
		return Tokens{}, err
	}
	tokens, commit, err := s.mintAccess(r.sess, refresh, r.scope, now)
	if err != nil {
		return Tokens{}, err
	}
	commit()
	hash := digestOf(refresh)
	row.retired, row.child = now, hash
	r.sess.refresh[hash] = child
	r.sess.refreshes++
	r.sess.lastUsed = now
	s.store.index(hash, r.sess)
	return tokens, nil
}

// replay tells the live child again, with a fresh access token.
func (s *Server) replay(r redemption, row *refreshToken, now time.Time) (Tokens, error) {
	refresh, err := s.mint.refreshToken(r.sess, r.token, r.sess.refresh[row.child])
	if err != nil {
		return Tokens{}, err
	}
	tokens, commit, err := s.mintAccess(r.sess, refresh, r.scope, now)
	if err != nil {
		return Tokens{}, err
	}
	commit()
	r.sess.lastUsed = now
	return tokens, nil
}

// setDelivered records that an answer with the child reached its client: from
// now on the parent has no business coming back.
func (r redemption) setDelivered() {
	r.sess.mu.Lock()
	defer r.sess.mu.Unlock()
	r.sess.refresh[r.hash].delivered = true
}

// Session is what the server knows of one login on one device.
type Session struct {
	ID         string
	Client     string
	Device     string
	Scope      string
	CreatedAt  time.Time
	LastUsedAt time.Time
	ExpiresAt  time.Time // the hard end
	Refreshes  int
	Ended      string // why it was revoked; empty while it lives
}

func (s *session) describe() Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Session{
		ID: s.id, Client: s.client, Device: s.device, Scope: s.scope,
		CreatedAt: s.created, LastUsedAt: s.lastUsed, ExpiresAt: s.absolute,
		Refreshes: s.refreshes, Ended: s.ended,
	}
}

// Login starts a session without HTTP, as the default client.
func (s *Server) Login(name, device string) (Tokens, error) {
	u := s.store.users[name]
	if u == nil {
		return Tokens{}, errUnknownUser
	}
	return s.login(u, s.clients.first, device, "")
}

// Sessions lists the sessions of a user, oldest first, ended ones included.
func (s *Server) Sessions(name string) []Session {
	var out []Session
	if u := s.store.users[name]; u != nil {
		for _, sess := range s.store.sessionsOf(u) {
			out = append(out, sess.describe())
		}
	}
	return slices.Clip(out)
}

// RevokeSession ends one session, for a reason that Sessions will tell. It
// reports whether there was such a session.
func (s *Server) RevokeSession(id, reason string) bool {
	sess := s.store.session(id)
	if sess == nil {
		return false
	}
	s.revoke(sess, reason)
	return true
}

func (s *Server) revoke(sess *session, reason string) {
	if sess.end(reason) {
		s.ledger.count(func(st *Stats) { st.SessionsRevoked++ })
	}
}

// RevokeUser moves a user's token version on, as a changed password does: all
// that was issued before is dead. It reports whether there is such a user.
func (s *Server) RevokeUser(name string) bool {
	u := s.store.users[name]
	if u != nil {
		u.version.Add(1)
	}
	return u != nil
}

// DisableUser locks a user out. It reports whether there is such a user.
func (s *Server) DisableUser(name string) bool {
	u := s.store.users[name]
	if u != nil {
		u.disabled.Store(true)
	}
	return u != nil
}

// RevokeAccessTokens makes every access token issued so far invalid at once.
// The sessions live on.
func (s *Server) RevokeAccessTokens() { s.revokedThrough.Store(s.serial.Load()) }
