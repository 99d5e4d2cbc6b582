package keyringstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

func forgotten(t *testing.T, s *keyringstore.Store, key tokensource.Key) {
	t.Helper()
	_, _, err := s.Load(t.Context(), key)
	require.ErrorIs(t, err, tokensource.ErrNotFound)
}

func TestForgottenSessionLeavesNoSecretInEitherPlace(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		r, key := newRing(), newKey()
		dir := t.TempDir()
		s := r.open(t, keyringstore.Config{Dir: dir, Sealed: sealed})[0]
		other := newKey()
		require.NoError(t, swap(t, s, key, 0, 1))
		require.NoError(t, swap(t, s, key, 1, 2))
		require.NoError(t, swap(t, s, other, 0, 1))
		require.NoError(t, s.Forget(t.Context(), key))
		forgotten(t, s, key)
		forgotten(t, r.open(t, keyringstore.Config{Dir: dir})[0], key)
		assert.NotContains(t, r.snapshot(), "pawl:"+key.String())
		left, err := filepath.Glob(filepath.Join(dir, "keyring-pawl", key.String()+"*"))
		require.NoError(t, err)
		for _, file := range left {
			info, err := os.Stat(file)
			require.NoError(t, err)
			assert.LessOrEqual(t, info.Size(), int64(16), file) // a lock, with a mark at the most
		}
		_, _, err = s.Load(t.Context(), other)
		require.NoError(t, err, "another session stays")

		require.NoError(t, s.Forget(t.Context(), key), "there is nothing to forget")
		require.ErrorIs(t, swap(t, s, key, 2, 3), tokensource.ErrConflict)
		require.NoError(t, swap(t, s, key, 0, 3), "a login begins anew")
	}
}

// Guards the mark in Forget: another process remembers the entry, and must not
// let it stand in for a keyring that cannot be read any more.
func TestForgottenSessionIsNotRememberedByAnotherProcess(t *testing.T) {
	r, key, dir := newRing(), newKey(), t.TempDir()
	a := r.open(t, keyringstore.Config{Dir: dir})[0]
	b := r.open(t, keyringstore.Config{Dir: dir})[0]
	require.NoError(t, swap(t, a, key, 0, 1))
	holds(t, b, key, 1, keyringstore.Keyring)
	require.NoError(t, a.Mark(key, 0), "as a crash of the machine may leave it")
	require.NoError(t, a.Forget(t.Context(), key))
	r.change(func(r *ring) { r.check = keyringstore.ErrLocked })
	_, _, err := b.Load(t.Context(), key)
	require.ErrorIs(t, err, keyringstore.ErrLocked)
	require.ErrorIs(t, swap(t, b, key, 1, 2), keyringstore.ErrLocked)
	r.change(func(r *ring) { r.check = nil })
	forgotten(t, b, key)
	require.ErrorIs(t, swap(t, b, key, 1, 2), tokensource.ErrConflict)
}

// Guards the lease in Forget: a refresh under way has its say first, and one
// that comes later finds nothing.
func TestForgettingWaitsForARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, key := newRing(), newKey()
		s := r.open(t, keyringstore.Config{})[0]
		require.NoError(t, swap(t, s, key, 0, 1))
		lease, err := s.Lock(t.Context(), key)
		require.NoError(t, err)

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		took(t, time.Second, func() { require.ErrorIs(t, s.Forget(short, key), context.DeadlineExceeded) })
		holds(t, s, key, 1, keyringstore.Keyring)

		done := make(chan error, 1)
		go func() { done <- s.Forget(t.Context(), key) }()
		synctest.Wait()
		require.NoError(t, swap(t, s, key, 1, 2), "the refresh saves its child")
		holds(t, s, key, 2, keyringstore.Keyring)
		require.NoError(t, lease.Release())
		require.NoError(t, <-done)
		forgotten(t, s, key)
		require.ErrorIs(t, swap(t, s, key, 2, 3), tokensource.ErrConflict)
	})
}

