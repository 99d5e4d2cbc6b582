// Package filestore keeps sessions in files sealed with AES-256-GCM under a key
// that the program supplies: from a secret manager, from its service manager,
// from the process that started it. Where the operating system has a keyring,
// package keyringstore needs no key from anyone.
//
// [New] makes a [Store]. A record is replaced atomically and durably: a crash
// of the program or of the machine leaves the old record or the new one.
// Processes that use the same directory and the same key share their sessions;
// the kernel's file locks keep them in order and end with their holder. The
// directory must be on a local disk or on a network file system with working
// locks.
//
// # A key that does not fit
//
// A record that is sealed under another key, or damaged, is lost: Load returns
// a [tokensource.Error] with [tokensource.ReasonKeyLost]. Such a record counts
// as none for Swap, so the next login writes over it, with the zero Version as
// the old one.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// Config configures a [Store]. New copies it.
type Config struct {
	// Dir is the directory under which the store makes its own, which only
	// this user can enter. Empty: the user's state directory, found in the
	// user database and not in HOME: ~/.local/state/pawl, on macOS
	// ~/Library/Application Support/pawl, on Windows pawl in LocalAppData.
	Dir string
	// Key returns the 32 bytes of the key. Required. It is called for every
	// Load and Swap, perhaps concurrently, and what it returns is copied.
	Key func(ctx context.Context) ([]byte, error)
}

// Store is a [tokensource.Store]. Its methods are safe for concurrent use. Its
// errors are a [*tokensource.Error] where they say more than "try again".
type Store struct {
	dir   string
	key   func(context.Context) ([]byte, error)
	locks filelock.Locks
}

var _ tokensource.Store = (*Store)(nil)

// New checks the configuration and makes the directory.
func New(c Config) (*Store, error) {
	if c.Key == nil {
		return nil, errors.New("filestore: Config.Key is required: a function that returns 32 random bytes, always the same")
	}
	dir, err := sealedfile.Dir(c.Dir, "sealed")
	if err != nil {
		return nil, fmt.Errorf("filestore: %w", err)
	}
	return &Store{dir: dir, key: c.Key}, nil
}

func (s *Store) path(key tokensource.Key, ext string) string {
	return filepath.Join(s.dir, key.String()+ext)
}

// Load returns the last record swapped in. It takes no lock.
func (s *Store) Load(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
	if ctx.Err() != nil {
		return tokensource.Version{}, nil, context.Cause(ctx)
	}
	k, err := s.sealingKey(ctx)
	if err != nil {
		return tokensource.Version{}, nil, err
	}
	file, err := sealedfile.Read(s.path(key, ".sealed"))
	if err == nil {
		var r sealedfile.Record
		if r, err = file.Open(k, key); err == nil {
			return r.Version, r.Data, nil
		}
	}
	return tokensource.Version{}, nil, loadError(err)
}

// Swap replaces the record of version old.
func (s *Store) Swap(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	if new == (tokensource.Version{}) {
		return errors.New("filestore: the new version of a record must not be zero")
	}
	k, err := s.sealingKey(ctx)
	if err != nil {
		return err
	}
	// Not the lease's lock: Swap is atomic with or without a lease.
	lock, err := s.locks.Lock(ctx, s.path(key, ".swap"))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()

	path := s.path(key, ".sealed")
	current, err := s.current(path, k, key)
	if err != nil {
		return err
	}
	if current.Version != old {
		return tokensource.ErrConflict
	}
	raw, err := sealedfile.Seal(k, key, sealedfile.Record{Counter: current.Counter + 1, Version: new, Data: data})
	if err != nil {
		return err
	}
	return sealedfile.Replace(path, raw)
}

// current returns the record that Swap compares with: the zero Version where
// there is none, or none that can ever be opened again.
func (s *Store) current(path string, k sealedfile.Key, key tokensource.Key) (sealedfile.Record, error) {
	file, err := sealedfile.Read(path)
	if err != nil {
		if lost(err) || errors.Is(err, fs.ErrNotExist) {
			return sealedfile.Record{}, nil
		}
		return sealedfile.Record{}, loadError(err)
	}
	r, err := file.Open(k, key)
	if lost(err) {
		return sealedfile.Record{}, nil
	}
	return r, err
}

// Lock waits for the lease of key, which the kernel keeps: it ends with the
// process, and Extend always confirms it.
func (s *Store) Lock(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
	lock, err := s.locks.Lock(ctx, s.path(key, ".lock"))
	if err != nil {
		return nil, err
	}
	return lock, nil
}

func (s *Store) sealingKey(ctx context.Context) (sealedfile.Key, error) {
	raw, err := s.key(ctx)
	if err != nil {
		return sealedfile.Key{}, &tokensource.Error{
			Reason: tokensource.ReasonStore, Advice: "see to it that Config.Key of the filestore finds the key", Err: err}
	}
	k, err := sealedfile.KeyOf(raw)
	if err != nil {
		return sealedfile.Key{}, &tokensource.Error{
			Reason: tokensource.ReasonFormat, Advice: "Config.Key of the filestore must return 32 bytes", Err: err}
	}
	return k, nil
}

func lost(err error) bool {
	return errors.Is(err, sealedfile.ErrOtherKey) || errors.Is(err, sealedfile.ErrDamaged)
}

func loadError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return tokensource.ErrNotFound
	case lost(err):
		return &tokensource.Error{Reason: tokensource.ReasonKeyLost, Err: err}
	case errors.Is(err, sealedfile.ErrNewer):
		return &tokensource.Error{Reason: tokensource.ReasonFormat, Advice: "update this program", Err: err}
	}
	return &tokensource.Error{Reason: tokensource.ReasonStore, Err: err}
}
