package keyringstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// Store is a [tokensource.Store]. Its methods are safe for concurrent use. Its
// errors are a [*tokensource.Error] wherever the keyring or the file is to
// blame.
type Store struct {
	service     string
	dir         string
	sealed      bool
	interactive bool
	notice      io.Writer
	worker      *worker
	locks       filelock.Locks

	mu sync.Mutex // guards seen; never held across I/O or a wait
	// seen is what the keyring was last known to hold, behind functions
	// because fmt finds its way through everything else, even pointers.
	seen map[tokensource.Key]func() *entry
}

var _ tokensource.Store = (*Store)(nil)

// Location says where a record lives.
type Location uint8

// The locations.
const (
	// Nowhere: there is no record.
	Nowhere Location = iota
	// Keyring: in the keyring of the operating system.
	Keyring
	// Sealed: in the sealed file, under a key in the keyring.
	Sealed
)

// String returns "nowhere", "keyring" or "sealed".
func (l Location) String() string {
	switch l {
	case Keyring:
		return "keyring"
	case Sealed:
		return "sealed"
	}
	return "nowhere"
}

// path returns the name of one of the files of a session: ".sealed" is the
// record; ".lock" the lock of the lease; ".swap" the lock of a Swap, which
// holds the mark too; ".ring" the lock of a write to the keyring.
func (s *Store) path(key tokensource.Key, ext string) string {
	return filepath.Join(s.dir, key.String()+ext)
}

// Load returns the last record swapped in. It takes no lock.
func (s *Store) Load(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
	p, err := s.look(ctx, s.visit(), key, true)
	if err != nil {
		return tokensource.Version{}, nil, storeError(err)
	}
	if p.lost != nil {
		return tokensource.Version{}, nil, &tokensource.Error{Reason: tokensource.ReasonKeyLost, Err: p.lost}
	}
	if p.where == Nowhere {
		return tokensource.Version{}, nil, tokensource.ErrNotFound
	}
	// A copy: what look returns may be remembered.
	return p.record.Version, append([]byte{}, p.record.Data...), nil
}

// Where tells where the record of key lives; Nowhere, and no error, where
// there is none. Its errors are those of Load.
func (s *Store) Where(ctx context.Context, key tokensource.Key) (Location, error) {
	p, err := s.look(ctx, s.visit(), key, true)
	if err != nil {
		return Nowhere, storeError(err)
	}
	if p.lost != nil {
		return Nowhere, &tokensource.Error{Reason: tokensource.ReasonKeyLost, Err: p.lost}
	}
	return p.where, nil
}

// Lock waits for the lease of key, which the kernel keeps: it ends with the
// process, and Extend always confirms it. It does not touch the keyring.
func (s *Store) Lock(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
	lock, err := sealedfile.Lock(ctx, &s.locks, s.path(key, ".lock"))
	if err != nil {
		return nil, err
	}
	return lock, nil
}

// Probe tells whether a keyring that can be used without a prompt answers
// here, within a second. Its error is a [*tokensource.Error] that matches
// [ErrNoBus], [ErrNoService], [ErrNoCollection], [ErrLocked], [ErrHung] or
// another of the causes. It never prompts, starts nothing and writes nothing:
// it looks for an entry that does not exist.
func Probe(ctx context.Context) error { return probe(ctx, process(), checkTime) }

// Probe is [Probe] for one store: a keyring that would ask for its password
// counts as one that can be used if Config.Interactive allows it to ask here,
// and it has as long to answer as for a Load: up to three seconds, for a busy
// machine. It does not prompt.
func (s *Store) Probe(ctx context.Context) error {
	err := probe(ctx, s.worker, s.worker.patience())
	if s.interactive && opensByPrompt(err) {
		return nil
	}
	return err
}

func probe(ctx context.Context, w *worker, d time.Duration) error {
	err := w.check(ctx, d)
	if err == nil {
		err = w.run(ctx, time.Now().Add(d), func() error {
			_, err := w.vault.get("pawl", "probe")
			return err
		}, func() {})
	}
	if err != nil && !errors.Is(err, errNoEntry) {
		return storeError(err)
	}
	return nil
}

// visit is the time that the keyring has for one operation. It is checked
// once, so that it does not prompt, and not again once it could not be used.
type visit struct {
	deadline time.Time
	checked  bool
	err      error
}

func (s *Store) visit() *visit {
	d := callTime
	if s.interactive {
		d = interactiveTime
	}
	return &visit{deadline: time.Now().Add(d)}
}

