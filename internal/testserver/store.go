package testserver

import (
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// digest is all the server keeps of a refresh token. A token is 256 random
// bits, so its hash needs no salt and its look-up no constant time.
type digest [sha256.Size]byte

func digestOf(token string) digest { return sha256.Sum256([]byte(token)) }

// user is someone who can sign in. version and disabled may change at any time
// without a session's lock: what was minted under an old version is dead at
// the API and at the next refresh, so a race mints nothing that works.
type user struct {
	name, password string
	version        atomic.Int64
	disabled       atomic.Bool
}

// session is one login on one device: one family of refresh tokens.
type session struct {
	id, client, device, scope string
	user                      *user // nil for client_credentials
	version                   int64 // the user's at the login
	created, absolute         time.Time

	// mu is the row lock. It guards what follows, and covers the decision, the
	// minting and the commit of a refresh; never I/O, timers or callbacks.
	mu        sync.Mutex
	lastUsed  time.Time
	refreshes int
	ended     string // why it was revoked; empty while it lives
	refresh   map[digest]*refreshToken
	access    map[string]accessToken // by jti; one that is not here is not valid
	issued    []string               // the jtis in access, oldest first
}

// refreshToken is one member of a family. Retired ones stay for the life of
// the session: a token that became unknown could not be told from a forgery.
type refreshToken struct {
	nonce     []byte // with its parent, what the token is derived from
	issued    time.Time
	expires   time.Time
	retired   time.Time // zero while it is the live one
	child     digest
	delivered bool // the answer that replaced it was written to its client
}

type accessToken struct {
	expires time.Time
	serial  int64 // order of issue across the server
	revoked bool
}

// presented reads the facts for Decide. The caller holds s.mu.
func (s *session) presented(t *refreshToken) Presented {
	p := Presented{
		Known:     true,
		Ended:     s.ended != "",
		Absolute:  s.absolute,
		Expires:   t.expires,
		Refreshes: s.refreshes,
		Retired:   !t.retired.IsZero(),
		RetiredAt: t.retired,
	}
	if s.user != nil {
		p.Disabled = s.user.disabled.Load()
		p.Outdated = s.user.version.Load() != s.version
	}
	if p.Retired {
		p.ChildRetired = !s.refresh[t.child].retired.IsZero()
	}
	return p
}

// end revokes the session unless it is over already, and reports whether this
// call did it.
func (s *session) end(reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endLocked(reason)
}

func (s *session) endLocked(reason string) bool {
	if s.ended != "" {
		return false
	}
	s.ended = reason
	return true
}

// addAccess records a minted access token and forgets those that are long
// expired. The caller holds s.mu.
func (s *session) addAccess(jti string, a accessToken, now time.Time) {
	dead := 0
	for dead < len(s.issued) && s.access[s.issued[dead]].expires.Before(now) {
		delete(s.access, s.issued[dead])
		dead++
	}
	s.issued = append(s.issued[dead:], jti)
	s.access[jti] = a
}

// memory is the store: the maps under one lock, each session under its own.
type memory struct {
	users map[string]*user // fixed at construction

	// mu guards the maps below. It may be taken under a session's lock, never
	// the other way round; never held across I/O, timers or callbacks.
	mu       sync.RWMutex
	sessions map[string]*session
	byToken  map[digest]*session
	byUser   map[*user][]*session
}

func newMemory(users []User) *memory {
	m := &memory{
		users:    make(map[string]*user, len(users)),
		sessions: make(map[string]*session),
		byToken:  make(map[digest]*session),
		byUser:   make(map[*user][]*session),
	}
	for _, u := range users {
		m.users[u.Name] = &user{name: u.Name, password: u.Password}
	}
	return m
}

func (m *memory) add(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions[s.id] = s
	if s.user != nil {
		m.byUser[s.user] = append(m.byUser[s.user], s)
	}
	for d := range s.refresh {
		m.byToken[d] = s
	}
}

func (m *memory) index(d digest, s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byToken[d] = s
}

func (m *memory) session(id string) *session {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.sessions[id]
}

func (m *memory) sessionOf(d digest) *session {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.byToken[d]
}

func (m *memory) sessionsOf(u *user) []*session {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.byUser[u])
}