// Guards the check before anything is removed, and the file that wins over
// whatever is found beside it.
func TestForgettingThatFailsHalfwayLeavesNothingToBePresented(t *testing.T) {
	r, key, dir := newRing(), newKey(), t.TempDir()
	s := r.open(t, keyringstore.Config{Dir: dir})[0]
	require.NoError(t, swap(t, s, key, 0, 1))
	r.change(func(r *ring) { r.check = keyringstore.ErrLocked })
	require.ErrorIs(t, s.Forget(t.Context(), key), keyringstore.ErrLocked)
	holds(t, s, key, 1, keyringstore.Keyring)

	failure := errors.New("no")
	r.change(func(r *ring) { r.check, r.beforeRemove = nil, func() error { return failure } })
	require.ErrorIs(t, s.Forget(t.Context(), key), failure)
	for _, s := range []*keyringstore.Store{s, r.open(t, keyringstore.Config{Dir: dir})[0]} {
		_, _, err := s.Load(t.Context(), key)
		require.ErrorIs(t, err, tokensource.ErrLoginRequired)
	}
	r.change(func(r *ring) { r.beforeRemove = nil })
	require.NoError(t, s.Forget(t.Context(), key))
	forgotten(t, s, key)
}

// Guards the ring lock in change, and that no key is used again beside a damaged
// file: a removal that was given up must not take the entry of the next login.
func TestLateRemovalNeverTakesTheNextLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, key, dir := newRing(), newKey(), t.TempDir()
		a := r.open(t, keyringstore.Config{Dir: dir})[0]
		slow := r.vault()
		hang := make(chan struct{})
		slow.Remove = func(service, user string) error {
			<-hang
			return r.remove(service, user)
		}
		stores, err := keyringstore.NewVaultStores(slow, keyringstore.Config{Dir: dir})
		require.NoError(t, err)
		b := stores[0]
		require.NoError(t, swap(t, a, key, 0, 1))
		took(t, 3*time.Second, func() { require.ErrorIs(t, b.Forget(t.Context(), key), keyringstore.ErrHung) })
		_, _, err = a.Load(t.Context(), key)
		require.ErrorIs(t, err, tokensource.ErrLoginRequired)
		require.ErrorIs(t, swap(t, a, key, 0, 2), keyringstore.ErrHung, "not under a key that is about to go")
		close(hang)
		synctest.Wait()
		require.NoError(t, swap(t, a, key, 0, 2))
		holds(t, a, key, 2, keyringstore.Keyring)
		holds(t, r.open(t, keyringstore.Config{Dir: dir})[0], key, 2, keyringstore.Keyring)
	})
}

// onceMore is a server that gives out the next tokens when it is let.
type onceMore struct{ asked, answer chan struct{} }

func (r onceMore) Refresh(context.Context, tokensource.Grant) (tokensource.Grant, error) {
	close(r.asked)
	<-r.answer
	return grant("second"), nil
}

func grant(name string) tokensource.Grant {
	return tokensource.Grant{
		AccessToken: tokensource.NewSecret("access " + name), RefreshToken: tokensource.NewSecret("refresh " + name),
		Expiry: time.Now().Add(time.Hour),
	}
}

// Guards Forget as a session meets it: a refresh under way keeps its child until
// it is forgotten, and nothing brings it back.
func TestSessionThatIsForgottenDuringItsRefreshAsksForALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, key := newRing().open(t, keyringstore.Config{})[0], newKey()
		server := onceMore{make(chan struct{}), make(chan struct{})}
		session, err := tokensource.NewSession(tokensource.Config{Key: key, Store: s, Refresher: server})
		require.NoError(t, err)
		require.NoError(t, session.Adopt(t.Context(), grant("first")))
		first, err := session.Token(t.Context())
		require.NoError(t, err)

		renewed, gone := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := session.Renew(t.Context(), first)
			renewed <- err
		}()
		<-server.asked
		go func() { gone <- s.Forget(t.Context(), key) }()
		synctest.Wait()
		close(server.answer)
		require.NoError(t, <-renewed)
		require.NoError(t, <-gone)
		forgotten(t, s, key)

		_, err = session.Token(t.Context())
		require.NoError(t, err, "what it holds is good until it ends")
		time.Sleep(2 * time.Hour)
		_, err = session.Token(t.Context())
		require.ErrorIs(t, err, tokensource.ErrLoginRequired)
		forgotten(t, s, key)
		require.NoError(t, session.Close(t.Context()))
	})
}
