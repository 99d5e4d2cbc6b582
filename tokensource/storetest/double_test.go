package storetest_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/storetest"
)

// double is a store whose methods can be replaced one by one; nil: those of
// the store inside.
type double struct {
	tokensource.Store
	load func(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error)
	swap func(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error
	lock func(ctx context.Context, key tokensource.Key) (tokensource.Lease, error)
}

func (d *double) Load(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
	if d.load != nil {
		return d.load(ctx, key)
	}
	return d.Store.Load(ctx, key)
}

func (d *double) Swap(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	if d.swap != nil {
		return d.swap(ctx, key, old, new, data)
	}
	return d.Store.Swap(ctx, key, old, new, data)
}

func (d *double) Lock(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
	if d.lock != nil {
		return d.lock(ctx, key)
	}
	return d.Store.Lock(ctx, key)
}

// lease is a Lease made of functions.
type lease struct {
	tokensource.Lease
	extend  func(ctx context.Context, d time.Duration) error
	release func() error
}

func (l lease) Extend(ctx context.Context, d time.Duration) error {
	if l.extend != nil {
		return l.extend(ctx, d)
	}
	return l.Lease.Extend(ctx, d)
}

func (l lease) Release() error {
	if l.release != nil {
		return l.release()
	}
	return l.Lease.Release()
}

// broken returns the Config of a memory store that is broken in one way.
func broken(how func(d *double)) storetest.Config {
	return storetest.Config{
		Open: func(string) (tokensource.Store, error) {
			d := &double{Store: tokensource.NewMemoryStore()}
			how(d)
			return d, nil
		},
		OneProcess: true,
	}
}

// leases is a store whose leases expire. Its zero value is one that keeps the
// contract.
type leases struct {
	tokensource.Store
	life time.Duration

	ignoreD       bool // Extend confirms more than it grants
	alwaysConfirm bool
	releaseAny    bool
	forever       bool

	mu      sync.Mutex // guards holders
	holders map[tokensource.Key]*expiring
}

func newLeases(life time.Duration, how func(*leases)) storetest.Config {
	return storetest.Config{
		Open: func(string) (tokensource.Store, error) {
			l := &leases{Store: tokensource.NewMemoryStore(), life: life, holders: map[tokensource.Key]*expiring{}}
			how(l)
			return l, nil
		},
		OneProcess: true, LeaseTime: life, MaxData: 1 << 20,
	}
}

type expiring struct {
	store *leases
	key   tokensource.Key
	until time.Time // guarded by store.mu
}

// Swap has a limit.
func (l *leases) Swap(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	if len(data) > 1<<20 {
		return errors.New("too long")
	}
	return l.Store.Swap(ctx, key, old, new, data)
}

// Lock polls, as a store in a database may.
func (l *leases) Lock(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
	for ctx.Err() == nil {
		if e := l.try(key); e != nil {
			return e, nil
		}
		timer := time.NewTimer(time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil, context.Cause(ctx)
}

func (l *leases) try(key tokensource.Key) *expiring {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.holders[key]; h != nil && (l.forever || time.Now().Before(h.until)) {
		return nil
	}
	e := &expiring{store: l, key: key, until: time.Now().Add(l.life)}
	l.holders[key] = e
	return e
}

func (e *expiring) Extend(_ context.Context, d time.Duration) error {
	l := e.store
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holders[e.key] != e && !l.alwaysConfirm {
		return errors.New("the lease is lost")
	}
	if !l.ignoreD {
		e.until = time.Now().Add(max(d, l.life))
	}
	return nil
}

func (e *expiring) Release() error {
	l := e.store
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holders[e.key] == e || l.releaseAny {
		delete(l.holders, e.key)
	}
	return nil
}
