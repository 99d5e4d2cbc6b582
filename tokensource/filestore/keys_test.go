package filestore_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
)

// rawKey has bytes that base64 spells differently in its two alphabets.
var rawKey = append(bytes.Repeat([]byte{0xfb, 0xef, 0xff}, 10), 1, 2)

// spellings are what a key may look like in a text.
var spellings = map[string]string{
	"base64":              base64.StdEncoding.EncodeToString(rawKey),
	"base64 and its line": base64.StdEncoding.EncodeToString(rawKey) + "\n",
	"base64 without ends": base64.RawStdEncoding.EncodeToString(rawKey),
	"base64 for URLs":     base64.URLEncoding.EncodeToString(rawKey),
	"hexadecimal":         hex.EncodeToString(rawKey),
}

// noKeys are what people put where a key belongs.
var noKeys = map[string]string{
	"a passphrase":               "correct horse battery staple",
	"a passphrase of 32 letters": "thirty-two letters are no secret",
	"16 bytes":                   base64.StdEncoding.EncodeToString(rawKey[:16]),
	"48 bytes":                   base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 48)),
	"zeros":                      base64.StdEncoding.EncodeToString(make([]byte, 32)),
}

// useKey opens a store under the key and writes a record.
func useKey(t *testing.T, dir string, k func(context.Context) ([]byte, error)) error {
	t.Helper()
	return open(t, dir, k).Swap(t.Context(), key, none, one, []byte("x"))
}

func TestKeyIsTakenFromTheEnvironmentInEverySpellingAndAPassphraseIsNot(t *testing.T) {
	source := filestore.KeyFromEnv("PAWL_TEST_KEY")
	for name, text := range spellings {
		t.Setenv("PAWL_TEST_KEY", text)
		raw, err := source(t.Context())
		require.NoError(t, err, name)
		assert.Equal(t, rawKey, raw, name)
		require.NoError(t, useKey(t, t.TempDir(), source), name)
	}
	for name, text := range noKeys {
		t.Setenv("PAWL_TEST_KEY", text)
		err := useKey(t, t.TempDir(), source)
		require.ErrorIs(t, err, tokensource.ErrConfig, name)
		assert.NotContains(t, err.Error(), text, name)
		if name != "zeros" {
			require.ErrorContains(t, err, "openssl rand -base64 32", name)
			require.ErrorContains(t, err, "$PAWL_TEST_KEY", name)
		}
	}
	t.Setenv("PAWL_TEST_KEY", "")
	err := useKey(t, t.TempDir(), source)
	require.ErrorContains(t, err, "$PAWL_TEST_KEY is not set")
	require.ErrorContains(t, err, "openssl rand -base64 32")
	require.ErrorIs(t, err, tokensource.ErrTryAgain)
}

func TestKeyIsTakenFromACredentialOfTheService(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	path := filepath.Join(dir, "pawl.key")
	source := filestore.KeyFromCredential("pawl.key")
	put := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	for name, text := range spellings {
		put(text)
		raw, err := source(t.Context())
		require.NoError(t, err, name)
		assert.Equal(t, rawKey, raw, name)
	}
	put(string(rawKey))
	require.NoError(t, useKey(t, t.TempDir(), source))
	for name, text := range noKeys {
		put(text)
		err := useKey(t, t.TempDir(), source)
		require.ErrorIs(t, err, tokensource.ErrConfig, name)
		assert.NotContains(t, err.Error(), text, name)
	}
	require.NoError(t, os.Remove(path))
	require.ErrorContains(t, useKey(t, t.TempDir(), source), "LoadCredential=pawl.key")
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	require.ErrorContains(t, useKey(t, t.TempDir(), source), "$CREDENTIALS_DIRECTORY is not set")
	for _, name := range []string{"", ".", "..", "../pawl.key", "a/b"} {
		require.ErrorIs(t, useKey(t, t.TempDir(), filestore.KeyFromCredential(name)), tokensource.ErrConfig, name)
	}
}

