package keyringstore

import (
	"context"
	"errors"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// Forget removes all that the store keeps for key: every entry of that name in
// the keyring, and the sealed file. It is for an account that a program drops
// altogether. A logout ([tokensource.Session.End]) is another thing: it leaves
// a record without tokens, which makes every process see that the session has
// ended. Log out first, or the tokens stay good at the server. Forgetting what
// is not there is no error.
//
// Forget waits for the lease, so for a refresh under way in any process, until
// ctx ends; the caller must not hold it. A refresh that begins later finds no
// session. The lock files stay, which hold no secret; so does a count of
// writes, by which the memory of other processes is known to be outdated.
//
// It needs the keyring: while that cannot be read, the error says why, and
// nothing was removed. After any later error nothing can be read either, Load
// asks for a login, and Forget can be called again.
func (s *Store) Forget(ctx context.Context, key tokensource.Key) error {
	lease, err := sealedfile.Lock(ctx, &s.locks, s.path(key, ".lock"))
	if err != nil {
		return err
	}
	defer func() { _ = lease.Release() }()
	swap, err := sealedfile.Lock(ctx, &s.locks, s.path(key, ".swap"))
	if err != nil {
		return err
	}
	defer func() { _ = swap.Release() }()

	v := s.visit()
	counter, err := s.highestCounter(ctx, v, key, swap)
	if err != nil {
		return storeError(err)
	}
	// A file that is damaged wins over whatever is found beside it: between
	// here and the end an old copy of the entry is never taken for current.
	if err := sealedfile.Replace(s.path(key, ".sealed"), nil); err != nil {
		return storeError(err)
	}
	err = s.change(ctx, v, key, swap, counter+1, func() error {
		return s.worker.vault.remove(s.service, key.String())
	})
	if err != nil {
		return storeError(err)
	}
	s.forget(key) // nor does memory keep the key any longer
	return storeError(sealedfile.Remove(s.path(key, ".sealed")))
}

// highestCounter returns the highest counter that anybody has written to the
// keyring for key, or tried to. An error means that it cannot be read.
func (s *Store) highestCounter(ctx context.Context, v *visit, key tokensource.Key, swap *filelock.Lock) (uint64, error) {
	mark, _ := readMark(swap.File())
	e, err := s.get(ctx, v, key)
	switch {
	case err == nil:
		return max(mark, e.record.Counter), nil // a crash of the machine may have taken the mark
	case errors.Is(err, errNoEntry), errors.Is(err, ErrCorrupt), errors.Is(err, errNewer):
		return mark, nil
	}
	return 0, err
}
