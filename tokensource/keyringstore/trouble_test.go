package keyringstore_test

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

func reason(t *testing.T, err error) tokensource.Reason {
	t.Helper()
	var e *tokensource.Error
	require.ErrorAs(t, err, &e)
	return e.Reason
}

func TestLockedKeyringThatWasNeverReadIsAnErrorWithAdvice(t *testing.T) {
	r := newRing()
	r.check = keyringstore.ErrLocked
	s := r.open(t, keyringstore.Config{})[0]
	_, _, err := s.Load(t.Context(), newKey())
	require.ErrorIs(t, err, keyringstore.ErrLocked)
	require.ErrorIs(t, err, tokensource.ErrTryAgain)
	assert.Equal(t, tokensource.ReasonStore, reason(t, err))
	assert.Contains(t, err.Error(), "unlock the keyring")
	require.ErrorIs(t, swap(t, s, newKey(), 0, 1), keyringstore.ErrLocked)
	assert.Empty(t, r.snapshot())
}

// Guards the stand-in of what is remembered, in look.
func TestKeyringThatLocksAfterItWasReadLosesNothing(t *testing.T) {
	r, key := newRing(), newKey()
	s := r.open(t, keyringstore.Config{})[0]
	require.NoError(t, swap(t, s, key, 0, 1))
	r.change(func(r *ring) { r.check = keyringstore.ErrLocked })
	holds(t, s, key, 1, keyringstore.Keyring)
	require.NoError(t, swap(t, s, key, 1, 2))
	require.ErrorIs(t, swap(t, s, key, 1, 3), tokensource.ErrConflict)
	holds(t, s, key, 2, keyringstore.Sealed)

	r.change(func(r *ring) { r.check = nil })
	fresh := r.open(t, keyringstore.Config{})[0] // another directory: only the keyring
	holds(t, fresh, key, 1, keyringstore.Keyring)
	require.NoError(t, swap(t, s, key, 2, 3))
	holds(t, s, key, 3, keyringstore.Keyring)
}

// Guards the copies in set and Load: what is remembered is nobody else's.
func TestRememberedRecordIsACopy(t *testing.T) {
	r, key := newRing(), newKey()
	s := r.open(t, keyringstore.Config{})[0]
	data := []byte("record")
	require.NoError(t, s.Swap(t.Context(), key, version(0), version(1), data))
	r.change(func(r *ring) { r.check = keyringstore.ErrLocked })
	data[0] = 'X'
	for range 2 {
		_, got, err := s.Load(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, "record", string(got))
		got[0] = 'Y'
	}
}

// Guards the second half of the short cut in lookAt: beside an old file, as a
// crash of the machine may leave it, the keyring is asked, not the memory.
func TestOldFileWithoutAMarkIsNotTakenForTheRecord(t *testing.T) {
	r, key := newRing(), newKey()
	s := r.open(t, keyringstore.Config{})[0]
	require.NoError(t, swap(t, s, key, 0, 1))
	r.change(func(r *ring) { r.check = keyringstore.ErrLocked })
	require.NoError(t, swap(t, s, key, 1, 2))
	old, err := os.ReadFile(s.SealedPath(key))
	require.NoError(t, err)
	r.change(func(r *ring) { r.check = nil })
	require.NoError(t, swap(t, s, key, 2, 3))
	require.NoError(t, os.WriteFile(s.SealedPath(key), old, 0o600))
	require.NoError(t, s.Mark(key, 0))
	holds(t, s, key, 3, keyringstore.Keyring)
	r.change(func(r *ring) { r.entries = map[string]string{} })
	_, _, err = s.Load(t.Context(), key)
	require.ErrorIs(t, err, keyringstore.ErrNoKey)
}

