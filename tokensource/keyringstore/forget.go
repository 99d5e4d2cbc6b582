package keyringstore

import (
	"context"

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
	if err := s.check(ctx, v); err != nil {
		return storeError(err)
	}
	counter, _ := readMark(swap.File())
	if p, err := s.look(ctx, v, key, false); err == nil {
		counter = max(counter, p.high)
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
	s.forget(key)
	return storeError(sealedfile.Remove(s.path(key, ".sealed")))
}
