package storetest

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

var loadClauses = []clause{
	{"nothing is ErrNotFound",
		"where there is no record Load returns an error that matches ErrNotFound", nil, loadNothing},
	{"returns the last record",
		"Load returns the last record swapped in, and its version", nil, loadLast},
	{"gives a copy",
		"what Load returned belongs to the caller", nil, loadCopy},
	{"takes no lease",
		"Load takes no lock that a refresh could hold, and never waits for one", nil, loadUnderLease},
	{"never goes back",
		"Load returns whole records, and none that is older than one it has returned before", nil, loadInOrder},
	{"obeys its context",
		"Load fails with the cause of its context when that has ended", nil, loadEnded},
}

func loadNothing(ctx context.Context, s *subject) {
	s.absent(ctx, s.key)
	if err := s.store.Swap(ctx, s.key, version(7), version(8), []byte("x")); err == nil {
		s.Error("Swap over a version that is not there succeeded")
	}
	s.absent(ctx, s.key)
}

// absent asserts that there is no record under key.
func (s *subject) absent(ctx context.Context, key tokensource.Key) {
	s.Helper()
	v, data, err := s.store.Load(ctx, key)
	switch {
	case err == nil:
		s.Errorf("Load of a key without a record returned version %x, %d bytes and no error; want ErrNotFound", v, len(data))
	case !errors.Is(err, tokensource.ErrNotFound):
		s.Errorf("Load of a key without a record: %v; want ErrNotFound", err)
	case v != tokensource.Version{} || len(data) != 0:
		s.Errorf("Load returned ErrNotFound and yet version %x and %d bytes", v, len(data))
	}
}

// holds asserts that store has this record.
func (s *subject) holds(ctx context.Context, store tokensource.Store, v tokensource.Version, data []byte) {
	s.Helper()
	got, gotData, err := store.Load(ctx, s.key)
	switch {
	case err != nil:
		s.Errorf("Load of a record of %d bytes: %v", len(data), err)
	case got != v:
		s.Errorf("Load returned version %x, want %x", got, v)
	case !bytes.Equal(gotData, data):
		s.Errorf("Load returned %d bytes that are not the %d that were swapped in", len(gotData), len(data))
	}
}

func loadLast(ctx context.Context, s *subject) {
	other := s.another()
	for n := range uint64(5) {
		s.swap(ctx, version(n), version(n+1), record(n+1))
		s.holds(ctx, s.store, version(n+1), record(n+1))
		s.holds(ctx, other, version(n+1), record(n+1))
	}
	if !s.config.OneProcess {
		s.holds(ctx, s.open(), version(5), record(5))
	}
}

func loadCopy(ctx context.Context, s *subject) {
	s.swap(ctx, version(0), version(1), record(1))
	_, data, err := s.store.Load(ctx, s.key)
	if err != nil {
		s.Fatalf("Load: %v", err)
	}
	spoil(data)
	s.holds(ctx, s.store, version(1), record(1))
}

func spoil(data []byte) {
	for i := range data {
		data[i] ^= 0xFF
	}
}

func loadUnderLease(ctx context.Context, s *subject) {
	s.swap(ctx, version(0), version(1), record(1))
	lease := s.lock(ctx, s.store)
	other := s.another()
	s.holds(ctx, s.store, version(1), record(1))
	s.holds(ctx, other, version(1), record(1))
	s.release(lease)
}

// loadInOrder has readers read while a writer writes, each record at least
// once.
func loadInOrder(ctx context.Context, s *subject) {
	const records = 12
	ctx, stop := context.WithCancel(ctx)
	var readers sync.WaitGroup
	var reads atomic.Int64
	for _, store := range []tokensource.Store{s.store, s.another()} {
		readers.Go(func() {
			var last uint64
			for ctx.Err() == nil {
				n, _, err := current(ctx, store, s.key)
				if ctx.Err() != nil {
					return
				}
				if err != nil || n < last {
					s.Errorf("Load while another goroutine swaps: record %d after record %d, error: %v", n, last, err)
					stop()
					return
				}
				last = n
				reads.Add(1)
			}
		})
	}
	for range records {
		if _, err := increment(ctx, s.store, s.key); err != nil && ctx.Err() == nil {
			s.Errorf("incrementing the record: %v", err)
			break
		}
		for enough := reads.Load() + 2; reads.Load() < enough && ctx.Err() == nil; {
			runtime.Gosched()
		}
	}
	stop()
	readers.Wait()
}

func loadEnded(_ context.Context, s *subject) {
	ctx, cause := ended(s.Context())
	_, _, err := s.store.Load(ctx, s.key)
	s.wantCause("Load", err, cause)
}

// ended returns a context that ended before, and why.
func ended(parent context.Context) (context.Context, error) {
	cause := errors.New("storetest: the caller has left")
	ctx, cancel := context.WithCancelCause(parent)
	cancel(cause)
	return ctx, cause
}

func (s *subject) wantCause(method string, err, cause error) {
	s.Helper()
	if !errors.Is(err, cause) {
		s.Errorf("%s with a context that has ended returned %v; want an error that matches context.Cause(ctx)", method, err)
	}
}
