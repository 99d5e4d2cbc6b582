package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"runtime"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// version returns the n-th version, recognisable in a failure.
func version(n uint64) (v tokensource.Version) {
	binary.BigEndian.PutUint64(v[8:], n)
	return v
}

func randomVersion() (v tokensource.Version) {
	_, _ = rand.Read(v[:]) // never fails
	return v
}

// record makes the n-th record: n, then bytes that follow from n, so that a
// reader can tell a whole one. Records differ in length by more than a page,
// so that one written over another without care shows.
func record(n uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	sum := sha256.Sum256(b)
	for size := []int{40, 1200, 2100, 6000}[sum[0]%4]; len(b) < size; {
		b = append(b, sum[:]...)
		sum = sha256.Sum256(sum[:])
	}
	return b
}

// number tells which record it is, and whether it is whole.
func number(data []byte) (uint64, bool) {
	if len(data) < 8 {
		return 0, false
	}
	n := binary.BigEndian.Uint64(data)
	return n, bytes.Equal(data, record(n))
}

var errTorn = errors.New("the record is not one that was written, but parts of some")

// current returns the number and the version of the record; 0 where there is
// none.
func current(ctx context.Context, store tokensource.Store, key tokensource.Key) (uint64, tokensource.Version, error) {
	v, data, err := store.Load(ctx, key)
	if errors.Is(err, tokensource.ErrNotFound) {
		return 0, tokensource.Version{}, nil
	}
	if err != nil {
		return 0, v, err
	}
	n, whole := number(data)
	if !whole {
		return 0, v, errTorn
	}
	return n, v, nil
}

// increment writes the record that follows the current one, however often
// someone else is first, and returns its number.
func increment(ctx context.Context, store tokensource.Store, key tokensource.Key) (uint64, error) {
	for {
		n, v, err := current(ctx, store, key)
		if err != nil {
			return 0, err
		}
		runtime.Gosched() // to whoever may come between
		err = store.Swap(ctx, key, v, randomVersion(), record(n+1))
		if err == nil {
			return n + 1, nil
		}
		if !errors.Is(err, tokensource.ErrConflict) {
			return 0, err
		}
	}
}