// Guards the mark in upToDate: what is remembered is not current any more when
// another process has written to the keyring since.
func TestKeyringThatLocksAfterAnotherProcessWroteIsNotGuessedAt(t *testing.T) {
	r, key, dir := newRing(), newKey(), t.TempDir()
	a := r.open(t, keyringstore.Config{Dir: dir})[0]
	b := r.open(t, keyringstore.Config{Dir: dir})[0]
	require.NoError(t, swap(t, a, key, 0, 1))
	require.NoError(t, swap(t, b, key, 1, 2))
	r.change(func(r *ring) { r.check = keyringstore.ErrLocked })
	_, _, err := a.Load(t.Context(), key)
	require.ErrorIs(t, err, keyringstore.ErrLocked)
	require.ErrorIs(t, swap(t, a, key, 1, 3), keyringstore.ErrLocked)
	require.ErrorIs(t, swap(t, a, key, 2, 3), keyringstore.ErrLocked)
	holds(t, b, key, 2, keyringstore.Keyring)

	// Through the file they find each other again.
	require.NoError(t, swap(t, b, key, 2, 3))
	holds(t, a, key, 3, keyringstore.Sealed)
	require.NoError(t, swap(t, a, key, 3, 4))
	holds(t, b, key, 4, keyringstore.Sealed)
}

// Guards the reading back in set.
func TestWriteThatTheKeyringOnlyPretendsIsNoticed(t *testing.T) {
	r, key := newRing(), newKey()
	s := r.open(t, keyringstore.Config{})[0]
	r.lie = true
	err := swap(t, s, key, 0, 1)
	require.ErrorIs(t, err, keyringstore.ErrNotStored)
	require.ErrorIs(t, err, tokensource.ErrTryAgain)
	_, _, err = s.Load(t.Context(), key)
	require.ErrorIs(t, err, tokensource.ErrNotFound)

	r.change(func(r *ring) { r.lie = false })
	require.NoError(t, swap(t, s, key, 0, 1))
	r.change(func(r *ring) { r.lie = true })
	require.NoError(t, swap(t, s, key, 1, 2))
	holds(t, s, key, 2, keyringstore.Sealed)
}

// Guards guarded.
func TestPanicOfTheKeyringIsAnErrorWithoutItsText(t *testing.T) {
	r, key := newRing(), newKey()
	s := r.open(t, keyringstore.Config{})[0]
	require.NoError(t, swap(t, s, key, 0, 1))
	r.change(func(r *ring) { r.beforeSet = func() error { panic("canary-secret") } })
	require.NoError(t, swap(t, s, key, 1, 2))
	holds(t, s, key, 2, keyringstore.Sealed)
	other := newKey()
	err := swap(t, s, other, 0, 1)
	require.ErrorIs(t, err, keyringstore.ErrFailed)
	assert.NotContains(t, err.Error(), "canary")
}

func TestSessionWhoseKeyIsLostStartsOverWithTheNextLogin(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		r, key, dir := newRing(), newKey(), t.TempDir()
		config := keyringstore.Config{Dir: dir, Sealed: sealed}
		s := r.open(t, config)[0]
		require.NoError(t, swap(t, s, key, 0, 1))
		r.change(func(r *ring) { r.check = keyringstore.ErrLocked })
		require.NoError(t, swap(t, s, key, 1, 2), "into the file")

		r.change(func(r *ring) { r.check, r.entries = nil, map[string]string{} })
		s = r.open(t, config)[0]
		_, _, err := s.Load(t.Context(), key)
		require.ErrorIs(t, err, tokensource.ErrLoginRequired)
		require.ErrorIs(t, err, keyringstore.ErrNoKey)
		assert.Equal(t, tokensource.ReasonKeyLost, reason(t, err))
		_, err = s.Where(t.Context(), key)
		require.ErrorIs(t, err, keyringstore.ErrNoKey)

		require.ErrorIs(t, swap(t, s, key, 2, 3), tokensource.ErrConflict)
		require.NoError(t, swap(t, s, key, 0, 3))
		where := keyringstore.Keyring
		if sealed {
			where = keyringstore.Sealed
		}
		holds(t, s, key, 3, where)
		holds(t, r.open(t, config)[0], key, 3, where)
	}
}

