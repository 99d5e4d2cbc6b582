package filestore_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
)

// What every store does is tested in contract_test.go.

var (
	key  = tokensource.NewKey("https://as.example", "test", "a")
	one  = tokensource.Version{1}
	two  = tokensource.Version{2}
	none tokensource.Version
)

func open(t *testing.T, dir string, sealing func(context.Context) ([]byte, error)) *filestore.Store {
	t.Helper()
	s, err := filestore.New(filestore.Config{Dir: dir, Key: sealing})
	require.NoError(t, err)
	return s
}

// recordPath is where the record of key is.
func recordPath(dir string) string {
	return filepath.Join(dir, "file-pawl", key.String()+".record")
}

func fileTime(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.ModTime()
}

func fixed(b byte) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return bytes.Repeat([]byte{b}, 32), nil }
}

func TestRecordUnderAnotherKeyIsLostAndTheNextLoginReplacesIt(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, open(t, dir, fixed(1)).Swap(t.Context(), key, none, one, []byte("x")))

	s := open(t, dir, fixed(2))
	_, _, err := s.Load(t.Context(), key)
	require.ErrorIs(t, err, tokensource.ErrLoginRequired)
	var e *tokensource.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, tokensource.ReasonKeyLost, e.Reason)
	require.ErrorIs(t, s.Swap(t.Context(), key, one, two, nil), tokensource.ErrConflict)
	require.NoError(t, s.Swap(t.Context(), key, none, two, []byte("y")))
	v, data, err := s.Load(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, two, v)
	assert.Equal(t, "y", string(data))
}

func TestDamagedFileIsLostAndANewerOneIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, fixed(1))
	require.NoError(t, s.Swap(t.Context(), key, none, one, []byte("x")))
	path := recordPath(dir)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)

	raw[8] = 2 // the format
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	_, _, err = s.Load(t.Context(), key)
	require.ErrorIs(t, err, tokensource.ErrConfig)
	require.ErrorIs(t, s.Swap(t.Context(), key, none, two, nil), tokensource.ErrConfig)
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, raw, kept)

	raw[8] = 1
	require.NoError(t, os.WriteFile(path, raw[:100], 0o600))
	_, _, err = s.Load(t.Context(), key)
	require.ErrorIs(t, err, tokensource.ErrLoginRequired)
	require.NoError(t, s.Swap(t.Context(), key, none, two, nil))
}

func TestKeyThatCannotBeHadIsAnErrorOfTheStore(t *testing.T) {
	cause := errors.New("the vault is sealed")
	s := open(t, t.TempDir(), func(context.Context) ([]byte, error) { return nil, cause })
	_, _, err := s.Load(t.Context(), key)
	require.ErrorIs(t, err, cause)
	require.ErrorIs(t, err, tokensource.ErrTryAgain)
	require.ErrorIs(t, s.Swap(t.Context(), key, none, one, nil), cause)

	s = open(t, t.TempDir(), func(context.Context) ([]byte, error) { return []byte("short"), nil })
	require.ErrorIs(t, s.Swap(t.Context(), key, none, one, nil), tokensource.ErrConfig)
}
