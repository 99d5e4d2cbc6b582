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
// # Where the key comes from
//
// [Config.Key] is a function. [KeyFromEnv] and [KeyFromCredential] make one for
// an environment variable and for a credential of systemd. Two more places are
// there for programs that ask for them by name: [Config.KernelKey] keeps a key
// that lives until the next reboot, [Config.Plain] seals nothing at all.
//
// # A key that does not fit
//
// A record that is sealed under another key, or damaged, is lost: Load returns
// a [tokensource.Error] with [tokensource.ReasonKeyLost]. Such a record counts
// as none for Swap, so the next login writes over it, with the zero Version as
// the old one. A record that was written in the clear is not lost for a store
// that seals, nor the other way round: that is a wrong configuration, and
// nothing is overwritten.
//
// # The directory
//
// It is this user's alone, 0700, and so are the files in it, 0600. That is
// looked at again at each use: what is open to others, belongs to another user,
// is a link or has a second name is refused, with advice on what to run. A full
// or read-only disk shows when a session marks its refresh token as being spent,
// before the token leaves.
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

// Config configures a [Store]. New copies it. Exactly one of Key, KernelKey and
// Plain is required.
type Config struct {
	// Service is a part of the directory's name: 1 to 64 of a-z, 0-9, dot,
	// underscore and hyphen. Empty: "pawl". Sessions of different services
	// are separate.
	Service string
	// Dir is the directory under which the store makes its own, which only
	// this user can enter. Empty: the user's state directory, found in the
	// user database and not in HOME: ~/.local/state/pawl, on macOS
	// ~/Library/Application Support/pawl, on Windows pawl in LocalAppData.
	Dir string
	// Key returns the 32 random bytes of the key, always the same. It is
	// called for every Load and Swap, perhaps concurrently, and what it
	// returns is copied. See [KeyFromEnv] and [KeyFromCredential].
	Key func(ctx context.Context) ([]byte, error)
	// KernelKey keeps a random key in the keyring that the Linux kernel has
	// for this user: in memory, never on a disk. The key, and with it every
	// session, is gone after a reboot. The first Swap makes it. Containers
	// often forbid the system calls, and other systems have none.
	KernelKey bool
	// Plain seals nothing. THE TOKENS LIE IN THE FILE IN THE CLEAR: whoever
	// can read it, or a backup of it, is the user. Only mode 0600 stands in
	// between. For where there is truly nothing else, and where the person
	// whose tokens they are has asked for it by name.
	Plain bool
}

// Store is a [tokensource.Store]. Its methods are safe for concurrent use. Its
// errors are a [*tokensource.Error] where they say more than "try again".
type Store struct {
	dir   string
	keys  keys
	plain bool
	locks filelock.Locks
}

var _ tokensource.Store = (*Store)(nil)

// The files of a session, by what their names end with: the record, the lock of
// the lease, and the lock of a Swap.
const (
	recordExt = ".record"
	leaseExt  = ".lock"
	swapExt   = ".swap"
)

// New checks the configuration, makes the directory and removes what writers
// that were killed have left there. A directory whose records are sealed is
// refused where Plain is set, and one in the clear where it is not. Where the
// kernel has no keyring for this process, KernelKey is refused.
func New(c Config) (*Store, error) {
	service, err := c.check()
	if err != nil {
		return nil, fmt.Errorf("filestore: %w", err)
	}
	dir, err := sealedfile.Dir(c.Dir, "file-"+service)
	if err != nil {
		return nil, fmt.Errorf("filestore: %w", err)
	}
	s := &Store{dir: dir, plain: c.Plain}
	switch {
	case c.Key != nil:
		s.keys = keyFunc(c.Key)
	case c.Plain:
		s.keys = plainKey{}
	default:
		if s.keys, err = newKernelKey(dir, service, &s.locks); err != nil {
			return nil, fmt.Errorf("filestore: %w", err)
		}
	}
	if err := s.sameKind(); err != nil {
		return nil, fmt.Errorf("filestore: %w", err)
	}
	sealedfile.Sweep(dir, recordExt, &s.locks, func(stem string) string { return filepath.Join(dir, stem+swapExt) })
	return s, nil
}

// Dir returns the directory that the store made for itself.
func (s *Store) Dir() string { return s.dir }

func (c Config) check() (service string, err error) {
	n := 0
	for _, set := range []bool{c.Key != nil, c.KernelKey, c.Plain} {
		if set {
			n++
		}
	}
	switch {
	case n == 0:
		return "", errors.New("Config.Key is required: a function that returns 32 random bytes, always the same, such as KeyFromEnv(\"EXAMPLE_KEY\")")
	case n > 1:
		return "", errors.New("Config has more than one of Key, KernelKey and Plain: choose one")
	}
	return sealedfile.ServiceName(c.Service)
}

// sameKind refuses a directory with records that this store would not write.
func (s *Store) sameKind() error {
	all, err := filepath.Glob(filepath.Join(globbed(s.dir), "*"+recordExt))
	if err != nil {
		return err
	}
	for _, path := range all {
		file, err := sealedfile.Read(path)
		if err == nil && file.Plain() != s.plain {
			return otherKind(path, file.Plain())
		}
	}
	return nil
}

func (s *Store) path(key tokensource.Key, ext string) string {
	return filepath.Join(s.dir, key.String()+ext)
}

// Load returns the last record swapped in. It takes no lock.
func (s *Store) Load(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
	if ctx.Err() != nil {
		return tokensource.Version{}, nil, context.Cause(ctx)
	}
	// The file before the key: a first Swap makes the key before the record,
	// so that a key which is not there after it is gone.
	file, readErr := sealedfile.Read(s.path(key, recordExt))
	k, err := s.keys.find(ctx)
	if err != nil {
		return tokensource.Version{}, nil, err
	}
	r, err := open(file, readErr, k, key)
	if err != nil {
		return tokensource.Version{}, nil, s.explain(err)
	}
	return r.Version, r.Data, nil
}

// Swap replaces the record of version old.
func (s *Store) Swap(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	if new == (tokensource.Version{}) {
		return errors.New("filestore: the new version of a record must not be zero")
	}
	k, err := s.keys.have(ctx)
	if err != nil {
		return err
	}
	// Not the lease's lock: Swap is atomic with or without a lease.
	lock, err := sealedfile.Lock(ctx, &s.locks, s.path(key, swapExt))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()

	file, err := sealedfile.Read(s.path(key, recordExt))
	current, err := open(file, err, k, key)
	if err != nil && !lost(err) && !errors.Is(err, fs.ErrNotExist) {
		return s.explain(err)
	}
	if current.Version != old {
		return tokensource.ErrConflict
	}
	raw, err := sealedfile.Seal(k, key, sealedfile.Record{Counter: current.Counter + 1, Version: new, Data: data})
	if err != nil {
		return err
	}
	return s.explain(sealedfile.Replace(s.path(key, recordExt), raw))
}

// open returns the record in a file that was read: the zero Record and an error
// where there is none, or none that can ever be opened again.
func open(file *sealedfile.Sealed, err error, k sealedfile.Key, key tokensource.Key) (sealedfile.Record, error) {
	if err != nil {
		return sealedfile.Record{}, err
	}
	if k.IsZero() {
		return sealedfile.Record{}, ErrNoKey
	}
	return file.Open(k, key)
}

// Lock waits for the lease of key, which the kernel keeps: it ends with the
// process, and Extend always confirms it.
func (s *Store) Lock(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
	lock, err := sealedfile.Lock(ctx, &s.locks, s.path(key, leaseExt))
	if err != nil {
		return nil, err
	}
	return lock, nil
}
