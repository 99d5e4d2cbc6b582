package testserver

import (
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"
)

type familyData struct {
	Base, ID  string
	Facts     []fact
	Live      bool
	Chains    [][]*familyNode
	Older     int
	Exchanges []exchangeRow
}

// shownTokens is what fits on a page: the newest of the family.
const shownTokens = 200

// familyNode is one refresh token and those that came out of it.
type familyNode struct {
	Mark, State, Issued, Used, Expires string
	Class, Kind                        string
	Generation, Replays                int64
	By                                 []exchangeRow   // that presented it
	Forks                              [][]*familyNode // a chain for each child, where there are several
}

// family is the page of one session: which refresh token came out of which,
// and who presented it when.
func (s *Server) family(_ http.ResponseWriter, r *http.Request) reply {
	id := r.PathValue("id")
	d := familyData{Base: s.path, ID: id}
	var tokens []refreshToken
	err := s.store.view(r.Context(), id, func(t *tx) (err error) {
		d.Facts, d.Live = s.sessionFacts(t), t.session.ended == ""
		tokens, err = t.rows.family()
		return err
	})
	if errors.Is(err, errNoSession) {
		return s.errorPage(r, http.StatusNotFound, "not_found", "There is no such session.")
	}
	if err != nil {
		return s.brokenPage(r, err)
	}
	by := make(map[string][]exchangeRow)
	for _, e := range s.Exchanges(AnyEndpoint) {
		if e.Session != id {
			continue
		}
		if e.Presented != "" {
			by[e.Presented] = append(by[e.Presented], rowOf(e))
		}
		d.Exchanges = append(d.Exchanges, rowOf(e))
	}
	d.Older = max(0, len(tokens)-shownTokens)
	d.Chains = familyTree(tokens[d.Older:], by)
	return s.show(r, view{
		name: "family", title: "Token family", width: "full", nav: dashboardPath, live: s.path + familyPath + id, data: d,
	})
}

func (s *Server) sessionFacts(t *tx) []fact {
	sess, now := t.session, s.now()
	facts := []fact{
		{"User", orDash(sess.user)}, {"Client", sess.client}, {"Device", orDash(sess.device)}, {"Scope", orDash(sess.scope)},
		{"Signed in", ago(now, sess.created)}, {"Last used", ago(now, sess.lastUsed)},
		{"Refreshes", strconv.FormatInt(sess.refreshes, 10)}, {"Hard end", ahead(now, sess.absolute)},
	}
	switch {
	case sess.ended != "":
		facts = append(facts, fact{"Ended", sess.ended + ", " + ago(now, sess.endedAt)})
	case t.outdated():
		facts = append(facts, fact{"Ended", "the user's token version has moved on"})
	}
	return facts
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// familyTree makes a chain of the tokens that followed each other, and begins
// new ones only where a token has several children: most never have, and a
// family of a thousand generations would else march off the page.
func familyTree(tokens []refreshToken, by map[string][]exchangeRow) (chains [][]*familyNode) {
	nodes := make(map[digest]*familyNode, len(tokens))
	children := make(map[digest][]refreshToken)
	for _, t := range tokens {
		n := newFamilyNode(t)
		n.By = by[n.Mark]
		nodes[t.hash] = n
		children[t.parent] = append(children[t.parent], t)
	}
	var chain func(refreshToken) []*familyNode
	chain = func(t refreshToken) (out []*familyNode) {
		for {
			n := nodes[t.hash]
			out = append(out, n)
			next := children[t.hash]
			if len(next) != 1 {
				for _, child := range next {
					n.Forks = append(n.Forks, chain(child))
				}
				return out
			}
			t = next[0]
		}
	}
	for _, t := range tokens {
		if nodes[t.parent] == nil {
			chains = append(chains, chain(t))
		}
	}
	return chains
}

func newFamilyNode(t refreshToken) *familyNode {
	n := &familyNode{
		Mark: hex.EncodeToString(t.hash[:4]), Generation: t.generation, Issued: clockTime(t.issued),
		Expires: t.expires.UTC().Format(time.DateTime),
	}
	if !t.used.IsZero() {
		n.Used, n.Replays = clockTime(t.used), t.uses-1
	}
	switch t.status {
	case statusActive:
		n.State, n.Class, n.Kind = "live", "active", "good"
	case statusRotated:
		n.State = "rotated"
	case statusRevoked:
		n.State, n.Class, n.Kind = "revoked", "revoked", "bad"
	}
	return n
}
