package keyringstore_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// holds asserts what a Load finds, and where.
func holds(t *testing.T, s *keyringstore.Store, key tokensource.Key, n uint64, where keyringstore.Location) {
	t.Helper()
	v, data, err := s.Load(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, version(n), v)
	assert.Equal(t, byte(n), data[0])
	got, err := s.Where(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, where.String(), got.String())
}

func swap(t *testing.T, s *keyringstore.Store, key tokensource.Key, old, new uint64) error {
	t.Helper()
	return s.Swap(t.Context(), key, version(old), version(new), []byte{byte(new)})
}

// took asserts how much (fake) time f takes.
func took(t *testing.T, want time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	assert.Equal(t, want, time.Since(start))
}

// Guards the deadline in run and the file in write.
func TestRecordIsInTheFileAtTheDeadlineOfAKeyringThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, key := newRing(), newKey()
		s := r.open(t, keyringstore.Config{})[0]
		require.NoError(t, swap(t, s, key, 0, 1))
		holds(t, s, key, 1, keyringstore.Keyring)

		hang := make(chan struct{})
		r.change(func(r *ring) { r.beforeSet = func() error { <-hang; return nil } })
		took(t, 3*time.Second, func() { require.NoError(t, swap(t, s, key, 1, 2)) })
		took(t, 0, func() { holds(t, s, key, 2, keyringstore.Sealed) })
		took(t, 0, func() { require.NoError(t, swap(t, s, key, 2, 3)) })
		assert.Equal(t, 1, r.setCount(), "nothing but the first write has landed")

		r.change(func(r *ring) { r.beforeSet = nil })
		close(hang) // the late write lands
		synctest.Wait()
		assert.Equal(t, 2, r.setCount())
		holds(t, s, key, 3, keyringstore.Sealed)
		require.NoError(t, swap(t, s, key, 3, 4))
		holds(t, s, key, 4, keyringstore.Keyring)
		assert.NoFileExists(t, s.SealedPath(key), "the old file may hold a token")
	})
}

// Guards enter's look at hung: without it each call waits its three seconds,
// and the coolDown: without it each costs a stopped daemon's half second.
func TestCallsFailAtOnceWhileTheKeyringHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, key := newRing(), newKey()
		stores := r.open(t, keyringstore.Config{}, keyringstore.Config{Service: "other"})
		var gets atomic.Int32
		hang := make(chan struct{})
		r.change(func(r *ring) { r.beforeGet = func() error { gets.Add(1); <-hang; return nil } })

		took(t, 3*time.Second, func() {
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					_, _, err := stores[0].Load(t.Context(), key)
					assert.ErrorIs(t, err, keyringstore.ErrHung)
					assert.ErrorIs(t, err, tokensource.ErrTryAgain)
				})
			}
			all.Wait()
		})
		for _, wait := range []time.Duration{0, time.Hour} { // the call is still there
			time.Sleep(wait)
			took(t, 0, func() {
				_, _, err := stores[1].Load(t.Context(), key)
				require.ErrorIs(t, err, keyringstore.ErrHung)
			})
		}
		assert.EqualValues(t, 1, gets.Load(), "one goroutine hangs, not one per call")
		r.change(func(r *ring) { r.beforeGet = nil })
		close(hang)
		synctest.Wait()
		_, _, err := stores[0].Load(t.Context(), key)
		require.ErrorIs(t, err, tokensource.ErrNotFound, "the keyring is used again")
	})
}

// A program that is started fifty times at once must not find its keyring hung.
func TestStoreThatIsProbedWaitsAsLongForASlowKeyringAsALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing()
		v := r.vault()
		v.Check = func(ctx context.Context) error {
			select {
			case <-time.After(2 * time.Second):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		stores, err := keyringstore.NewVaultStores(v, keyringstore.Config{Dir: t.TempDir()})
		require.NoError(t, err)
		took(t, 2*time.Second, func() { require.NoError(t, stores[0].Probe(t.Context())) })
		took(t, 500*time.Millisecond, func() {
			require.ErrorIs(t, keyringstore.ProbeVault(t.Context(), v), keyringstore.ErrHung)
		})
	})
}

func TestStoppedDaemonIsLeftAloneForFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, checks := newRing(), new(atomic.Int32)
		v := r.vault()
		v.Check = func(ctx context.Context) error {
			checks.Add(1)
			<-ctx.Done() // as a call over D-Bus does
			return context.Cause(ctx)
		}
		stores, err := keyringstore.NewVaultStores(v, keyringstore.Config{Dir: t.TempDir()})
		require.NoError(t, err)
		load := func() {
			_, _, err := stores[0].Load(t.Context(), newKey())
			require.ErrorIs(t, err, keyringstore.ErrHung)
		}
		took(t, 3*time.Second, load) // it may be no more than slow
		took(t, 0, load)
		assert.EqualValues(t, 1, checks.Load())
		time.Sleep(5 * time.Second)
		took(t, 500*time.Millisecond, load)
		took(t, 500*time.Millisecond, func() {
			require.ErrorIs(t, keyringstore.ProbeVault(t.Context(), v), keyringstore.ErrHung)
		})
	})
}

