package keyringstore_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// raced returns a reader of a session whose record 1 is in the keyring, and a
// writer; if inFile, record 2 has come after it, into the file. The first time
// that the reader reads the keyring, overtake runs right before that or, if
// after, right after it.
func raced(t *testing.T, inFile, after bool, overtake func(w *keyringstore.Store, key tokensource.Key)) (*keyringstore.Store, tokensource.Key) {
	t.Helper()
	r, key, dir := newRing(), newKey(), t.TempDir()
	w := r.open(t, keyringstore.Config{Dir: dir})[0]
	require.NoError(t, swap(t, w, key, 0, 1))
	if inFile {
		r.check = keyringstore.ErrLocked
		require.NoError(t, swap(t, w, key, 1, 2))
		r.check = nil
	}
	var once sync.Once
	v := r.vault()
	v.Get = func(service, user string) (string, error) {
		if !after {
			once.Do(func() { overtake(w, key) })
		}
		text, err := r.get(service, user)
		if after {
			once.Do(func() { overtake(w, key) })
		}
		return text, err
	}
	stores, err := keyringstore.NewVaultStores(v, keyringstore.Config{Dir: dir})
	require.NoError(t, err)
	return stores[0], key
}

// Guards the loop in look: the record leaves the keyring after the reader has
// found no file and before it finds the entry bare.
func TestReaderFindsTheRecordThatMovesIntoTheFileUnderIt(t *testing.T) {
	reader, key := raced(t, false, false, func(w *keyringstore.Store, key tokensource.Key) {
		assert.NoError(t, w.Swap(t.Context(), key, version(1), version(2), make([]byte, 5000)))
	})
	v, _, err := reader.Load(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, version(2), v)
}

// Guards the order of reading in look: the record leaves the file after the
// reader has read the old entry. A reader that looks for the file only then
// takes the old entry for current.
func TestReaderDoesNotGoBackWhenTheRecordMovesIntoTheKeyringUnderIt(t *testing.T) {
	reader, key := raced(t, true, true, func(w *keyringstore.Store, key tokensource.Key) {
		assert.NoError(t, w.Swap(t.Context(), key, version(2), version(3), []byte{3}))
	})
	v, _, err := reader.Load(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, version(2), v, "what was current when Load began")
	v, _, err = reader.Load(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, version(3), v)
}
