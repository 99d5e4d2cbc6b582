package testserver

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// memory is the store that lives as long as the process: the maps under one
// lock, each session under its own.
type memory struct {
	docs *memoryDocuments

	bulk sync.Mutex // held by whoever locks several sessions; taken before the first of them

	// mu guards the maps below. It may be taken under a session's lock, never
	// the other way round; never held across I/O, timers or callbacks.
	mu      sync.RWMutex
	people  map[string]user
	byID    map[string]*family
	byToken map[digest]*family
	byUser  map[string][]*family
}

// family is a session in memory. It is its own rows.
type family struct {
	absolute time.Time // the session's hard end, which nothing moves

	// mu is the session's lock. It guards what follows and is held while the
	// function given to update computes; never across I/O or timers.
	mu      sync.Mutex
	row     session
	refresh map[digest]refreshToken
	access  map[string]accessToken
}

var (
	_ Store = (*memory)(nil)
	_ rows  = (*family)(nil)
)

func newMemory() *memory {
	return &memory{
		docs:    newMemoryDocuments(),
		people:  make(map[string]user),
		byID:    make(map[string]*family),
		byToken: make(map[digest]*family),
		byUser:  make(map[string][]*family),
	}
}

func (f *family) refreshToken(hash digest) (refreshToken, error) {
	r, ok := f.refresh[hash]
	if !ok {
		return refreshToken{}, errNoToken
	}
	return r, nil
}

func (f *family) accessToken(jti string) (accessToken, error) {
	a, ok := f.access[jti]
	if !ok {
		return accessToken{}, errNoToken
	}
	return a, nil
}

func (f *family) children(parent digest) ([]refreshToken, error) {
	all, err := f.family()
	return slices.DeleteFunc(all, func(r refreshToken) bool { return r.parent != parent }), err
}

func (f *family) family() ([]refreshToken, error) {
	return slices.SortedFunc(maps.Values(f.refresh), func(a, b refreshToken) int {
		return cmp.Or(a.issued.Compare(b.issued), cmp.Compare(a.generation, b.generation), cmp.Compare(a.branch, b.branch))
	}), nil
}

// apply commits what was written to t. The caller holds f.mu.
func (f *family) apply(t *tx) {
	f.row = t.session
	for jti, a := range f.access {
		if a.expires.Before(t.expired) {
			delete(f.access, jti)
		} else if !t.retire.IsZero() && a.revoked.IsZero() {
			a.revoked = t.retire
			f.access[jti] = a
		}
	}
	for _, r := range t.refresh {
		f.refresh[r.hash] = r
	}
	for _, a := range t.access {
		f.access[a.jti] = a
	}
	if !t.ending {
		return
	}
	for hash, r := range f.refresh {
		if r.status == statusActive {
			r.status = statusRevoked
			f.refresh[hash] = r
		}
	}
}

func (m *memory) documents() documents { return m.docs }

func (m *memory) create(_ context.Context, s session, fn func(*tx) error) error {
	f := &family{absolute: s.absolute, refresh: make(map[digest]refreshToken), access: make(map[string]accessToken)}
	t := &tx{session: s, user: m.person(s.user), rows: f}
	if err := fn(t); err != nil {
		return err
	}
	f.apply(t)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byID[s.id] = f
	if s.user != "" {
		m.byUser[s.user] = append(m.byUser[s.user], f)
	}
	for hash := range f.refresh {
		m.byToken[hash] = f
	}
	return nil
}

