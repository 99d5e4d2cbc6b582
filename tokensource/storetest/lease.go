package storetest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

var leaseClauses = []clause{
	{"one holder at a time",
		"Lock returns the one lease that exists for a key", nil, lockExcludes},
	{"waits for the release",
		"Lock waits until the lease is free, and gets it then", nil, lockWaits},
	{"a lease for each key",
		"the lease of one key is in nobody's way under another", nil, lockKeys},
	{"obeys its context",
		"Lock waits until its context ends and fails with the cause of that; who has left holds nothing", nil, lockEnded},
	{"outlives its context",
		"a lease outlives the context that it was asked for with", nil, lockOutlives},
	{"releases once",
		"releasing a lease that is over is no error, and takes nobody else's", nil, releaseTwice},
	{"confirms what is held",
		"Extend confirms a lease that is held, and never one that was given up", nil, extendConfirms},
}

// lockExcludes has goroutines, over two stores, meet in what the lease guards.
func lockExcludes(ctx context.Context, s *subject) {
	const goroutines, times = 6, 4
	var inside atomic.Int32
	var all sync.WaitGroup
	stores := []tokensource.Store{s.store, s.another()}
	for i := range goroutines {
		all.Go(func() {
			for range times {
				lease, err := stores[i%2].Lock(ctx, s.key)
				if err != nil {
					s.Errorf("Lock: %v", err)
					return
				}
				if n := inside.Add(1); n != 1 {
					s.Errorf("%d hold the lease at once", n)
				}
				linger() // whoever is let in by mistake comes now
				inside.Add(-1)
				if err := lease.Release(); err != nil {
					s.Errorf("Release: %v", err)
				}
			}
		})
	}
	all.Wait()
}

// await locks s.key in a goroutine.
func (s *subject) await(ctx context.Context, store tokensource.Store) <-chan grant {
	got := make(chan grant, 1)
	go func() {
		lease, err := store.Lock(ctx, s.key)
		got <- grant{lease, err}
	}()
	return got
}

type grant struct {
	lease tokensource.Lease
	err   error
}

// refused asserts that nobody gets the lease of s.key for a moment.
func (s *subject) refused(ctx context.Context, store tokensource.Store, why string) {
	s.Helper()
	short, cancel := context.WithTimeout(ctx, s.moment())
	defer cancel()
	got := s.await(short, store)
	timer := time.NewTimer(s.config.patience / 2)
	defer timer.Stop()
	select {
	case g := <-got:
		if g.err == nil {
			s.Errorf("Lock succeeded although %s", why)
			s.release(g.lease)
		}
	case <-timer.C:
		s.Fatal("Lock goes on waiting after its context has ended")
	}
}

// moment is long enough for a store to give out a lease that it must not, and
// not so long that one expires.
func (s *subject) moment() time.Duration {
	if s.config.LeaseTime > 0 {
		return min(50*time.Millisecond, s.config.LeaseTime/10)
	}
	return 50 * time.Millisecond
}

func lockWaits(ctx context.Context, s *subject) {
	other := s.another()
	first := s.lock(ctx, s.store)
	s.refused(ctx, s.store, "another goroutine holds the lease")
	s.refused(ctx, other, "another store holds the lease")
	got := s.await(ctx, other)
	s.release(first)
	g := <-got
	if g.err != nil {
		s.Fatalf("Lock, when the holder had released the lease: %v", g.err)
	}
	s.refused(ctx, s.store, "whoever waited has the lease now")
	s.release(g.lease)
}

func lockKeys(ctx context.Context, s *subject) {
	first := s.lock(ctx, s.store)
	short, cancel := context.WithTimeout(ctx, s.config.patience/2)
	defer cancel()
	second, err := s.another().Lock(short, keyOf(s.profile+"/another"))
	if err != nil {
		s.Fatalf("Lock of another key: %v", err)
	}
	s.release(second)
	s.release(first)
}

