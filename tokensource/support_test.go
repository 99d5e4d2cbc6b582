package tokensource_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// rotor is a token endpoint in miniature, without a network: every refresh
// token is good once, and with a reuse the family dies. What it does on the
// way is scripted by its fields.
type rotor struct {
	mu          sync.Mutex // guards what follows; not held while before or after run
	live        string     // the one good refresh token
	dead        bool
	n           int
	presented   map[string]int
	revoked     []string
	lifetime    time.Duration
	grace       bool // a spent token is answered with the same successor
	keepRefresh bool // the server does not rotate
	access      string
	spent       map[string]tokensource.Grant

	// before runs before the request is processed, after when it has been.
	// An error of theirs is the answer.
	before func(ctx context.Context, n int) error
	after  func(ctx context.Context, n int) error
	edit   func(*tokensource.Grant)
}

func newRotor(lifetime time.Duration) *rotor {
	return &rotor{presented: map[string]int{}, spent: map[string]tokensource.Grant{}, lifetime: lifetime}
}

// login returns the first set of a new session.
func (r *rotor) login() tokensource.Grant {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = false
	return r.issue()
}

// issue makes the next set; the caller holds mu.
func (r *rotor) issue() tokensource.Grant {
	if !r.keepRefresh || r.live == "" {
		r.live = "rt-" + rand.Text()
	}
	access := r.access
	if access == "" {
		access = "at-" + rand.Text()
	}
	now := time.Now()
	g := tokensource.Grant{
		AccessToken:  tokensource.NewSecret(access),
		RefreshToken: tokensource.NewSecret(r.live),
		IssuedAt:     now,
	}
	if r.lifetime > 0 {
		g.Expiry = now.Add(r.lifetime)
	}
	if r.edit != nil {
		r.edit(&g)
	}
	return g
}

func (r *rotor) Refresh(ctx context.Context, old tokensource.Grant) (tokensource.Grant, error) {
	r.mu.Lock()
	r.n++
	n := r.n
	r.mu.Unlock()
	if r.before != nil {
		if err := r.before(ctx, n); err != nil {
			return tokensource.Grant{}, err
		}
	}
	g, err := r.process(old.RefreshToken.Reveal())
	if err == nil && r.after != nil {
		if err := r.after(ctx, n); err != nil {
			return tokensource.Grant{}, err
		}
	}
	return g, err
}

func (r *rotor) process(rt string) (tokensource.Grant, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.presented[rt]++
	if g, spent := r.spent[rt]; spent && r.grace {
		return g, nil
	}
	if r.dead || rt != r.live {
		r.dead = true
		return tokensource.Grant{}, &tokensource.Error{Reason: tokensource.ReasonRejected, Status: 400, Code: "invalid_grant"}
	}
	r.spent[rt] = r.issue()
	if r.keepRefresh {
		g := r.spent[rt]
		delete(r.spent, rt)
		return g, nil
	}
	return r.spent[rt], nil
}

func (r *rotor) Revoke(_ context.Context, g tokensource.Grant) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revoked = append(r.revoked, g.RefreshToken.Reveal())
	return nil
}

// requests is how many token requests arrived.
func (r *rotor) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// mostPresented is the most times any one refresh token was presented.
func (r *rotor) mostPresented() (most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.presented {
		most = max(most, n)
	}
	return most
}

func (r *rotor) current() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live
}

// lost and unsent are what a Refresher reports.
func lost() error   { return &tokensource.Error{Reason: tokensource.ReasonLost, Uncertain: true} }
func unsent() error { return &tokensource.Error{Reason: tokensource.ReasonNotSent} }

// hookedStore is a MemoryStore whose methods can be overridden one by one.
type hookedStore struct {
	*tokensource.MemoryStore
	mu      sync.Mutex // guards the hooks where a test changes them during a save
	load    func(ctx context.Context) error
	swap    func(ctx context.Context, data []byte) error
	loaded  func()
	swapped func(data []byte) error
	extend  func(ctx context.Context, d time.Duration) error
	loads   counter
	swaps   counter
	locks   counter
}

// setSwap changes the hook while the store is in use.
func (h *hookedStore) setSwap(swap func(context.Context, []byte) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.swap = swap
}

type counter struct {
	mu sync.Mutex // guards n
	n  int
}

func (c *counter) add() { c.mu.Lock(); c.n++; c.mu.Unlock() }
func (c *counter) get() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func newHookedStore() *hookedStore { return &hookedStore{MemoryStore: tokensource.NewMemoryStore()} }

func (h *hookedStore) Load(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
	h.loads.add()
	if h.load != nil {
		if err := h.load(ctx); err != nil {
			return tokensource.Version{}, nil, err
		}
	}
	ver, data, err := h.MemoryStore.Load(ctx, key)
	if h.loaded != nil {
		h.loaded()
	}
	return ver, data, err
}

func (h *hookedStore) Swap(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	h.swaps.add()
	h.mu.Lock()
	swap := h.swap
	h.mu.Unlock()
	if swap != nil {
		if err := swap(ctx, data); err != nil {
			return err
		}
	}
	if err := h.MemoryStore.Swap(ctx, key, old, new, data); err != nil {
		return err
	}
	if h.swapped != nil {
		return h.swapped(data)
	}
	return nil
}

func (h *hookedStore) Lock(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
	h.locks.add()
	lease, err := h.MemoryStore.Lock(ctx, key)
	if err != nil {
		return nil, err
	}
	return &hookedLease{Lease: lease, store: h}, nil
}

type hookedLease struct {
	tokensource.Lease
	store *hookedStore
}

func (l *hookedLease) Extend(ctx context.Context, d time.Duration) error {
	if l.store.extend != nil {
		return l.store.extend(ctx, d)
	}
	return nil
}

var testKey = tokensource.NewKey("https://as.example", "cli", "alice")

// newSession returns a Session over the rotor and store; change may edit its
// Config. It is closed with the test.
func newSession(t *testing.T, r tokensource.Refresher, store tokensource.Store, change ...func(*tokensource.Config)) *tokensource.Session {
	t.Helper()
	cfg := tokensource.Config{Key: testKey, Store: store, Refresher: r}
	if rev, ok := r.(tokensource.Revoker); ok {
		cfg.Revoker = rev
	}
	for _, c := range change {
		c(&cfg)
	}
	s, err := tokensource.NewSession(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// loggedIn is newSession after a login.
func loggedIn(t *testing.T, r *rotor, store tokensource.Store, change ...func(*tokensource.Config)) *tokensource.Session {
	t.Helper()
	s := newSession(t, r, store, change...)
	require.NoError(t, s.Adopt(t.Context(), r.login()))
	return s
}

// stored returns the record in the store.
func stored(t *testing.T, store tokensource.Store) tokensource.RecordView {
	t.Helper()
	_, data, err := store.Load(context.Background(), testKey)
	require.NoError(t, err)
	view, err := tokensource.ViewRecord(data)
	require.NoError(t, err)
	return view
}

// typed returns err as an *Error, which it must be.
func typed(t *testing.T, err error) *tokensource.Error {
	t.Helper()
	var e *tokensource.Error
	require.ErrorAs(t, err, &e)
	return e
}

// together runs n calls of f at once and waits for them.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

var errDisk = errors.New("no space left on device")
