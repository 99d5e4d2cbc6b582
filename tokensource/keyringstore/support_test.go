package keyringstore_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// needKeyring skips a test that wants a real keyring where there is none. The
// script scripts/secret-service.sh puts one beside the tests.
func needKeyring(tb testing.TB) {
	tb.Helper()
	if os.Getenv("PAWL_TEST_KEYRING") == "1" {
		return
	}
	if os.Getenv("PAWL_REQUIRE_SERVICES") == "1" {
		tb.Fatal("PAWL_REQUIRE_SERVICES=1, and PAWL_TEST_KEYRING is not set: run under scripts/secret-service.sh")
	}
	tb.Skip("no real keyring: run under scripts/secret-service.sh")
}

// newKey returns a key that nothing was ever stored under; the real keyring
// outlives a test.
func newKey() tokensource.Key {
	return tokensource.NewKey("https://as.example", "test", rand.Text())
}

// version makes the n-th version of a record, recognisable in a failure.
func version(n uint64) (v tokensource.Version) {
	binary.BigEndian.PutUint64(v[8:], n)
	return v
}

// ring is a keyring in memory whose parts can be replaced while it is used.
type ring struct {
	mu      sync.Mutex // guards all below; never held across a hook
	entries map[string]string
	sets    int
	// Each may be nil; before returns an error to fail the call with.
	check        error
	beforeGet    func() error
	beforeSet    func() error
	beforeRemove func() error
	lie          bool // Set returns nil and stores nothing
}

func newRing() *ring { return &ring{entries: map[string]string{}} }

func (r *ring) vault() keyringstore.FakeVault {
	return keyringstore.FakeVault{
		Check: func(context.Context) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.check
		},
		Get:    r.get,
		Set:    r.set,
		Remove: r.remove,
	}
}

func (r *ring) get(service, user string) (string, error) {
	if err := r.hook(func() func() error { return r.beforeGet }); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	text, ok := r.entries[service+":"+user]
	if !ok {
		return "", keyringstore.ErrNoEntry
	}
	return text, nil
}

func (r *ring) set(service, user, secret string) error {
	if err := r.hook(func() func() error { return r.beforeSet }); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sets++
	if !r.lie {
		r.entries[service+":"+user] = secret
	}
	return nil
}

func (r *ring) remove(service, user string) error {
	if err := r.hook(func() func() error { return r.beforeRemove }); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.entries, service+":"+user)
	return nil
}

func (r *ring) hook(which func() func() error) error {
	r.mu.Lock()
	f := which()
	r.mu.Unlock()
	if f == nil {
		return nil
	}
	return f()
}

// change changes the ring under its mutex.
func (r *ring) change(f func(*ring)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r)
}

func (r *ring) snapshot() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.entries)
}

func (r *ring) setCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sets
}

// open returns stores over r that share a directory and a worker.
func (r *ring) open(t testing.TB, configs ...keyringstore.Config) []*keyringstore.Store {
	t.Helper()
	dir := t.TempDir()
	for i := range configs {
		if configs[i].Dir == "" {
			configs[i].Dir = dir
		}
	}
	stores, err := keyringstore.NewVaultStores(r.vault(), configs...)
	require.NoError(t, err)
	return stores
}

// eventually polls: another process gives no signal.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(end), what)
	}
}
