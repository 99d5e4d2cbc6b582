package keyringstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// pair is what the keyring's entry and the sealed file say together.
type pair struct {
	entry  *entry            // nil where there is none
	record sealedfile.Record // the current record; the zero Version: there is none
	where  Location
	lost   error  // why the current record cannot be read, if it cannot
	high   uint64 // the highest counter in either place
}

// look finds out what is current. It needs no lock, because it reads the file
// first: entries only ever get higher counters, and a file gives way only to a
// higher file or, after a higher entry was written, to nothing. So the higher
// of (file now, entry later) was current at the one moment or the other.
//
// A bare entry is the exception: its record may have moved to the file after
// the file was read. Its counter is that of the record that moved, so a file
// below it is read again, until it is not below, or was read between two
// readings of that same entry.
func (s *Store) look(ctx context.Context, v *visit, key tokensource.Key, fileFirst bool) (pair, error) {
	var bare uint64
	for {
		file, err := s.readFile(key)
		if err != nil {
			return pair{}, err
		}
		p, err := s.lookAt(ctx, v, key, file, fileFirst)
		if err != nil || p.entry == nil || p.entry.holdsRecord() || file.damaged != nil {
			return p, err
		}
		c := p.entry.record.Counter
		if c <= file.counter() || c == bare {
			return p, nil
		}
		bare = c
	}
}

// file is the sealed file of a session as it was read.
type file struct {
	sealed  *sealedfile.Sealed // nil where there is none
	damaged error
}

func (f file) counter() uint64 {
	if f.sealed == nil {
		return 0
	}
	return f.sealed.Counter
}

func (s *Store) readFile(key tokensource.Key) (file, error) {
	sealed, err := sealedfile.Read(s.path(key, ".sealed"))
	switch {
	case err == nil:
		return file{sealed: sealed}, nil
	case errors.Is(err, fs.ErrNotExist):
		return file{}, nil
	case errors.Is(err, sealedfile.ErrDamaged):
		return file{damaged: err}, nil
	case errors.Is(err, sealedfile.ErrNewer):
		return file{}, errors.Join(errNewer, err)
	}
	return file{}, err
}

// lookAt finds out what is current, given the file.
//
// With fileFirst the keyring is not asked where that is not needed: when a
// remembered key opens the file, and the file's counter is not below the mark
// nor below the remembered entry's, no entry can be later.
//
// When the keyring cannot be read, what is remembered of it stands in under
// the same condition: the mark, read last, is not above everything known. Then
// nobody has even tried to write an entry that this store does not know, and
// the higher of the file and the remembered entry is current. Without that
// proof the keyring may hold a later record, and to present an older refresh
// token would end the session, so the error stays.
func (s *Store) lookAt(ctx context.Context, v *visit, key tokensource.Key, f file, fileFirst bool) (pair, error) {
	seen := s.recall(key)
	if fileFirst && f.sealed != nil && s.upToDate(key, f, seen) && f.counter() >= seen.record.Counter {
		return resolve(key, f, seen), nil
	}
	e, err := s.get(ctx, v, key)
	switch {
	case err == nil, errors.Is(err, errNoEntry):
		return resolve(key, f, e), nil
	case errors.Is(err, ErrCorrupt):
		p := resolve(key, f, nil)
		p.lost = err
		return p, nil
	case !errors.Is(err, errNewer) && s.upToDate(key, f, seen):
		return resolve(key, f, seen), nil
	}
	return pair{}, err
}

// upToDate tells whether the remembered entry and the file hold the current
// record for sure. It reads the mark after both, see lookAt.
func (s *Store) upToDate(key tokensource.Key, f file, seen *entry) bool {
	if seen == nil || f.damaged != nil {
		return false
	}
	if f.sealed != nil {
		// A file under another key was written after the remembered one
		// was lost.
		if _, err := f.sealed.Open(seen.key, key); err != nil {
			return false
		}
	}
	mark, ok := readMarkFile(s.path(key, ".swap"))
	return ok && mark <= max(seen.record.Counter, f.counter())
}

// resolve lets the higher counter win. A file that is damaged may have had the
// highest, so nothing wins against it: to believe an older record would mean
// to present a refresh token again that was spent.
func resolve(key tokensource.Key, f file, e *entry) pair {
	p := pair{entry: e, high: f.counter()}
	if e != nil {
		p.high = max(p.high, e.record.Counter)
		if e.holdsRecord() {
			p.record, p.where = e.record, Keyring
		}
	}
	switch {
	case f.damaged != nil:
		// Nor is its key used again: Forget damages the file before it
		// removes the entry, which may still be under way.
		p.entry = nil
		return p.lose(fmt.Errorf("%w: %w", ErrCorrupt, f.damaged))
	case f.sealed == nil, p.where == Keyring && e.record.Counter >= f.counter():
		return p
	case e == nil:
		return p.lose(ErrNoKey)
	}
	r, err := f.sealed.Open(e.key, key)
	switch {
	case errors.Is(err, sealedfile.ErrOtherKey):
		return p.lose(fmt.Errorf("%w: %w", ErrNoKey, err))
	case err != nil:
		return p.lose(fmt.Errorf("%w: %w", ErrCorrupt, err))
	}
	p.record, p.where = r, Sealed
	return p
}

func (p pair) lose(err error) pair {
	p.record, p.where, p.lost = sealedfile.Record{}, Nowhere, err
	return p
}
