package testserver

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Rule names of violations: what a good client does not do.
const (
	RefreshReused    = "refresh-token-reused"          // came back though its successor was delivered
	RefreshUnsaved   = "refresh-token-not-persisted"   // so, a while later, and the successor never came: it was not kept
	RefreshOverlap   = "concurrent-refresh"            // two refreshes of one session in flight
	RefreshAfterEnd  = "refresh-after-refusal"         // a refused token, again and again
	RefreshEarly     = "early-refresh"                 // the access token was good for long, and nobody had refused it
	RefreshLoop      = "refresh-loop"                  // a session refreshed without pause
	RefreshKeyed     = "idempotency-key-on-refresh"    // net/http re-sends such a POST silently
	RefreshMisplaced = "refresh-token-misplaced"       // at the API
	RefreshInURL     = "refresh-token-in-url"          // RFC 6749 2.3.1: never in the request URI
	RefreshInClear   = "refresh-token-in-clear"        // over plain HTTP, and not on loopback: RFC 6749 10.4
	BearerAbroad     = "authorization-to-foreign-host" // a token went to another origin
	APIStorm         = "api-retry-storm"               // a refused access token, sent on and on
	GrantMalformed   = "malformed-token-request"       // RFC 6749 4 and 6 were not followed
	ClientUnnamed    = "client-id-missing"             // RFC 6749 3.2.1
	ScopeWidened     = "scope-widened"                 // a refresh asked for more than was granted: RFC 6749 6
	PKCEMissing      = "pkce-missing"                  // RFC 9700 2.1.1
	PKCEPlain        = "pkce-plain"                    // the challenge is the secret itself: RFC 7636 4.2
	ProofReused      = "dpop-proof-reused"             // RFC 9449 4.2: a proof is for one request
	AgentUnnamed     = "user-agent-missing"            // nobody can tell who is asking
	LoginScraped     = "login-page-scraped"            // a program filled in the form that is for people: RFC 8252 8.12
)

// Rules lists all of them, sorted.
func Rules() []string {
	return slices.Sorted(slices.Values([]string{
		RefreshReused, RefreshUnsaved, RefreshOverlap, RefreshAfterEnd, RefreshEarly, RefreshLoop, RefreshKeyed,
		RefreshMisplaced, RefreshInURL, RefreshInClear, BearerAbroad, APIStorm, GrantMalformed, ClientUnnamed,
		ScopeWidened, PKCEMissing, PKCEPlain, ProofReused, AgentUnnamed, LoginScraped,
	}))
}

// Violation is something that a good client does not do.
type Violation struct {
	Rule     string    `json:"rule"`
	Session  string    `json:"session"` // empty where no session is known
	Time     time.Time `json:"time"`
	Exchange int       `json:"exchange"` // the number of the request, see Exchange
	First    int       `json:"first"`    // of the request that first presented the token; 0 where there is none
}

// More than loopRefreshes rotations of one session within loopWindow are a
// loop, and more than stormRefusals refusals of one access token a storm: far
// more than a busy fleet comes to between a refusal and its refresh.
const (
	loopRefreshes = 300
	loopWindow    = time.Minute
	stormRefusals = 200
)

// unsavedAfter is how late a retired token must come back to be one that was
// loaded again, rather than one that two holders raced with.
const unsavedAfter = retestAfter

// line is what the book knows of one session.
type line struct {
	expires   time.Time   // of the access token that its client holds
	refused   bool        // the API has refused that one
	rotations []time.Time // the latest
	killed    time.Time   // see HolderKilled
}

// delivery is how the child of a refresh token reached its client.
type delivery struct {
	at    time.Time
	child digest
}

func (l *ledger) violate(rule string, x *exchange, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violateLocked(rule, x, now)
}

func (l *ledger) violateLocked(rule string, x *exchange, now time.Time) {
	v := Violation{Rule: rule, Session: x.session, Time: now, Exchange: x.seen.Number}
	if x.presented != "" {
		v.First = l.first[digestOf(x.presented)]
	}
	l.violations = append(l.violations, v)
	l.watchers.tell(Event{Violation: &v})
}

// inspect looks for what a request shows before anything is done for it.
func (s *Server) inspect(x *exchange) {
	violate := func(rule string) { s.ledger.violate(rule, x, s.now()) }
	// A token where none belongs is for whoever watches the log, too.
	misplaced := func(rule string, of session) {
		violate(rule)
		s.suspectOf(x, Suspicion(rule), of)
	}
	h, form := x.r.Header, x.r.PostForm
	if (h.Get("Authorization") != "" || x.presented != "") && s.foreign(x.r) {
		misplaced(BearerAbroad, s.sessionBehind(x, x.presented))
	}
	if x.endpoint == Refresh && h.Get("Idempotency-Key") != "" {
		violate(RefreshKeyed)
	}
	if token, ok := bearer(x.r); ok {
		if of := s.sessionBehind(x, token); of.id != "" {
			misplaced(RefreshMisplaced, of)
		}
	}
	for _, values := range x.r.URL.Query() {
		for _, v := range values {
			if of := s.sessionBehind(x, v); of.id != "" {
				misplaced(RefreshInURL, of)
			}
		}
	}
	if x.presented != "" && inClear(x.r, s.foreign(x.r)) {
		misplaced(RefreshInClear, s.sessionBehind(x, x.presented))
	}
	if x.tokenRequest() && onWire(x.r) && x.r.UserAgent() == "" {
		violate(AgentUnnamed)
	}
	if x.oauthToken() && form != nil && x.client == "" && form.Get("client_assertion") == "" {
		violate(ClientUnnamed)
	}
	if proof := h.Get("DPoP"); proof != "" && s.ledger.proofSeen(digestOf(proof)) {
		violate(ProofReused)
	}
}

