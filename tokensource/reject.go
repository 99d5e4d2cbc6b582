package tokensource

import "time"

const (
	stormAge      = 5 * time.Second  // a rejection this soon after issue is early,
	stormShare    = 4                // unless that is over a quarter of a short life
	stormCoolDown = 30 * time.Second // after two early ones in a row, doubling
	stormMax      = 30 * time.Minute
)

// storm keeps a misconfigured API, which refuses every token, from rotating
// the session with every request (rule 3).
type storm struct {
	last   TokenID // the last generation that was rejected
	at     time.Time
	streak int // generations in a row that were rejected early
	until  deadline
}

// reject notes that an API refused the token of cur. The first rejection of a
// generation renews, unless it is the second generation in a row that was
// refused right after its issue: then the session cools down, and keeps
// serving the token to whoever may have more luck with it.
func (s *Session) reject(cur *snapshot, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, st := cur.token.ID(), &s.storm
	if st.last != id {
		early := now.Sub(cur.token.IssuedAt()) < stormWindow(cur.token)
		// A set that had been issued before the last rejection is no answer
		// to it: whatever voided the last one may have voided this one.
		follows := st.last.Family == id.Family && st.last.Generation+1 == id.Generation &&
			!cur.token.IssuedAt().Before(st.at)
		switch {
		case early && follows:
			st.streak++
		case early:
			st.streak = 1
		default:
			st.streak = 0
		}
		st.last, st.at = id, now
		if st.streak >= 2 {
			pause := min(stormCoolDown<<min(st.streak-2, 10), stormMax)
			st.until = deadlineAt(now.Add(pause), now)
		}
	}
	if st.streak >= 2 && !st.until.passed(now) {
		return &Error{
			Reason: ReasonBusy, RetryAfter: st.until.at.Sub(now),
			Advice: "the API refuses every new token; check its audience and issuer, and the clocks",
		}
	}
	cur.rejected.Store(true)
	return nil
}

// stormWindow is how long after its issue the rejection of a token is early.
// Tokens that live for seconds are refused within seconds in the ordinary
// course of things.
func stormWindow(t Token) time.Duration {
	if t.Expiry().IsZero() {
		return stormAge
	}
	return min(stormAge, t.Expiry().Sub(t.IssuedAt())/stormShare)
}
