package tokensource

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"
)

// ErrNotFound is what a Store's Load returns, possibly wrapped, when it holds
// nothing under the key. Nothing else means that.
var ErrNotFound = errors.New("tokensource: no record under this key")

// ErrConflict is what a Store's Swap returns, possibly wrapped, when the
// stored version is not the expected one. The record is unchanged then.
var ErrConflict = errors.New("tokensource: the record was changed by someone else")

// Key names a session in a store.
type Key struct{ sum [sha256.Size]byte }

// NewKey derives the key of a session from what it must never be mixed up
// over: the issuer, the client and the profile (account) of the user. The
// parts are length-prefixed, so no two triples share a key.
func NewKey(issuer, clientID, profile string) Key {
	h := sha256.New()
	h.Write([]byte("pawl session key 1\x00"))
	for _, part := range [...]string{issuer, clientID, profile} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	var k Key
	h.Sum(k.sum[:0])
	return k
}

// String returns the key as 64 lower-case hexadecimal digits, fit for file
// names, keyring entries and database keys alike. It reveals nothing.
func (k Key) String() string { return hex.EncodeToString(k.sum[:]) }

// IsZero reports whether the key was never made.
func (k Key) IsZero() bool { return k == Key{} }

// Version identifies one stored state of a record. The session draws it at
// random, so that after an ambiguous failure it recognises its own write. The
// zero Version means that there is no record.
type Version [16]byte

// Store keeps records: opaque bytes under a key. Its methods are safe for
// concurrent use, by goroutines and by processes. An error of a store means
// "try again"; one that means more is an [*Error]. With a context that has
// ended, a method does nothing and returns an error that matches its cause.
//
// Package storetest tests a store against this contract.
type Store interface {
	// Load returns the last record swapped in, and its version. It takes no
	// lock that a refresh could hold, and never waits for one. Where there
	// is no record it returns an error that matches [ErrNotFound].
	Load(ctx context.Context, key Key) (Version, []byte, error)

	// Swap replaces the record of version old with data of version new,
	// atomically, whether or not a lease is held; old is zero where there
	// must be no record, and new never is. It returns nil only when data
	// would survive a crash of this process (and, where the store promises
	// it, of the machine). An error that matches [ErrConflict] means that
	// nothing was written; any other error leaves open whether it was. Swap
	// does not keep data.
	Swap(ctx context.Context, key Key, old, new Version, data []byte) error

	// Lock returns the one lease that exists for key among all processes
	// that share the store. It waits until ctx ends, fairly if it can, and
	// outlives ctx once granted. A lease ends with its process.
	Lock(ctx context.Context, key Key) (Lease, error)
}

// Lease is the right to refresh a session.
type Lease interface {
	// Extend makes the store confirm that nobody else gets the lease for d
	// from now. An error means that the lease may be lost; after Release
	// it always is.
	Extend(ctx context.Context, d time.Duration) error
	// Release gives the lease up. Releasing a lost lease is no error.
	Release() error
}