// judgeLogin looks at the requests that begin a login, whose forms are read on
// the way.
func judgeLogin(x *exchange, violate func(string)) {
	form := x.r.PostForm
	if x.r.Method == http.MethodPost && form.Has("password") && !form.Has("grant_type") && x.r.Header.Get("Sec-Fetch-Site") == "" {
		violate(LoginScraped) // every browser says where its request comes from
	}
	asked := form
	if x.r.Method == http.MethodGet {
		asked = x.r.URL.Query()
	}
	if asked.Get("response_type") != "code" || asked.Has("request_uri") {
		return
	}
	if asked.Get("code_challenge") == "" {
		violate(PKCEMissing)
	} else if asked.Get("code_challenge_method") != "S256" { // RFC 7636 4.3: plain if it is not there
		violate(PKCEPlain)
	}
}

// judge looks at what the request came to.
func (s *Server) judge(x *exchange, o Outcome) {
	violate := func(rule string) { s.ledger.violate(rule, x, s.now()) }
	switch o {
	case WiderScope:
		violate(ScopeWidened)
	case Malformed, WrongType, GrantUnknown, MissingToken:
		if x.oauthToken() {
			violate(GrantMalformed)
		}
	}
	judgeLogin(x, violate)
	token, _, ok := credentialsOf(x.r)
	if x.endpoint != API || x.seen.Status != http.StatusUnauthorized || !ok {
		return
	}
	if s.ledger.refuseAccess(digestOf(token), s.who(x).session) {
		violate(APIStorm)
	}
}

// tokenRequest reports that the request is for an endpoint of tokens.
func (x *exchange) tokenRequest() bool {
	return x.oauthToken() || slices.Contains([]Endpoint{Refresh, Authenticate, ClientCredentials, Revoke}, x.endpoint)
}

// oauthToken reports that the request went to a token endpoint of OAuth.
func (x *exchange) oauthToken() bool { return strings.HasSuffix(x.r.URL.Path, "/oauth/token") }

// onWire reports that the request came over a connection; a handler that is
// called directly may well leave out what net/http fills in.
func onWire(r *http.Request) bool { return r.Context().Value(http.LocalAddrContextKey) != nil }

// inClear reports that others on the network could read the request.
func inClear(r *http.Request, foreign bool) bool {
	if r.TLS != nil {
		return false
	}
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return foreign || ok && !addr.IP.IsLoopback()
}

// proofSeen reports that a proof was here before.
func (l *ledger) proofSeen(proof digest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.proofs[proof]
	l.proofs[proof] = true
	return seen
}

// line is the book's page of a session. The caller holds l.mu.
func (l *ledger) line(session string) *line {
	if l.lines[session] == nil {
		l.lines[session] = &line{}
	}
	return l.lines[session]
}

// refuseAccess books a refused access token, and reports that it was one too
// many.
func (l *ledger) refuseAccess(token digest, session string) (storm bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if session != "" {
		l.line(session).refused = true
	}
	l.storms[token]++
	return l.storms[token] == stormRefusals+1
}

// tooEarly reports that a session is refreshed although its access token, which
// nobody has refused, is good for long. A session that has not been refreshed
// yet holds what its login gave it. The caller holds l.mu.
func (l *ledger) tooEarly(session string, first, now time.Time) bool {
	page := l.line(session)
	expires := page.expires
	if expires.IsZero() {
		expires = first
	}
	return l.early > 0 && !page.refused && expires.Sub(now) > l.early
}

// deliver books that the answer to a refresh reached its client: if it held a
// child of the refresh token, the parent has no business coming back from now.
func (l *ledger) deliver(x *exchange, child digest, expires, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !x.redeemed.childless {
		l.delivered[x.redeemed.hash] = delivery{now, child}
	}
	page := l.line(x.session)
	page.expires, page.refused = expires, false
	recent := slices.DeleteFunc(page.rotations, func(t time.Time) bool { return now.Sub(t) >= loopWindow })
	if page.rotations = append(recent, now); len(page.rotations) == loopRefreshes+1 {
		l.violateLocked(RefreshLoop, x, now)
	}
}

// undeliver strikes out what deliver has booked.
func (l *ledger) undeliver(x *exchange) {
	if x.redeemed == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.delivered, x.redeemed.hash)
}

func (l *ledger) wasDelivered(parent digest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.delivered[parent].at.IsZero()
}

// returned books that a retired token came back. It is a recovery where its
// client cannot know the successor: the answer was lost, or nobody waits for
// this one either, or whoever had it was killed.
func (l *ledger) returned(x *exchange, parent digest, delivered bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.delivered[parent]
	killed := l.line(x.session).killed
	if !delivered || x.abandoned() || !killed.IsZero() && !d.at.Before(killed) {
		l.stats.Recoveries++
		return
	}
	l.violateLocked(RefreshReused, x, now)
	if l.redeemed[d.child] == 0 && now.Sub(d.at) >= unsavedAfter {
		l.violateLocked(RefreshUnsaved, x, now)
	}
}

// HolderKilled says that whoever held a session may have been killed from a
// time on: what was delivered since may be lost, and its parent come back.
func (s *Server) HolderKilled(session string, at time.Time) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ledger.line(session).killed = at
}

// Violations lists what clients did that good clients do not do, oldest first.
func (s *Server) Violations() []Violation {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return slices.Clone(s.ledger.violations)
}

// forget empties the book.
func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats, l.violations, l.exchanges = Stats{}, nil, nil
	for _, m := range []map[digest]int{l.redeemed, l.first, l.storms} {
		clear(m)
	}
	clear(l.delivered)
	clear(l.refused)
	clear(l.attempts)
	clear(l.proofs)
	clear(l.lines)
}
