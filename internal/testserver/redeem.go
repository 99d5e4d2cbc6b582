package testserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"
)

// Tokens is a set of tokens as a client receives it.
type Tokens struct {
	Access, Refresh string
	ID              string // where the scope holds openid
	ExpiresIn       time.Duration
	Session, Scope  string
	User            string        // empty where none is involved
	RefreshEnds     time.Duration // until the refresh token ends, if it is not used
	SessionEnds     time.Duration // until the session does, whatever happens
	Type            string        // the token_type: Bearer, or DPoP where it is bound to a key
}

// start is what a session begins with, beside its row.
type start struct {
	nonce string       // of the ID token (OpenID Connect Core 3.1.3.7)
	cnf   confirmation // of the access token
	bare  bool         // there is no refresh token: RFC 6749 4.4.3
}

func newSessionID() string { return "ses_" + rand.Text() }

// enterBy starts a session for whoever sent a request: it is bound to the keys
// that the request proved to hold.
func (s *Server) enterBy(x *exchange, sess session, with start) (Tokens, error) {
	sess.jkt, sess.x5t = x.holder.JKT, x.holder.X5T
	sess.ip, sess.userAgent = address(x.r), x.r.UserAgent()
	with.cnf = x.confirmation
	return s.enter(x.ctx(), sess, with)
}

// enter starts the session that sess describes: its times and versions are
// filled in, and its id if it has none. Where sess says how the user proved to
// be there and not when, it was now.
func (s *Server) enter(ctx context.Context, sess session, with start) (Tokens, error) {
	now := s.now()
	s.mint.follow(ctx, now)
	s.retain(ctx, now)
	sess.created, sess.lastUsed, sess.absolute = now, now, now.Add(s.policy.AbsoluteTTL)
	sess.id, sess.issuer = cmp.Or(sess.id, newSessionID()), s.path
	if sess.acr != "" && sess.authTime.IsZero() {
		sess.authTime = now
	}
	var tokens Tokens
	err := s.store.create(ctx, sess, func(t *tx) (err error) {
		t.session.version = t.user.version
		var first refreshToken
		var refresh string
		if !with.bare {
			first = s.newRefresh(t, now)
			if refresh, err = s.mint.refreshToken(t.session, "", first); err != nil {
				return err
			}
			first.hash = digestOf(refresh)
		}
		var access accessToken
		if tokens, access, err = s.mintAccess(t.session, refresh, sess.scope, with.cnf, now); err != nil {
			return err
		}
		if with.nonce != "" {
			if tokens.ID, err = s.mint.idToken(t.session, s.shown(access), tokens.Access, with.nonce); err != nil {
				return err
			}
		}
		if !with.bare {
			first.accessJTI = access.jti
			t.putRefresh(first)
		}
		t.putAccess(access, now)
		return nil
	})
	return tokens, err
}

