package testserver

import "time"

// Presented is all that the decision needs to know of a presented refresh
// token, read under its session's lock. The zero value is an unknown token.
type Presented struct {
	Known        bool
	Ended        bool      // the session was revoked: reuse, logout, an administrator
	Disabled     bool      // the user may not sign in any more
	Outdated     bool      // the user's token version has moved on since the login
	Absolute     time.Time // hard end of the session
	Expires      time.Time // end of this token
	Refreshes    int       // rotations of this session so far
	Retired      bool      // this token was rotated away
	RetiredAt    time.Time
	ChildRetired bool // so was the token that replaced it
}

// Decide says what a presented refresh token earns. It is pure: the caller
// holds the session's lock, reads the facts, and carries out the outcome.
//
// The order matters. A dead session stays dead whatever its clocks say; a hard
// end is told as such even to a retired token; and a token that is merely old
// is never mistaken for stolen.
func Decide(p Policy, t Presented, now time.Time) Outcome {
	switch {
	case !t.Known:
		return Unknown
	case t.Ended:
		return SessionRevoked
	case t.Disabled:
		return UserDisabled
	case t.Outdated:
		return VersionBumped
	case !now.Before(t.Absolute):
		return SessionExpired
	case !now.Before(t.Expires):
		return TokenExpired
	case t.Retired:
		return decideRetired(p.Replay, t, now)
	case p.MaxRefreshes > 0 && t.Refreshes >= p.MaxRefreshes:
		return MaxRefreshes
	}
	return Rotated
}

// decideRetired judges a token that was rotated away. Only the parent of the
// live token can be answered: once the child was used, its holder has shown
// that the answer arrived, and whoever still holds the parent is someone else.
func decideRetired(r Replay, t Presented, now time.Time) Outcome {
	inWindow := now.Before(t.RetiredAt.Add(r.Window))
	if r.Mode == Same && inWindow && !t.ChildRetired {
		return ReplayedSame
	}
	return ReuseDetected
}