func (m *memory) update(_ context.Context, id string, fn func(*tx) error) error {
	f := m.lookup(id)
	if f == nil {
		return errNoSession
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := &tx{session: f.row, user: m.person(f.row.user), rows: f}
	if err := fn(t); err != nil {
		return err
	}
	f.apply(t)
	m.index(f, t.refresh)
	return nil
}

// updateAll takes the locks one after the other. Nobody else who holds one
// waits for another.
func (m *memory) updateAll(_ context.Context, name, client, id string, fn func([]*tx) error) error {
	m.bulk.Lock()
	defer m.bulk.Unlock()
	families := m.families(name)
	if f := m.lookup(id); f != nil && !slices.Contains(families, f) {
		families = append(families, f)
	}
	person := m.person(name)
	var all []*tx
	for _, f := range families {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.row.id == id || f.row.ended == "" && (client == "" || f.row.client == client) {
			all = append(all, &tx{session: f.row, user: person, rows: f})
		}
	}
	if err := fn(all); err != nil {
		return err
	}
	for _, t := range all {
		f := t.rows.(*family)
		f.apply(t)
		m.index(f, t.refresh)
	}
	return nil
}

func (m *memory) view(_ context.Context, id string, fn func(*tx) error) error {
	f := m.lookup(id)
	if f == nil {
		return errNoSession
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return fn(&tx{session: f.row, user: m.person(f.row.user), rows: f})
}

func (m *memory) lookup(id string) *family {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.byID[id]
}

func (m *memory) index(f *family, written []refreshToken) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range written {
		m.byToken[r.hash] = f
	}
}

// snapshot copies the row.
func (f *family) snapshot() session {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.row
}

func (m *memory) session(_ context.Context, id string) (session, error) {
	f := m.lookup(id)
	if f == nil {
		return session{}, errNoSession
	}
	return f.snapshot(), nil
}

func (m *memory) sessionOf(_ context.Context, hash digest) (session, refreshToken, error) {
	m.mu.RLock()
	f := m.byToken[hash]
	m.mu.RUnlock()
	if f == nil {
		return session{}, refreshToken{}, errNoSession
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.row, f.refresh[hash], nil
}

func (m *memory) sessions(_ context.Context, name string) ([]session, error) {
	var out []session
	for _, f := range m.families(name) {
		out = append(out, f.snapshot())
	}
	slices.SortStableFunc(out, func(a, b session) int { return a.created.Compare(b.created) })
	return out, nil
}

// families lists those of one user, or all of them if the name is empty.
func (m *memory) families(name string) []*family {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if name != "" {
		return slices.Clone(m.byUser[name])
	}
	return slices.Collect(maps.Values(m.byID))
}

func (m *memory) person(name string) user {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.people[name]
}

func (m *memory) addUser(_ context.Context, name string, password []byte) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.people[name]; ok {
		return false, nil
	}
	m.people[name] = user{name: name, password: password}
	return true, nil
}

func (m *memory) setPassword(_ context.Context, name string, password []byte) error {
	if !m.setUser(name, func(u *user) { u.password = password }) {
		return errUnknownUser
	}
	return nil
}

func (m *memory) user(_ context.Context, name string) (user, error) {
	if u := m.person(name); u.name != "" {
		return u, nil
	}
	return user{}, errUnknownUser
}

func (m *memory) users(context.Context) ([]user, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.SortedFunc(maps.Values(m.people), func(a, b user) int { return cmp.Compare(a.name, b.name) }), nil
}

func (m *memory) bumpUser(_ context.Context, name string) error {
	return m.changeUser(name, func(u *user) { u.version++ })
}

func (m *memory) disableUser(_ context.Context, name string, now time.Time) error {
	return m.changeUser(name, func(u *user) { u.disabled = now })
}

// changeUser passes through the lock of each of the user's sessions after the
// change: who holds one may have read what was before.
func (m *memory) changeUser(name string, change func(*user)) error {
	if !m.setUser(name, change) {
		return errUnknownUser
	}
	for _, f := range m.families(name) {
		f.snapshot()
	}
	return nil
}

func (m *memory) setUser(name string, change func(*user)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, ok := m.people[name]
	if ok {
		change(&u)
		m.people[name] = u
	}
	return ok
}

func (m *memory) revokeAccess(_ context.Context, now time.Time) error {
	for _, f := range m.families("") {
		f.mu.Lock()
		f.apply(&tx{session: f.row, retire: now})
		f.mu.Unlock()
	}
	return nil
}

func (m *memory) wipe(context.Context) error {
	m.docs.wipe()
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.byID)
	clear(m.byToken)
	clear(m.byUser)
	return nil
}

// sweep needs nothing for the documents, which look after themselves.
func (m *memory) sweep(_ context.Context, before, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	over := func(f *family) bool { return f.absolute.Before(before) }
	maps.DeleteFunc(m.byID, func(_ string, f *family) bool { return over(f) })
	maps.DeleteFunc(m.byToken, func(_ digest, f *family) bool { return over(f) })
	for name, list := range m.byUser {
		m.byUser[name] = slices.DeleteFunc(list, over)
	}
	return nil
}
