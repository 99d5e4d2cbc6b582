package keyringstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// Swap replaces the record of version old; a lost record counts as none. It
// may take as long as the keyring has, three seconds or sixty. When ctx ends
// while the keyring is being written to, the record goes into the file and
// Swap succeeds.
func (s *Store) Swap(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	if new == (tokensource.Version{}) {
		return errors.New("keyringstore: the new version of a record must not be zero")
	}
	if len(data) > sealedfile.MaxData {
		return sealedfile.ErrTooLong
	}
	// Not the lease's lock: Swap is atomic with or without a lease.
	lock, err := sealedfile.Lock(ctx, &s.locks, s.path(key, ".swap"))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()

	v := s.visit()
	inFile := s.sealed || !fits(len(data)) || s.worker.nags()
	seen := s.recall(key)
	p, err := s.look(ctx, v, key, inFile && seen != nil && !seen.holdsRecord())
	if err != nil {
		return storeError(err)
	}
	if p.record.Version != old {
		return tokensource.ErrConflict
	}
	// A mark that makes no sense comes from a crash of the machine, and no
	// write to the keyring has survived that.
	mark, _ := readMark(lock.File())
	r := sealedfile.Record{Counter: max(p.high, mark) + 1, Version: new, Data: data}
	if p.entry == nil {
		err = s.create(ctx, v, key, lock, r, inFile)
	} else {
		// A mark above all that is there belongs to a write that was given
		// up or whose writer was killed, and that may still land, perhaps
		// after ours. The file outranks it; the write after this one can go
		// to the keyring again.
		inFile = inFile || mark > p.high
		err = s.write(ctx, v, key, lock, p, r, inFile)
	}
	if err != nil {
		return storeError(err)
	}
	return nil
}

// create writes the first record under a new key. The key is in the keyring,
// and was read back, before anything is sealed under it; the caller has seen
// that the keyring holds none, and holds the swap lock.
func (s *Store) create(ctx context.Context, v *visit, key tokensource.Key, lock *filelock.Lock, r sealedfile.Record, inFile bool) error {
	e := &entry{key: sealedfile.NewKey(), record: r}
	if inFile {
		e.record = sealedfile.Record{Counter: r.Counter}
	}
	if err := s.set(ctx, v, key, lock, e); err != nil {
		return err
	}
	if inFile {
		return s.seal(key, e.key, r)
	}
	// A lost file, which no key opens any more.
	return sealedfile.Remove(s.path(key, ".sealed"))
}

// write writes a record under the key that there is: to the keyring, or to the
// file if it belongs there or the keyring does not take it.
func (s *Store) write(ctx context.Context, v *visit, key tokensource.Key, lock *filelock.Lock, p pair, r sealedfile.Record, inFile bool) error {
	if !inFile {
		ringErr := s.set(ctx, v, key, lock, &entry{key: p.entry.key, record: r})
		if ringErr == nil {
			// The file is outranked; it may hold a token still. It stays if
			// it cannot be removed.
			_ = sealedfile.Remove(s.path(key, ".sealed"))
			return nil
		}
		r.Counter++ // a new one for each attempt, see set
		if err := s.seal(key, p.entry.key, r); err != nil {
			return fmt.Errorf("%w; before that, %w", err, ringErr)
		}
		return nil
	}
	if err := s.seal(key, p.entry.key, r); err != nil {
		return err
	}
	if p.entry.holdsRecord() {
		// The record has moved out: take the old one, and its token, from
		// the keyring. The new one is safe whether or not that succeeds.
		bare := &entry{key: p.entry.key, record: sealedfile.Record{Counter: r.Counter}}
		_ = s.set(ctx, v, key, lock, bare)
	}
	return nil
}
