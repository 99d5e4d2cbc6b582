package keyringstore_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

func TestStoreHoldsNothingUnderAKeyThatWasNeverUsed(t *testing.T) {
	eachKind(t, false, func(t *testing.T, name string) {
		v, data, err := openStore(t, name, t.TempDir()).Load(t.Context(), newKey())
		require.ErrorIs(t, err, tokensource.ErrNotFound)
		assert.Zero(t, v)
		assert.Empty(t, data)
	})
}

func TestSwapReplacesTheRecordOfTheOldVersionAndNoOther(t *testing.T) {
	eachKind(t, false, func(t *testing.T, name string) {
		s, key := openStore(t, name, t.TempDir()), newKey()
		swap := func(old, new uint64, data string) error {
			return s.Swap(t.Context(), key, version(old), version(new), []byte(data))
		}
		holds := func(n uint64, data string) {
			t.Helper()
			v, got, err := s.Load(t.Context(), key)
			require.NoError(t, err)
			assert.Equal(t, version(n), v)
			assert.Equal(t, data, string(got))
		}
		require.ErrorIs(t, swap(7, 8, "no"), tokensource.ErrConflict)
		require.NoError(t, swap(0, 1, "one"))
		holds(1, "one")
		require.ErrorIs(t, swap(0, 2, "no"), tokensource.ErrConflict)
		require.ErrorIs(t, swap(2, 3, "no"), tokensource.ErrConflict)
		holds(1, "one")
		require.NoError(t, swap(1, 2, "two"))
		require.ErrorIs(t, swap(1, 2, "again"), tokensource.ErrConflict)
		holds(2, "two")
		require.NoError(t, swap(2, 3, ""))
		holds(3, "")
	})
}

func TestSessionsUnderTwoKeysAreSeparate(t *testing.T) {
	eachKind(t, false, func(t *testing.T, name string) {
		s, a, b := openStore(t, name, t.TempDir()), newKey(), newKey()
		require.NoError(t, s.Swap(t.Context(), a, version(0), version(1), []byte("a")))
		_, _, err := s.Load(t.Context(), b)
		require.ErrorIs(t, err, tokensource.ErrNotFound)
		require.NoError(t, s.Swap(t.Context(), b, version(0), version(1), []byte("b")))
		_, got, err := s.Load(t.Context(), a)
		require.NoError(t, err)
		assert.Equal(t, "a", string(got))
	})
}

func TestRecordsOfAnySizeAndAnyBytesComeBackAsTheyWere(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	records := [][]byte{
		{}, {0}, every, []byte("\x00'\"\\$(id)\r\n \t"), []byte("\xff\xfe not UTF-8 \xc3\x28"),
		bytes.Repeat([]byte{0}, 5000),
	}
	// Around the end of what the keyring takes, of a page, of two.
	for _, n := range []int{1, 1740, 1741, 1742, 1743, 4027, 4028, 4029, 8124, 10000, 64 << 10} {
		records = append(records, bytes.Repeat([]byte{0xA5}, n))
	}
	eachKind(t, false, func(t *testing.T, name string) {
		s, key := openStore(t, name, t.TempDir()), newKey()
		for i, record := range records {
			given := bytes.Clone(record)
			require.NoError(t, s.Swap(t.Context(), key, version(uint64(i)), version(uint64(i)+1), given))
			for j := range given {
				given[j] ^= 0xFF // a store does not keep what it was given
			}
			v, got, err := s.Load(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, version(uint64(i)+1), v)
			require.True(t, bytes.Equal(record, got), "record %d of %d bytes", i, len(record))
			for j := range got {
				got[j] ^= 0xFF // nor does it give out what it keeps
			}
			_, got, err = s.Load(t.Context(), key)
			require.NoError(t, err)
			require.True(t, bytes.Equal(record, got), "record %d of %d bytes, again", i, len(record))
		}
	})
}

// Guards the swap lock: without it two swaps of one old version succeed.
func TestOfManyGoroutinesThatSwapOneVersionOneSucceeds(t *testing.T) {
	eachKind(t, false, func(t *testing.T, name string) {
		s, key := openStore(t, name, t.TempDir()), newKey()
		const goroutines, rounds = 6, 5
		require.NoError(t, s.Swap(t.Context(), key, version(0), version(1), nil))
		for round := uint64(1); round <= rounds; round++ {
			var all sync.WaitGroup
			won := make(chan tokensource.Version, goroutines)
			next := make([]tokensource.Version, goroutines)
			for i := range next {
				next[i] = version(round<<32 + uint64(i))
				all.Go(func() {
					old := version(round)
					err := s.Swap(t.Context(), key, old, next[i], []byte{byte(i)})
					if err == nil {
						won <- next[i]
					} else if !errors.Is(err, tokensource.ErrConflict) {
						assert.NoError(t, err)
					}
				})
			}
			all.Wait()
			require.Len(t, won, 1)
			winner := <-won
			v, _, err := s.Load(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, winner, v)
			require.NoError(t, s.Swap(t.Context(), key, winner, version(round+1), nil))
		}
	})
}

func TestLeaseHasOneHolderAndWaitsForAContext(t *testing.T) {
	eachKind(t, false, func(t *testing.T, name string) {
		s, key := openStore(t, name, t.TempDir()), newKey()
		first, err := s.Lock(t.Context(), key)
		require.NoError(t, err)
		require.NoError(t, first.Extend(t.Context(), time.Minute))

		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		got := make(chan error, 1)
		go func() {
			_, err := s.Lock(ctx, key)
			got <- err
		}()
		other, err := s.Lock(t.Context(), newKey())
		require.NoError(t, err, "another key has another lease")
		require.NoError(t, other.Release())
		require.NoError(t, s.Swap(t.Context(), key, version(0), version(1), []byte("x")), "a Swap needs no lease")
		_, _, err = s.Load(t.Context(), key)
		require.NoError(t, err, "nor does a Load")
		cancel(cause)
		require.ErrorIs(t, <-got, cause)

		require.NoError(t, first.Release())
		require.NoError(t, first.Release())
		second, err := s.Lock(t.Context(), key)
		require.NoError(t, err)
		require.NoError(t, second.Release())
	})
}

// Guards the redaction and the error texts of all stores.
func TestNoErrorOfAStoreShowsTheRecord(t *testing.T) {
	const canary = "canary-refresh-token"
	eachKind(t, false, func(t *testing.T, name string) {
		s, key := openStore(t, name, t.TempDir()), newKey()
		require.NoError(t, s.Swap(t.Context(), key, version(0), version(1), []byte(canary)))
		err := s.Swap(t.Context(), key, version(5), version(6), []byte(canary))
		require.Error(t, err)
		assert.NotContains(t, err.Error(), canary)
		if !strings.HasPrefix(name, "memory") {
			assertHidden(t, s, canary)
		}
	})
}
