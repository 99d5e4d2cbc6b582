package tokensource

import (
	"context"
	"errors"
	"sync"
	"time"
)

// MemoryStore is a [Store] that forgets with the process. Sessions that share
// one behave like processes that share a keyring.
type MemoryStore struct {
	mu      sync.Mutex // guards entries and their records; never held across I/O or a wait
	entries map[Key]*memoryEntry
}

type memoryEntry struct {
	version Version
	data    Secret        // not bytes, which fmt finds and prints if the verb is wrong
	lock    chan struct{} // holds one element while the lease is out
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{entries: make(map[Key]*memoryEntry)}
}

// entry returns the entry of key; the caller holds mu.
func (m *MemoryStore) entry(key Key) *memoryEntry {
	e := m.entries[key]
	if e == nil {
		e = &memoryEntry{lock: make(chan struct{}, 1)}
		m.entries[key] = e
	}
	return e
}

// Load returns the record under key.
func (m *MemoryStore) Load(ctx context.Context, key Key) (Version, []byte, error) {
	if ctx.Err() != nil {
		return Version{}, nil, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(key)
	if e.version == (Version{}) {
		return Version{}, nil, ErrNotFound
	}
	return e.version, []byte(e.data.Reveal()), nil
}

// Swap replaces the record of version old.
func (m *MemoryStore) Swap(ctx context.Context, key Key, old, new Version, data []byte) error {
	if new == (Version{}) {
		return errors.New("tokensource: the new version of a record must not be zero")
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(key)
	if e.version != old {
		return ErrConflict
	}
	e.version, e.data = new, NewSecret(string(data))
	return nil
}

// Lock waits for the lease of key.
func (m *MemoryStore) Lock(ctx context.Context, key Key) (Lease, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m.mu.Lock()
	e := m.entry(key)
	m.mu.Unlock()
	select {
	case e.lock <- struct{}{}:
		return &memoryLease{lock: e.lock, over: make(chan struct{})}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

var errReleased = errors.New("tokensource: the lease was released")

type memoryLease struct {
	lock chan struct{}
	once sync.Once
	over chan struct{} // closed by Release
}

func (l *memoryLease) Extend(context.Context, time.Duration) error {
	select {
	case <-l.over:
		return errReleased
	default:
		return nil
	}
}

func (l *memoryLease) Release() error {
	l.once.Do(func() {
		close(l.over)
		<-l.lock
	})
	return nil
}