// A keyring that was restored from a backup, or reset and used by another
// directory's store, holds a key that opens nothing here.
func TestSessionSealedUnderAnotherKeyIsLost(t *testing.T) {
	r, key, dir := newRing(), newKey(), t.TempDir()
	config := keyringstore.Config{Dir: dir, Sealed: true}
	s := r.open(t, config)[0]
	require.NoError(t, swap(t, s, key, 0, 1))
	require.NoError(t, swap(t, s, key, 1, 2))
	r.change(func(r *ring) { clear(r.entries) })
	require.NoError(t, swap(t, r.open(t, keyringstore.Config{})[0], key, 0, 9), "in a directory of its own")

	s = r.open(t, config)[0]
	_, _, err := s.Load(t.Context(), key)
	require.ErrorIs(t, err, keyringstore.ErrNoKey)
	require.ErrorIs(t, err, tokensource.ErrLoginRequired)
	assert.Equal(t, tokensource.ReasonKeyLost, reason(t, err))
	require.NoError(t, swap(t, s, key, 0, 3), "a login begins anew")
	holds(t, r.open(t, config)[0], key, 3, keyringstore.Sealed)
}

// A store that remembers the lost key must not go on with it once another
// process has made a new one.
func TestKeyThatWasReplacedIsNotUsedAgain(t *testing.T) {
	r, key, dir := newRing(), newKey(), t.TempDir()
	config := keyringstore.Config{Dir: dir, Sealed: true}
	a, b := r.open(t, config)[0], r.open(t, config)[0]
	require.NoError(t, swap(t, a, key, 0, 1))
	r.change(func(r *ring) { r.entries = map[string]string{} })
	require.NoError(t, swap(t, b, key, 0, 2))
	holds(t, a, key, 2, keyringstore.Sealed)
	require.NoError(t, swap(t, a, key, 2, 3))
	holds(t, b, key, 3, keyringstore.Sealed)

	r.change(func(r *ring) { r.entries = map[string]string{} })
	require.NoError(t, swap(t, b, key, 3, 4), "who remembers the key goes on with it")
	c := r.open(t, config)[0]
	require.NoError(t, swap(t, c, key, 0, 5))
	r.change(func(r *ring) { r.check = keyringstore.ErrLocked })
	_, _, err := a.Load(t.Context(), key)
	require.ErrorIs(t, err, keyringstore.ErrLocked)
	require.ErrorIs(t, swap(t, a, key, 4, 6), keyringstore.ErrLocked)
	holds(t, c, key, 5, keyringstore.Sealed)
}

func TestDamagedEntryAndDamagedFileAreLostAndNeverAnOlderRecord(t *testing.T) {
	r, key := newRing(), newKey()
	s := r.open(t, keyringstore.Config{})[0]
	require.NoError(t, swap(t, s, key, 0, 1))
	for _, damaged := range []string{"", "v1:", "v1:AAAA", "v1:!!!!", "a token of someone else"} {
		r.change(func(r *ring) {
			for name := range r.entries {
				r.entries[name] = damaged
			}
		})
		_, _, err := s.Load(t.Context(), key)
		require.ErrorIs(t, err, keyringstore.ErrCorrupt)
		assert.Equal(t, tokensource.ReasonKeyLost, reason(t, err))
	}
	require.NoError(t, swap(t, s, key, 0, 2))
	holds(t, s, key, 2, keyringstore.Keyring)

	r.change(func(r *ring) { r.check = keyringstore.ErrLocked })
	require.NoError(t, swap(t, s, key, 2, 3))
	r.change(func(r *ring) { r.check = nil })
	good, err := os.ReadFile(s.SealedPath(key))
	require.NoError(t, err)
	for _, at := range []int{0, 20, 26, 60, len(good) - 1} {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		require.NoError(t, os.WriteFile(s.SealedPath(key), bad, 0o600))
		_, _, err := s.Load(t.Context(), key)
		require.Error(t, err, "byte %d", at)
		assert.Equal(t, tokensource.ReasonKeyLost, reason(t, err), "byte %d: never the keyring's older record", at)
	}
	require.NoError(t, swap(t, s, key, 0, 4))
	holds(t, s, key, 4, keyringstore.Keyring)
}