// check makes sure that the keyring would answer.
func (s *Store) check(ctx context.Context, v *visit) error {
	if !v.checked {
		v.checked = true
		v.err = s.worker.check(ctx, s.worker.patience())
		if s.interactive && opensByPrompt(v.err) {
			_, _ = fmt.Fprintf(s.notice, "%s: the keyring asks for its password; it waits %.0f seconds for an answer\n",
				s.service, interactiveTime.Seconds())
			v.err = nil
		}
	}
	return v.err
}

// opensByPrompt tells whether a call would bring up a prompt that can make the
// keyring usable.
func opensByPrompt(err error) bool {
	state, ok := errors.AsType[*StateError](err)
	return ok && (state.State == StateLocked || state.State == StateActivatable)
}

// get reads the entry of key and remembers it. Its error matches errNoEntry,
// ErrCorrupt or errNewer if that is what the keyring holds; any other means
// that it was not read.
func (s *Store) get(ctx context.Context, v *visit, key tokensource.Key) (*entry, error) {
	if err := s.check(ctx, v); err != nil {
		return nil, err
	}
	e, err := s.read(ctx, v, key)
	if err == nil {
		s.remember(key, e)
	} else if errors.Is(err, errNoEntry) || errors.Is(err, ErrCorrupt) {
		s.forget(key)
	}
	return e, err
}

// read reads the entry of key in a keyring that was checked.
func (s *Store) read(ctx context.Context, v *visit, key tokensource.Key) (*entry, error) {
	got := make(chan []string, 1) // not a variable: a late call writes it behind our back
	err := s.worker.run(ctx, v.deadline, func() error {
		texts, err := s.worker.vault.get(s.service, key.String())
		got <- texts
		return err
	}, func() {})
	if err != nil {
		return nil, err
	}
	return highest(<-got)
}

// set writes e to the keyring and reads it back, since a keyring may return
// success without having stored anything (a dismissed prompt). An error leaves
// open whether e is there, or will be yet: a call that was given up may still
// succeed. The caller holds the swap lock.
func (s *Store) set(ctx context.Context, v *visit, key tokensource.Key, swap *filelock.Lock, e *entry) error {
	text := e.encode()
	err := s.change(ctx, v, key, swap, e.record.Counter, func() error {
		prompted, err := s.worker.vault.set(s.service, key.String(), text)
		if prompted {
			s.worker.prompts.Add(1)
		}
		return err
	})
	if err != nil {
		return err
	}
	got, err := s.read(ctx, v, key)
	if err != nil && !errors.Is(err, errNoEntry) && !errors.Is(err, ErrCorrupt) {
		return err
	}
	if err != nil || got.encode() != text {
		return ErrNotStored
	}
	// Not e itself, whose data is the caller's.
	s.remember(key, got)
	return nil
}

// change runs a call that changes the keyring, and that may hang and still
// land much later. So
//   - counter is marked before, whence no other record ever gets it, and the
//     next one written outranks this one whenever it lands;
//   - the ring lock is held until the call has returned, however late, so
//     that nobody else's entry can be overwritten by a late one. It is not the
//     swap lock: others can go on with the sealed file meanwhile.
//
// The caller holds the swap lock.
func (s *Store) change(ctx context.Context, v *visit, key tokensource.Key, swap *filelock.Lock, counter uint64, call func() error) error {
	if err := s.check(ctx, v); err != nil {
		return err
	}
	ring, err := s.locks.TryLock(s.path(key, ".ring"))
	if err != nil {
		return &StateError{State: StateServiceHung, Err: fmt.Errorf("an earlier change has not returned: %w", err)}
	}
	if err := writeMark(swap.File(), counter); err != nil {
		_ = ring.Release()
		return fmt.Errorf("keyringstore: writing the mark: %w", err)
	}
	return s.worker.run(ctx, v.deadline, call, func() { _ = ring.Release() })
}

// seal writes the record to the sealed file.
func (s *Store) seal(key tokensource.Key, k sealedfile.Key, r sealedfile.Record) error {
	raw, err := sealedfile.Seal(k, key, r)
	if err != nil {
		return err
	}
	return sealedfile.Replace(s.path(key, ".sealed"), raw)
}

// remember keeps e, unless a later one is known: a slow reader must not put
// an old entry over the one that a Swap has just written.
func (s *Store) remember(key tokensource.Key, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.seen[key]; f != nil {
		if old := f(); old.key.Equal(e.key) && old.record.Counter > e.record.Counter {
			return
		}
	}
	if s.seen == nil {
		s.seen = make(map[tokensource.Key]func() *entry)
	}
	s.seen[key] = func() *entry { return e }
}

func (s *Store) forget(key tokensource.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, key)
}

func (s *Store) recall(key tokensource.Key) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.seen[key]; f != nil {
		return f()
	}
	return nil
}
