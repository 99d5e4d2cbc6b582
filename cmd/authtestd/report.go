package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// report prints what clients did, and says whether it is a failure: a broken
// rule, or a fault that was set up and never met a request.
func (d *daemon) report(w io.Writer) (failed bool) {
	stats := d.inner.Stats()
	fmt.Fprintf(w, "logins=%d refreshes=%d rotations=%d replays=%d reuses=%d families_revoked=%d sessions_revoked=%d api_requests=%d api_unauthorized=%d max_redemptions=%d\n",
		stats.Logins, stats.RefreshRequests, stats.Rotations, stats.Replays, stats.Reuses, stats.FamiliesRevoked,
		stats.SessionsRevoked, stats.APIRequests, stats.APIUnauthorized, d.inner.MaxRedemptions())
	violations := d.inner.Violations()
	for _, v := range violations {
		fmt.Fprintf(w, "violation rule=%s session=%s time=%s\n", v.Rule, orNone(v.Session), v.Time.UTC().Format(time.RFC3339))
	}
	unfired := d.inner.Unfired()
	for _, r := range unfired {
		fmt.Fprintf(w, "never fired: %v\n", r)
	}
	return len(violations)+len(unfired) > 0
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// quote makes a word of a POSIX shell of what may hold anything.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:[]", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