func TestEntryOfANewerVersionIsLeftAlone(t *testing.T) {
	r, key := newRing(), newKey()
	s := r.open(t, keyringstore.Config{})[0]
	r.entries["pawl:"+key.String()] = "v2:whatever"
	_, _, err := s.Load(t.Context(), key)
	require.ErrorIs(t, err, tokensource.ErrConfig)
	assert.Equal(t, tokensource.ReasonFormat, reason(t, err))
	require.ErrorIs(t, swap(t, s, key, 0, 1), tokensource.ErrConfig)
	assert.Equal(t, "v2:whatever", r.snapshot()["pawl:"+key.String()])
}

// Guards the bare entry in write: a record that has moved to the file leaves
// no token in the keyring.
func TestRecordThatMovesToTheFileLeavesTheKeyring(t *testing.T) {
	r, key, dir := newRing(), newKey(), t.TempDir()
	plain := r.open(t, keyringstore.Config{Dir: dir})[0]
	sealed := r.open(t, keyringstore.Config{Dir: dir, Sealed: true})[0]
	require.NoError(t, swap(t, plain, key, 0, 1))
	check := func() {
		t.Helper()
		_, v, data, _, err := keyringstore.DecodeEntry(r.snapshot()["pawl:"+key.String()])
		require.NoError(t, err)
		assert.Zero(t, v)
		assert.Empty(t, data)
	}
	require.NoError(t, swap(t, sealed, key, 1, 2))
	check()
	holds(t, plain, key, 2, keyringstore.Sealed)
	require.NoError(t, swap(t, plain, key, 2, 3))
	holds(t, sealed, key, 3, keyringstore.Keyring)
	require.NoError(t, plain.Swap(t.Context(), key, version(3), version(4), bytes.Repeat([]byte{4}, 6000)))
	check()
	holds(t, sealed, key, 4, keyringstore.Sealed)

	sets := r.setCount()
	require.NoError(t, swap(t, sealed, key, 4, 5))
	require.NoError(t, swap(t, sealed, key, 5, 6))
	assert.Equal(t, sets, r.setCount(), "the sealed way does not write to the keyring")
}

func TestRecordThatIsTooLongAndVersionZeroAreRefused(t *testing.T) {
	s, key := newRing().open(t, keyringstore.Config{})[0], newKey()
	require.Error(t, s.Swap(t.Context(), key, version(0), version(1), make([]byte, 1<<20+1)))
	require.Error(t, s.Swap(t.Context(), key, version(0), version(0), nil))
	_, _, err := s.Load(t.Context(), key)
	require.ErrorIs(t, err, tokensource.ErrNotFound)
}

func TestConfigIsCheckedAndItsErrorsNameTheFix(t *testing.T) {
	for _, service := range []string{"Pawl", "a:b", "a/b", "a b", "é", string(bytes.Repeat([]byte{'a'}, 65))} {
		_, err := keyringstore.New(keyringstore.Config{Service: service, Dir: t.TempDir()})
		require.ErrorContains(t, err, "Config.Service", service)
	}
	for _, service := range []string{"", "..", "con", "a.b_c-9"} {
		_, err := keyringstore.New(keyringstore.Config{Service: service, Dir: t.TempDir()})
		require.NoError(t, err, service)
	}
	if runtime.GOOS == "windows" {
		return // a directory has no such mode there
	}
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(dir+"/keyring-open", 0o755))
	_, err := keyringstore.New(keyringstore.Config{Service: "open", Dir: dir})
	require.ErrorContains(t, err, "chmod 700")
}

func TestProbeOfAKeyringThatAnswersIsNil(t *testing.T) {
	r := newRing()
	require.NoError(t, keyringstore.ProbeVault(t.Context(), r.vault()))
	r.check = keyringstore.ErrNoBus
	err := keyringstore.ProbeVault(t.Context(), r.vault())
	require.ErrorIs(t, err, keyringstore.ErrNoBus)
	assert.Contains(t, err.Error(), "filestore")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, keyringstore.ProbeVault(ctx, r.vault()), context.Canceled)
}
