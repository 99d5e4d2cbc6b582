package testserver

import "time"

// carryOut does to the session what was decided about one of its tokens.
// Nothing of it lasts if it returns an error.
func (s *Server) carryOut(t *tx, r redemption, row refreshToken, o Outcome, now time.Time) (Tokens, error) {
	switch o {
	case Rotated:
		return s.rotate(t, r, row, now)
	case ReplayedSame:
		return s.replay(t, r, row, now)
	case Forked:
		return s.fork(t, r, row, now)
	case Replaced:
		return s.replace(t, r, row, now)
	case Kept, OnlyAccess:
		return s.accessAlone(t, r, row, o, now)
	}
	if reason := s.rules().Replay.ending(o); reason != "" {
		t.end(reason, now)
	}
	return Tokens{}, nil
}

// ending is the reason under which the outcome ends its session, if it does.
func (r Replay) ending(o Outcome) string {
	if o == MaxRefreshes || o == ReuseDetected && r.OnReuse != RevokeNothing {
		return string(o)
	}
	return ""
}

// rotate retires the presented token and puts its child in its place.
func (s *Server) rotate(t *tx, r redemption, row refreshToken, now time.Time) (Tokens, error) {
	row.status, row.used = statusRotated, now
	t.session.refreshes++
	return s.bear(t, r, row, row.branch, now)
}

// fork gives the presented token one more child, on a branch of its own.
func (s *Server) fork(t *tx, r redemption, row refreshToken, now time.Time) (Tokens, error) {
	t.session.branches++
	return s.bear(t, r, row, t.session.branches, now)
}

// replace gives the presented token another child in the place of every token
// of the session that is still live.
func (s *Server) replace(t *tx, r redemption, row refreshToken, now time.Time) (Tokens, error) {
	family, err := t.rows.family()
	if err != nil {
		return Tokens{}, err
	}
	for _, other := range family {
		if other.status == statusActive {
			other.status = statusRevoked
			t.putRefresh(other)
		}
	}
	return s.bear(t, r, row, row.branch, now)
}

// bear mints a child of the presented token, with an access token.
func (s *Server) bear(t *tx, r redemption, row refreshToken, branch int64, now time.Time) (Tokens, error) {
	child := s.newRefresh(t, now)
	refresh, err := s.mint.refreshToken(t.session, r.token, child)
	if err != nil {
		return Tokens{}, err
	}
	tokens, access, err := s.mintAccess(t.session, refresh, r.scope, r.cnf, now)
	if err != nil {
		return Tokens{}, err
	}
	child.hash, child.parent = digestOf(refresh), row.hash
	child.generation, child.branch, child.accessJTI = row.generation+1, branch, access.jti
	row.child = child.hash
	row.uses++
	access.generation = child.generation
	if s.rules().Replay.OldAccess == RevokeOnRotate {
		t.retireAccess(now)
	}
	t.putRefresh(row)
	t.putRefresh(child)
	t.putAccess(access, now)
	t.session.lastUsed = now
	return tokens, nil
}

// replay tells the live token again, with a fresh access token. It is derived
// from its ancestors, one after the other, starting at the presented one.
func (s *Server) replay(t *tx, r redemption, row refreshToken, now time.Time) (Tokens, error) {
	live, refresh := row, r.token
	for live.status == statusRotated {
		child, err := t.refreshToken(live.child)
		if err != nil {
			return Tokens{}, err
		}
		if refresh, err = s.mint.refreshToken(t.session, refresh, child); err != nil {
			return Tokens{}, err
		}
		live = child
	}
	tokens, access, err := s.mintAccess(t.session, refresh, r.scope, r.cnf, now)
	if err != nil {
		return Tokens{}, err
	}
	row.uses++
	access.generation = live.generation
	t.putRefresh(row)
	t.putAccess(access, now)
	t.session.lastUsed = now
	return tokens, nil
}

// accessAlone mints no refresh token. A live one is held: its use counts as a
// refresh and moves its idle end, which one in JWT form names itself and so
// keeps.
func (s *Server) accessAlone(t *tx, r redemption, row refreshToken, o Outcome, now time.Time) (Tokens, error) {
	if row.status != statusActive {
		row.uses++
	} else {
		t.session.refreshes++
		if s.mint.format == Opaque {
			row.expires = earlier(now.Add(s.policy.IdleTTL), t.session.absolute)
			t.session.idleExpires = row.expires
		}
	}
	refresh := ""
	if o == Kept {
		refresh = r.token
	}
	tokens, access, err := s.mintAccess(t.session, refresh, r.scope, r.cnf, now)
	if err != nil {
		return Tokens{}, err
	}
	access.generation = row.generation
	t.putRefresh(row)
	t.putAccess(access, now)
	t.session.lastUsed = now
	return tokens, nil
}

// reach says whose sessions end with the one whose token came back; nobody's
// where it is that one alone.
func (r Replay) reach(from session) (user, client string) {
	switch r.OnReuse {
	case RevokeUser:
		return from.user, ""
	case RevokeClientUser:
		return from.user, from.client
	}
	return "", ""
}

// replayed reports whether the outcome answered a retired token.
func (r Replay) replayed(o Outcome) bool {
	switch o {
	case ReplayedSame, Forked, Replaced:
		return true
	case OnlyAccess:
		return !r.held(o)
	}
	return false
}

// held reports whether the outcome answered a live token that is not rotated.
func (r Replay) held(o Outcome) bool {
	return o == Kept || o == OnlyAccess && r.HoldUntold
}

// kills reports whether the end of a session is that of its access tokens. It
// is, unless reuse ended it and the policy leaves them alone.
func (r Replay) kills(sess session) bool {
	return sess.ended != "" && (r.AlsoAccess || sess.ended != string(ReuseDetected))
}
