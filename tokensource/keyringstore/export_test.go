package keyringstore

import (
	"context"
	"errors"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// FakeVault is a keyring made of functions.
type FakeVault struct {
	Check  func(ctx context.Context) error
	Get    func(service, user string) (string, error)
	Set    func(service, user, secret string) error
	Remove func(service, user string) error
}

func (f FakeVault) check(ctx context.Context) error { return f.Check(ctx) }
func (f FakeVault) set(service, user, secret string) (bool, error) {
	return false, f.Set(service, user, secret)
}
func (f FakeVault) remove(service, user string) error { return f.Remove(service, user) }
func (f FakeVault) get(service, user string) ([]string, error) {
	text, err := f.Get(service, user)
	return []string{text}, err
}

// ErrNoEntry is what a vault's Get returns where there is nothing.
var ErrNoEntry = errNoEntry

// NewVaultStores returns stores that share one worker, as in one process.
func NewVaultStores(v FakeVault, configs ...Config) ([]*Store, error) { return newStores(v, configs) }

func newStores(v vault, configs []Config) ([]*Store, error) {
	w := newWorker(v)
	var all []*Store
	for _, c := range configs {
		s, err := newStore(c, w)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// ProbeVault is Probe for a vault.
func ProbeVault(ctx context.Context, v FakeVault) error { return probe(ctx, newWorker(v), checkTime) }

// ProbeOS is Probe with a worker that nobody else uses.
func ProbeOS(ctx context.Context) error { return probe(ctx, newWorker(osKeyring{}), checkTime) }

// SealedPath is where the sealed file of key is.
func (s *Store) SealedPath(key tokensource.Key) string { return s.path(key, ".sealed") }

// DecodeEntry tells what an entry says.
func DecodeEntry(text string) (counter uint64, v tokensource.Version, data []byte, again string, err error) {
	e, err := decodeEntry(text)
	if err != nil {
		return 0, v, nil, "", err
	}
	return e.record.Counter, e.record.Version, e.record.Data, e.encode(), nil
}

// Mark writes the mark of key, as a writer does before it is killed.
func (s *Store) Mark(key tokensource.Key, counter uint64) error {
	lock, err := s.locks.TryLock(s.path(key, ".swap"))
	if err != nil {
		return err
	}
	return errors.Join(writeMark(lock.File(), counter), lock.Release())
}

// Preflight is the check of the real keyring, with the time that Probe gives
// it and without go-keyring, whose one connection stays with one bus.
func Preflight(ctx context.Context) error { return newWorker(osKeyring{}).check(ctx, checkTime) }

// NewOSStores returns stores over the keyring of this system with one worker
// that nobody else uses, so that a keyring that hangs in one test does not hang
// in the next.
func NewOSStores(configs ...Config) ([]*Store, error) { return newStores(osKeyring{}, configs) }

// Acceptable tells whether the keyring of goos takes a secret.
func Acceptable(goos, service, user, secret string) error {
	return acceptable(goos, service, user, secret)
}

// HoldRing holds the ring lock of key, as a write that has not returned does.
func (s *Store) HoldRing(key tokensource.Key) (release func(), err error) {
	lock, err := s.locks.TryLock(s.path(key, ".ring"))
	if err != nil {
		return nil, err
	}
	return func() { _ = lock.Release() }, nil
}
