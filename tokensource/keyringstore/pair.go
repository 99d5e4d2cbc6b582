package keyringstore

import (
	"context"
	"errors"
	"io/fs"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// pair is what the keyring's entry and the sealed file say together.
type pair struct {
	entry  *entry            // nil where there is none
	fresh  bool              // entry was read by this operation, not remembered
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
func (s *Store) look(ctx context.Context, v *visit, key tokensource.Key, fileFirst bool) (pair, error) {
	file, fileErr := sealedfile.Read(s.path(key, ".sealed"))
	switch {
	case errors.Is(fileErr, sealedfile.ErrNewer):
		return pair{}, errors.Join(errNewer, fileErr)
	case fileErr != nil && !errors.Is(fileErr, fs.ErrNotExist) && !errors.Is(fileErr, sealedfile.ErrDamaged):
		return pair{}, fileErr
	}
	seen := s.recall(key)
	if fileFirst && file != nil && s.upToDate(key, file, fileErr, seen) && file.Counter >= seen.record.Counter {
		return resolve(key, file, fileErr, seen), nil
	}
	e, err := s.get(ctx, v, key)
	switch {
	case err == nil, errors.Is(err, errNoEntry):
		p := resolve(key, file, fileErr, e)
		p.fresh = true
		return p, nil
	case errors.Is(err, ErrCorrupt):
		p := resolve(key, file, fileErr, nil)
		p.fresh, p.lost = true, err
		return p, nil
	case errors.Is(err, errNewer):
		return pair{}, err
	case s.upToDate(key, file, fileErr, seen):
		return resolve(key, file, fileErr, seen), nil
	}
	return pair{}, err
}

// upToDate tells whether the remembered entry and the file hold the current
// record for sure. It reads the mark after both, see look.
func (s *Store) upToDate(key tokensource.Key, file *sealedfile.Sealed, fileErr error, seen *entry) bool {
	if seen == nil || errors.Is(fileErr, sealedfile.ErrDamaged) {
		return false
	}
	known := seen.record.Counter
	if file != nil {
		// A file under another key was written after the remembered one
		// was lost.
		if _, err := file.Open(seen.key, key); err != nil {
			return false
		}
		known = max(known, file.Counter)
	}
	mark, ok := readMarkFile(s.path(key, ".swap"))
	return ok && mark <= known
}

// resolve lets the higher counter win. A file that is damaged may have had the
// highest, so nothing wins against it: to believe an older record would mean
// to present a refresh token again that was spent.
func resolve(key tokensource.Key, file *sealedfile.Sealed, fileErr error, e *entry) pair {
	p := pair{entry: e}
	if e != nil {
		p.high = e.record.Counter
		if e.holdsRecord() {
			p.record, p.where = e.record, Keyring
		}
	}
	if errors.Is(fileErr, sealedfile.ErrDamaged) {
		return p.lose(fileErr)
	}
	if file == nil {
		return p
	}
	if p.high = max(p.high, file.Counter); p.where == Keyring && e.record.Counter >= file.Counter {
		return p
	}
	if e == nil {
		return p.lose(ErrNoKey)
	}
	r, err := file.Open(e.key, key)
	if err != nil {
		return p.lose(err)
	}
	p.record, p.where = r, Sealed
	return p
}

func (p pair) lose(err error) pair {
	p.record, p.where, p.lost = sealedfile.Record{}, Nowhere, err
	return p
}
