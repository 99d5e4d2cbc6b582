package testserver

import "time"

// Presented is all that the decision needs to know of a presented refresh
// token, read under its session's lock. The zero value is an unknown token.
type Presented struct {
	Known     bool
	Ended     bool      // the session was revoked: reuse, logout, an administrator
	Disabled  bool      // the user may not sign in any more
	Outdated  bool      // the user's token version has moved on since the login
	Absolute  time.Time // hard end of the session
	Issued    time.Time
	Expires   time.Time // end of this token
	Refreshes int       // refreshes of this session so far
	Revoked   bool      // another answer took this token's place before it was used

	Retired      bool // this token was rotated away
	RetiredAt    time.Time
	Replays      int           // how often it was answered since
	ChildRetired bool          // a token that replaced it was redeemed itself
	ChildSeen    bool          // an access token that came with such a token was used
	Ancestor     bool          // no token that replaced it is live any more
	Raced        bool          // it was live when this request looked it up,
	Waited       time.Duration // so long ago
}

// Decide says what a presented refresh token earns. It is pure: the caller
// holds the session's lock, reads the facts, and carries out the outcome.
//
// The order matters. The hard end wins over all that can be said of a known
// session: past it, a session that was revoked, that reuse had ended or whose
// user is locked out is over for the same reason as any other one, whoever
// asks and whether or not anybody had ended it before. Then comes what ended
// the session, and then what became of this token: one that is merely old is
// never mistaken for stolen.
func Decide(p Policy, t Presented, now time.Time) Outcome {
	switch {
	case !t.Known:
		return Unknown
	case !now.Before(t.Absolute):
		return SessionExpired
	case t.Ended:
		return SessionRevoked
	case t.Disabled:
		return UserDisabled
	case t.Outdated:
		return VersionBumped
	case !now.Before(t.Expires):
		return TokenExpired
	case t.Revoked:
		return TokenRevoked
	case t.Retired:
		return decideRetired(p.Replay, t, now)
	case p.MaxRefreshes > 0 && t.Refreshes >= p.MaxRefreshes:
		return MaxRefreshes
	}
	return decideLive(p.Replay, t, now)
}

// decideLive rotates, unless the policy holds the token.
func decideLive(r Replay, t Presented, now time.Time) Outcome {
	switch {
	case !younger(t.Issued, r.Hold, now):
		return Rotated
	case r.HoldUntold:
		return OnlyAccess
	}
	return Kept
}

// decideRetired judges a token that was rotated away.
func decideRetired(r Replay, t Presented, now time.Time) Outcome {
	if t.Raced && t.Waited >= r.RaceWait {
		if o := decideLoser(r.RaceLoser); o != "" {
			return o
		}
	}
	if r.Mode == Reject {
		return ReplayRefused
	}
	if !r.open(t, now) {
		return ReuseDetected
	}
	if r.Max > 0 && t.Replays >= r.Max {
		if r.OverMax == TakenAsReuse {
			return ReuseDetected
		}
		return ReplayRefused
	}
	switch r.Mode {
	case Same:
		return ReplayedSame
	case Fork:
		return Forked
	case Replace:
		return Replaced
	case AccessOnly:
		return OnlyAccess
	}
	return ReuseDetected
}

// decideLoser judges the loser of a race that may not wait; empty: it may.
func decideLoser(l RaceLoser) Outcome {
	switch l {
	case RetryHint400:
		return RaceRetry
	case Conflict409:
		return RaceConflict
	case Error500:
		return RaceFailed
	case WinnerDies:
		return ReuseDetected
	case LoserRefused:
		return ReplayRefused
	case Dud:
		return Replaced
	}
	return ""
}

// open reports whether a retired token is still answered. Normally only the
// parent of a live token is: once a child was used, its holder has shown that
// the answer arrived, and whoever still holds the parent is someone else.
func (r Replay) open(t Presented, now time.Time) bool {
	window := r.Window
	if t.Ancestor {
		if !r.AnyAncestor {
			return false
		}
		if r.AncestorWindow != 0 {
			window = r.AncestorWindow
		}
	}
	if r.CloseOnChildUse && t.ChildRetired || r.CloseOnAccess && t.ChildSeen {
		return false
	}
	return younger(t.RetiredAt, window, now)
}

// younger reports whether less than d has passed since then. No time at all has
// always passed, also since what a server whose clock is ahead has done.
func younger(since time.Time, d time.Duration, now time.Time) bool {
	return d == Always || d > 0 && now.Sub(since) < d
}
