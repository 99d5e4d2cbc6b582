package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// raceClauses are those of Swap that take several callers.
var raceClauses = []clause{
	{"one of many wins",
		"of the swaps of one version exactly one succeeds, and the others get ErrConflict", nil, swapRace},
	{"loses no update",
		"Swap returns nil if the record was written, and ErrConflict only if it was not", nil, swapCounts},
	{"leaves the old record or the new",
		"an error other than ErrConflict leaves open whether the record was written, and its version tells", nil, swapInterrupted},
}

func swapRace(ctx context.Context, s *subject) {
	stores := []tokensource.Store{s.store, s.another()}
	const goroutines, rounds = 5, 3
	s.swap(ctx, version(0), version(1), nil)
	for round := uint64(1); round <= rounds; round++ {
		var all sync.WaitGroup
		won := make(chan tokensource.Version, goroutines)
		for i := range uint64(goroutines) {
			all.Go(func() {
				next := version(round<<32 + i)
				err := stores[i%2].Swap(ctx, s.key, version(round), next, record(i))
				if err == nil {
					won <- next
				} else if !errors.Is(err, tokensource.ErrConflict) {
					s.Errorf("Swap of a version that others swap as well: %v", err)
				}
			})
		}
		all.Wait()
		if len(won) != 1 {
			s.Fatalf("%d of %d swaps of one version succeeded", len(won), goroutines)
		}
		winner := <-won
		v, _, err := s.store.Load(ctx, s.key)
		if err != nil || v != winner {
			s.Fatalf("Load returned version %x and %v after the swap to %x had succeeded", v, err, winner)
		}
		s.swap(ctx, winner, version(round+1), nil)
	}
}

func swapCounts(ctx context.Context, s *subject) {
	stores := []tokensource.Store{s.store, s.another()}
	const goroutines, times = 4, 4
	var all sync.WaitGroup
	for i := range goroutines {
		all.Go(func() {
			for range times {
				if _, err := increment(ctx, stores[i%2], s.key); err != nil {
					s.Errorf("incrementing the record: %v", err)
				}
			}
		})
	}
	all.Wait()
	s.counted(ctx, goroutines*times)
}

// counted asserts that the record was incremented so many times, no more and
// no less, if all went well so far.
func (s *subject) counted(ctx context.Context, want uint64) {
	s.Helper()
	n, _, err := current(ctx, s.store, s.key)
	switch {
	case err != nil:
		s.Errorf("reading the record: %v", err)
	case s.Failed():
	case n < want:
		s.Errorf("%d swaps succeeded and the record counts %d: a Swap returned nil for what is not there", want, n)
	case n > want:
		s.Errorf("%d swaps succeeded and the record counts %d: a Swap failed with ErrConflict and had written", want, n)
	}
}

// swapInterrupted has contexts end while the store is at work.
func swapInterrupted(ctx context.Context, s *subject) {
	start := time.Now()
	for range 3 {
		if _, err := increment(ctx, s.store, s.key); err != nil {
			s.Fatalf("incrementing the record: %v", err)
		}
	}
	typical := time.Since(start) / 3
	for i := range 9 {
		n, old, err := current(ctx, s.store, s.key)
		if err != nil {
			s.Fatalf("reading the record: %v", err)
		}
		next := randomVersion()
		left := rand.N(typical + 1)
		if i%3 == 0 {
			left = 0 // nothing is what a fast store has time for
		}
		short, cancel := context.WithTimeout(ctx, left)
		err = s.store.Swap(short, s.key, old, next, record(n+1))
		cancel()
		now, v, loadErr := current(ctx, s.store, s.key)
		switch {
		case loadErr != nil:
			s.Fatalf("Load after a Swap whose context had ended: %v", loadErr)
		case v == next && now == n+1 && !errors.Is(err, tokensource.ErrConflict):
		case v == old && now == n && err != nil && !errors.Is(err, tokensource.ErrConflict):
		default:
			s.Fatalf("Swap of record %d returned %v, and Load found record %d (version old: %t, new: %t)", n+1, err, now, v == old, v == next)
		}
	}
}