// Guards the ring lock: the store of another process must not write to the
// keyring while a write of this one is pending, or the late one takes its
// record away.
func TestLateWriteNeverReplacesTheRecordOfAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, key, dir := newRing(), newKey(), t.TempDir()
		hang := make(chan struct{})
		slow := r.vault()
		slow.Set = func(service, user, secret string) error {
			<-hang
			return r.set(service, user, secret)
		}
		a, err := keyringstore.NewVaultStores(slow, keyringstore.Config{Dir: dir})
		require.NoError(t, err)
		b := r.open(t, keyringstore.Config{Dir: dir})[0] // a worker, and locks, of its own
		require.NoError(t, swap(t, b, key, 0, 1))

		require.NoError(t, swap(t, a[0], key, 1, 2))
		holds(t, b, key, 2, keyringstore.Sealed)
		took(t, 0, func() { require.NoError(t, swap(t, b, key, 2, 3)) })
		require.NoError(t, swap(t, b, key, 3, 4))
		close(hang)
		synctest.Wait()
		holds(t, b, key, 4, keyringstore.Sealed)
		require.NoError(t, swap(t, b, key, 4, 5))
		holds(t, b, key, 5, keyringstore.Keyring)
	})
}

// Guards the look at the mark in Swap: the write of a killed process may still
// be on its way.
func TestWriteThatMayStillLandSendsTheNextOneToTheFile(t *testing.T) {
	r, key := newRing(), newKey()
	s := r.open(t, keyringstore.Config{})[0]
	require.NoError(t, swap(t, s, key, 0, 1))
	before := r.snapshot()
	require.NoError(t, swap(t, s, key, 1, 2))
	late := r.snapshot() // the killed one's, with counter 2
	r.change(func(r *ring) { r.entries = before })
	require.NoError(t, s.Mark(key, 2))

	require.NoError(t, swap(t, s, key, 1, 3))
	r.change(func(r *ring) { r.entries = late })
	holds(t, s, key, 3, keyringstore.Sealed)
	require.NoError(t, swap(t, s, key, 3, 4))
	holds(t, s, key, 4, keyringstore.Keyring)
}

// Guards the new counter that the file takes in write: with that of the
// attempt, the late entry would be as high as the file.
func TestSwapSucceedsInTheFileWhenItsCallerLeavesDuringTheKeyringsWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, key := newRing(), newKey()
		s := r.open(t, keyringstore.Config{})[0]
		require.NoError(t, swap(t, s, key, 0, 1))
		hang := make(chan struct{})
		r.change(func(r *ring) { r.beforeSet = func() error { <-hang; return nil } })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		took(t, time.Second, func() {
			require.NoError(t, s.Swap(ctx, key, version(1), version(2), []byte{2}))
		})
		close(hang)
		synctest.Wait()
		for _, text := range r.snapshot() {
			counter, v, _, _, err := keyringstore.DecodeEntry(text)
			require.NoError(t, err)
			assert.EqualValues(t, 2, counter)
			assert.Equal(t, version(2), v, "it has landed")
		}
		raw, err := os.ReadFile(s.SealedPath(key))
		require.NoError(t, err)
		file, err := sealedfile.Parse(raw)
		require.NoError(t, err)
		assert.EqualValues(t, 3, file.Counter)
		holds(t, s, key, 2, keyringstore.Sealed)
	})
}

func TestEndOfTheContextIsWhatLoadReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing()
		s := r.open(t, keyringstore.Config{})[0]
		hang := make(chan struct{})
		defer close(hang)
		r.change(func(r *ring) { r.beforeGet = func() error { <-hang; return nil } })
		cause := errors.New("the caller left")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		took(t, time.Second, func() {
			_, _, err := s.Load(ctx, newKey())
			require.ErrorIs(t, err, cause)
			require.NotErrorIs(t, err, keyringstore.ErrHung)
		})
	})
}

func TestInteractiveKeyringHasAMinuteToPrompt(t *testing.T) {
	t.Setenv("SSH_CONNECTION", "")
	t.Setenv("DISPLAY", ":0")
	synctest.Test(t, func(t *testing.T) {
		r, hang := newRing(), make(chan struct{})
		defer close(hang)
		r.beforeGet = func() error { <-hang; return nil }
		s := r.open(t, keyringstore.Config{Interactive: true})[0]
		took(t, time.Minute, func() {
			_, _, err := s.Load(t.Context(), newKey())
			require.ErrorIs(t, err, keyringstore.ErrHung)
		})
	})
}