// newRefresh is the row of a token issued now: its end slides, the session's
// hard end does not.
func (s *Server) newRefresh(t *tx, now time.Time) refreshToken {
	expires := earlier(now.Add(s.policy.IdleTTL), t.session.absolute)
	t.session.idleExpires = expires
	return refreshToken{nonce: random(16), issued: now, expires: expires, skew: s.skewed()}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// mintAccess signs an access token to go with refresh. The row is the caller's
// to write.
func (s *Server) mintAccess(sess session, refresh, scope string, cnf confirmation, now time.Time) (Tokens, accessToken, error) {
	row := accessToken{
		jti: rand.Text(), scope: scope,
		issued: now, expires: earlier(now.Add(s.policy.AccessTTL), sess.absolute),
	}
	access, err := s.mint.accessToken(sess, s.shown(row), cnf)
	if err != nil {
		return Tokens{}, accessToken{}, err
	}
	id, err := s.mint.idToken(sess, s.shown(row), access, "")
	if err != nil {
		return Tokens{}, accessToken{}, err
	}
	return Tokens{
		Access: access, Refresh: refresh, ID: id, ExpiresIn: row.expires.Sub(now),
		Session: sess.id, Scope: scope, User: sess.user, Type: cnf.tokenType(),
		RefreshEnds: sess.idleExpires.Sub(now), SessionEnds: sess.absolute.Sub(now),
	}, row, nil
}

// redemption is a refresh token that was looked up and may be redeemed.
type redemption struct {
	sess      session      // as it was when it was found; read again under the lock,
	found     refreshToken // as is the token
	at        time.Time    // when that was
	hash      digest
	token     string
	scope     string // of the new access token: what was granted, or less
	cnf       confirmation
	childless bool // set when the answer holds no new refresh token
}

// find looks a refresh token up. What is not one of ours, an access token
// included, is errNoSession.
func (s *Server) find(ctx context.Context, token string) (redemption, error) {
	hash := digestOf(token)
	sess, row, err := s.store.sessionOf(ctx, hash)
	if err != nil {
		return redemption{}, err
	}
	if sess.issuer != s.path { // of another issuer in the same store
		return redemption{}, errNoSession
	}
	return redemption{sess: sess, found: row, at: s.now(), hash: hash, token: token, scope: sess.scope}, nil
}

// errFarther says that the decision ends more than the session that is locked.
var errFarther = errors.New("testserver: other sessions end, too")

// redeem decides and carries out the decision under the session's lock. All
// that can fail is done before anything is committed: a signature that fails
// after the commit would lose the session. A refusal that ends the session is
// a commit, too.
//
// Reuse that ends other sessions is decided once more, under the locks of them
// all: they end in one step, and no refresh comes between.
func (s *Server) redeem(ctx context.Context, r redemption) (tokens Tokens, outcome Outcome, err error) {
	s.mint.follow(ctx, s.now())
	user, client := s.rules().Replay.reach(r.sess)
	err = s.store.update(ctx, r.sess.id, func(t *tx) (err error) {
		tokens, outcome, err = s.decide(t, r)
		if err == nil && outcome == ReuseDetected && user != "" {
			return errFarther
		}
		return err
	})
	ended := 1
	if errors.Is(err, errFarther) {
		err = s.store.updateAll(ctx, user, client, r.sess.id, func(all []*tx) (err error) {
			tokens, outcome, ended, err = s.decideAll(all, r)
			return err
		})
	}
	if err != nil {
		return Tokens{}, Failed, err
	}
	if outcome == ReuseDetected && s.rules().Replay.OnReuse != RevokeNothing {
		s.ledger.count(func(st *Stats) { st.FamiliesRevoked += ended })
	}
	return tokens, outcome, nil
}

func (s *Server) decide(t *tx, r redemption) (Tokens, Outcome, error) {
	now := s.now()
	row, err := t.refreshToken(r.hash)
	if err != nil {
		return Tokens{}, Failed, err
	}
	facts, err := presented(t, r, row, now)
	if err != nil {
		return Tokens{}, Failed, err
	}
	outcome := Decide(s.rules(), facts, now)
	tokens, err := s.carryOut(t, r, row, outcome, now)
	return tokens, outcome, err
}

// decideAll decides about the one of the sessions that the token is of, and
// ends the others with it. It says how many have ended.
func (s *Server) decideAll(all []*tx, r redemption) (tokens Tokens, outcome Outcome, ended int, err error) {
	i := slices.IndexFunc(all, func(t *tx) bool { return t.session.id == r.sess.id })
	if i < 0 {
		return Tokens{}, Failed, 0, errNoSession
	}
	if tokens, outcome, err = s.decide(all[i], r); err != nil || outcome != ReuseDetected {
		return tokens, outcome, 0, err
	}
	ended = 1
	for _, t := range slices.Delete(slices.Clone(all), i, i+1) {
		if t.end(string(ReuseDetected), s.now()) {
			ended++
		}
	}
	return tokens, outcome, ended, nil
}

// presented reads the facts for Decide.
func presented(t *tx, r redemption, row refreshToken, now time.Time) (Presented, error) {
	p := Presented{
		Known:     true,
		Ended:     t.session.ended != "",
		Disabled:  t.disabled(),
		Outdated:  t.outdated(),
		Absolute:  t.session.absolute,
		Issued:    row.issued,
		Expires:   row.expires,
		Refreshes: int(t.session.refreshes),
		Revoked:   row.status == statusRevoked,
		Retired:   row.status == statusRotated,
	}
	if !p.Retired {
		return p, nil
	}
	p.RetiredAt, p.Replays, p.Ancestor = row.used, int(row.uses-1), true
	p.Raced, p.Waited = r.found.status == statusActive, now.Sub(r.at)
	children, err := t.rows.children(row.hash)
	for _, child := range children {
		p.ChildRetired = p.ChildRetired || child.status == statusRotated
		p.Ancestor = p.Ancestor && child.status != statusActive
		access, _ := t.accessToken(child.accessJTI) // one that is forgotten was of no more use
		p.ChildSeen = p.ChildSeen || !access.used.IsZero()
	}
	return p, err
}
