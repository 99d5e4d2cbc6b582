package tokensource

// ruling is what becomes of a set that was bought with a refresh token.
type ruling uint8

const (
	ruleWrite   ruling = iota // over what is stored
	ruleDone                  // it is stored already
	ruleYield                 // what is stored stays; ours is not needed
	ruleDiscard               // the session is over: ours is revoked
)

// lineage decides whether child is written over stored (rule 10). What counts
// is descent, not versions, leases, marks or suspicions: a write that is
// fenced by those loses the only good token there is.
func lineage(stored, child *record) (r ruling, anomaly string) {
	switch {
	case stored == nil || stored.ended != reasonUnset || stored.id.Family != child.id.Family:
		return ruleDiscard, ""
	case stored.refreshHash() == child.parent:
		// Its parent. Where the refresh token is kept, also a sibling with
		// the same one: then either will do.
		return ruleWrite, ""
	case stored.refreshHash() == child.refreshHash():
		// The same successor, saved by another holder.
		return ruleDone, ""
	case child.descends(stored):
		return ruleWrite, "the store held an older token set of this session; the newer one was written over it"
	case stored.parent == child.parent && stored.presentedAt.Before(child.presentedAt):
		return ruleWrite, "another holder had spent the same refresh token; the set that was asked for later stays"
	}
	return ruleYield, "another holder had spent the same refresh token; its set stays"
}