func lockEnded(ctx context.Context, s *subject) {
	other := s.another()
	gone, cause := ended(s.Context())
	if lease, err := s.store.Lock(gone, s.key); err == nil {
		s.Error("Lock with a context that has ended succeeded")
		s.release(lease)
	} else {
		s.wantCause("Lock", err, cause)
	}

	first := s.lock(ctx, s.store)
	waiting, leave := context.WithCancelCause(ctx)
	var waiters []<-chan grant
	for _, store := range []tokensource.Store{s.store, other, other} {
		waiters = append(waiters, s.await(waiting, store))
	}
	s.refused(ctx, other, "it is held, and waited for") // by now all of them wait
	leave(cause)
	timer := time.NewTimer(s.config.patience / 2)
	defer timer.Stop()
	for _, w := range waiters {
		select {
		case g := <-w:
			s.wantCause("Lock", g.err, cause)
		case <-timer.C:
			s.Fatal("Lock goes on waiting after its context has ended")
		}
	}
	s.release(first)
	s.release(s.lock(ctx, other))
}

func lockOutlives(ctx context.Context, s *subject) {
	asked, cancel := context.WithCancel(ctx)
	lease, err := s.store.Lock(asked, s.key)
	cancel()
	if err != nil {
		s.Fatalf("Lock: %v", err)
	}
	s.refused(ctx, s.another(), "the lease is held, only its context has ended")
	if err := lease.Extend(ctx, time.Second); err != nil {
		s.Errorf("Extend after the context of Lock had ended: %v", err)
	}
	s.release(lease)
}

func releaseTwice(ctx context.Context, s *subject) {
	other := s.another()
	first := s.lock(ctx, s.store)
	s.release(first)
	second := s.lock(ctx, other)
	if err := first.Release(); err != nil {
		s.Errorf("the second Release of a lease: %v", err)
	}
	s.refused(ctx, s.store, "only its former holder has released it once more")
	s.release(second)
}

func extendConfirms(ctx context.Context, s *subject) {
	lease := s.lock(ctx, s.store)
	for _, d := range []time.Duration{time.Second, 0, time.Minute, time.Second} {
		if err := lease.Extend(ctx, d); err != nil {
			s.Errorf("Extend of a lease that is held, for %v: %v", d, err)
		}
	}
	s.release(lease)
	if err := lease.Extend(ctx, time.Second); err == nil {
		s.Error("Extend confirmed a lease that was released")
	}
	// It took nothing back either.
	s.release(s.lock(ctx, s.another()))
}

// expiryClauses are for leases that expire.
var expiryClauses = []clause{
	{"expires",
		"a lease that nobody extends is free after Config.LeaseTime", expiring, leaseExpires},
	{"lasts as long as confirmed",
		"when Extend has confirmed the lease for d, nobody else gets it for d", expiring, extendLasts},
	{"is known to be lost",
		"Extend fails when someone else has had the lease since; releasing a lost lease is no error and takes nobody else's", expiring, leaseLost},
}

func expiring(c Config) bool { return c.LeaseTime > 0 }

func leaseExpires(ctx context.Context, s *subject) {
	s.lock(ctx, s.store)
	second := s.lock(ctx, s.another())
	s.release(second)
}

func extendLasts(ctx context.Context, s *subject) {
	other := s.another()
	lease := s.lock(ctx, s.store)
	const times = 3
	if err := lease.Extend(ctx, times*s.config.LeaseTime); err != nil {
		s.Fatalf("Extend of a lease that is held: %v", err)
	}
	confirmed := time.Now()
	second := s.lock(ctx, other)
	if after := time.Since(confirmed); after < (times-1)*s.config.LeaseTime {
		s.Errorf("someone else got the lease %v after it was confirmed for %v", after, times*s.config.LeaseTime)
	}
	s.release(second)
}

func leaseLost(ctx context.Context, s *subject) {
	other := s.another()
	first := s.lock(ctx, s.store)
	second := s.lock(ctx, other) // when the first has expired
	if err := first.Extend(ctx, s.config.LeaseTime); err == nil {
		s.Error("Extend confirmed a lease that had expired and was someone else's")
	}
	if err := first.Release(); err != nil {
		s.Errorf("Release of a lost lease: %v", err)
	}
	if err := second.Extend(ctx, s.config.LeaseTime); err != nil {
		s.Errorf("Extend of a lease whose former holder has released it: %v", err)
	}
	s.refused(ctx, s.store, "only its former holder has released it")
	s.release(second)
}