func TestConfigTakesOnePlaceForTheKeyAndAGoodName(t *testing.T) {
	for want, c := range map[string]filestore.Config{
		"Config.Key is required": {},
		"more than one":          {Key: fixed(1), Plain: true},
		"choose one":             {KernelKey: true, Plain: true},
		"Config.Service":         {Key: fixed(1), Service: "../x"},
	} {
		c.Dir = t.TempDir()
		_, err := filestore.New(c)
		require.ErrorContains(t, err, want)
	}
	dir := t.TempDir()
	a, err := filestore.New(filestore.Config{Dir: dir, Service: "a", Key: fixed(1)})
	require.NoError(t, err)
	b, err := filestore.New(filestore.Config{Dir: dir, Service: "b", Key: fixed(1)})
	require.NoError(t, err)
	require.NoError(t, a.Swap(t.Context(), key, none, one, []byte("x")))
	_, _, err = b.Load(t.Context(), key)
	require.ErrorIs(t, err, tokensource.ErrNotFound)
}

// Guards sameKind in New, and the kinds in Open: neither is ever written over
// the other, not even by a store that was opened before there was anything.
func TestSealedSessionsAreNeverOpenedAsPlainNorPlainOnesAsSealed(t *testing.T) {
	plainIn := func(dir string) (*filestore.Store, error) {
		return filestore.New(filestore.Config{Dir: dir, Plain: true})
	}
	sealedIn := func(dir string) (*filestore.Store, error) {
		return filestore.New(filestore.Config{Dir: dir, Key: fixed(1)})
	}
	for name, kinds := range map[string][2]func(string) (*filestore.Store, error){
		"sealed": {sealedIn, plainIn}, "plain": {plainIn, sealedIn},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			early, err := kinds[1](dir)
			require.NoError(t, err)
			s, err := kinds[0](dir)
			require.NoError(t, err)
			require.NoError(t, s.Swap(t.Context(), key, none, one, []byte("x")))

			_, err = kinds[1](dir)
			require.ErrorIs(t, err, tokensource.ErrConfig)
			require.ErrorContains(t, err, "as before")
			_, _, err = early.Load(t.Context(), key)
			require.ErrorIs(t, err, tokensource.ErrConfig)
			require.ErrorIs(t, early.Swap(t.Context(), key, none, two, nil), tokensource.ErrConfig)
			v, data, err := s.Load(t.Context(), key)
			require.NoError(t, err)
			assert.Equal(t, one, v)
			assert.Equal(t, "x", string(data))
		})
	}
}

func TestPlainFileSaysSoAndIsThisUsersAlone(t *testing.T) {
	dir := t.TempDir()
	s, err := filestore.New(filestore.Config{Dir: dir, Plain: true})
	require.NoError(t, err)
	require.NoError(t, s.Swap(t.Context(), key, none, one, []byte("in the clear")))
	raw, err := os.ReadFile(recordPath(dir))
	require.NoError(t, err)
	assert.Equal(t, "pawlopen", string(raw[:8]))
	assert.Contains(t, string(raw), "in the clear")
	if os.PathSeparator == '/' {
		require.NoError(t, os.Chmod(recordPath(dir), 0o644))
		_, _, err = s.Load(t.Context(), key)
		require.ErrorContains(t, err, "chmod 600 "+recordPath(dir))
	}
}

// Guards the Sweep in New.
func TestLitterOfKilledWritersIsGoneWhenTheNextProcessStarts(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, fixed(1))
	litter := recordPath(dir) + ".tmp"
	require.NoError(t, os.WriteFile(litter, []byte("x"), 0o600))
	open(t, dir, fixed(1))
	assert.FileExists(t, litter, "it may be being written")
	old := fileTime(t, litter).Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(litter, old, old))
	open(t, dir, fixed(1))
	assert.NoFileExists(t, litter)
}

// Guards Check in lock: a lock that others can take, or hold for ever, is none.
func TestDirectoryThatOpensToOthersIsRefusedByEveryMethod(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("who may enter a directory of Windows is up to its parent")
	}
	dir := t.TempDir()
	s := open(t, dir, fixed(1))
	require.NoError(t, s.Swap(t.Context(), key, none, one, []byte("x")))
	require.NoError(t, os.Chmod(s.Dir(), 0o770))
	_, _, loadErr := s.Load(t.Context(), key)
	_, lockErr := s.Lock(t.Context(), key)
	_, newErr := filestore.New(filestore.Config{Dir: dir, Key: fixed(1)})
	for _, err := range []error{loadErr, lockErr, newErr, s.Swap(t.Context(), key, one, two, nil)} {
		require.ErrorIs(t, err, tokensource.ErrTryAgain)
		require.ErrorContains(t, err, "chmod 700 "+s.Dir())
	}
}
