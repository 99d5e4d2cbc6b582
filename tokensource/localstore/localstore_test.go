package localstore_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
	"github.com/seed-9a12f4e2/pawl/tokensource/localstore"
)

var session = tokensource.NewKey("https://as.example", "test", "a")

func key(context.Context) ([]byte, error) { return bytes.Repeat([]byte{7}, 32), nil }

// noKeyring makes this process one without a keyring.
func noKeyring(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		t.Skip("this system always has a keyring")
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "nothing"))
}

func open(t *testing.T, c localstore.Config) (tokensource.Store, localstore.Choice) {
	t.Helper()
	s, choice, err := localstore.Open(t.Context(), c)
	require.NoError(t, err)
	return s, choice
}

func put(t *testing.T, s tokensource.Store, text string) {
	t.Helper()
	old, _, err := s.Load(t.Context(), session)
	if !errors.Is(err, tokensource.ErrNotFound) {
		require.NoError(t, err)
	}
	next := old
	next[0]++
	require.NoError(t, s.Swap(t.Context(), session, old, next, []byte(text)))
}

func holds(t *testing.T, s tokensource.Store, text string) {
	t.Helper()
	_, data, err := s.Load(t.Context(), session)
	require.NoError(t, err)
	assert.Equal(t, text, string(data))
}

func ledger(dir string) string { return filepath.Join(dir, "local-pawl", "choice") }

func TestProgramsKeyIsUsedWhereThereIsNoKeyring(t *testing.T) {
	noKeyring(t)
	dir := t.TempDir()
	s, choice := open(t, localstore.Config{Dir: dir, Key: key})
	assert.Equal(t, localstore.Sealed, choice.Backend)
	assert.Equal(t, filepath.Join(dir, "file-pawl"), choice.Where)
	require.Len(t, choice.Rejected, 1)
	assert.Equal(t, localstore.Keyring, choice.Rejected[0].Backend)
	assert.Contains(t, choice.String(), "sealed ("+choice.Where+"): the first place that can be used; not keyring: ")
	put(t, s, "x")
	again, choice := open(t, localstore.Config{Dir: dir, Key: key})
	assert.Contains(t, choice.Why, "earlier choice")
	holds(t, again, "x")
}

// Guards byName in order: nothing is in the clear, or forgotten, unasked.
func TestWithoutKeyringAndKeyThereIsNoPlaceUntilOneIsNamed(t *testing.T) {
	noKeyring(t)
	failing := func(context.Context) ([]byte, error) { return nil, errors.New("the vault is sealed") }
	for name, c := range map[string]localstore.Config{"no key": {}, "a key that cannot be had": {Key: failing}} {
		c.Dir = t.TempDir()
		s, choice, err := localstore.Open(t.Context(), c)
		require.ErrorIs(t, err, tokensource.ErrTryAgain, name)
		require.ErrorContains(t, err, "Config.Allow", name)
		assert.Nil(t, s)
		assert.Equal(t, localstore.Auto, choice.Backend)
		assert.Len(t, choice.Rejected, 2)
		assert.True(t, strings.HasPrefix(choice.String(), "no place; not keyring: "), choice.String())
		assert.NotContains(t, choice.String(), "\n")
		assert.NotContains(t, err.Error(), "\n")
		assert.NoFileExists(t, ledger(c.Dir))

		c.Allow = []localstore.Backend{localstore.Memory, localstore.Plain}
		_, choice = open(t, c)
		assert.Equal(t, localstore.Plain, choice.Backend, "the order is the package's")
		c.Allow = []localstore.Backend{localstore.Memory}
		c.Dir = t.TempDir()
		s, choice = open(t, c)
		assert.Equal(t, localstore.Memory, choice.Backend)
		assert.Empty(t, choice.Where)
		assert.NoFileExists(t, ledger(c.Dir), "what is forgotten is no choice")
		put(t, s, "x")
	}
}

// A passphrase where the key belongs is for a person to mend, not a reason to
// keep tokens elsewhere; nor is a program that is being stopped.
func TestKeyThatIsWrongIsNoReasonToTakeTheNextPlace(t *testing.T) {
	noKeyring(t)
	t.Setenv("PAWL_TEST_KEY", "correct horse")
	for name, tt := range map[string]struct {
		key  func(context.Context) ([]byte, error)
		want error
	}{
		"too short":    {func(context.Context) ([]byte, error) { return []byte("correct horse"), nil }, tokensource.ErrConfig},
		"a passphrase": {filestore.KeyFromEnv("PAWL_TEST_KEY"), tokensource.ErrConfig},
		"interrupted":  {nil, context.Canceled},
	} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		if tt.key == nil {
			tt.key = func(ctx context.Context) ([]byte, error) { cancel(); return nil, ctx.Err() }
		}
		_, choice, err := localstore.Open(ctx, localstore.Config{Dir: dir, Key: tt.key, Allow: []localstore.Backend{localstore.Memory}})
		cancel()
		require.ErrorIs(t, err, tt.want, name)
		assert.NotContains(t, err.Error(), "correct horse", name)
		assert.Equal(t, localstore.Auto, choice.Backend, name)
	}
}

// Guards stay: a session never goes on in two places.
func TestChoiceStaysWhateverTheConfigurationSaysLater(t *testing.T) {
	noKeyring(t)
	allow := func(all ...localstore.Backend) []localstore.Backend { return all }
	for name, tt := range map[string]struct {
		first, later localstore.Config
		kept         localstore.Backend
		says         string
	}{
		"another place by name": {localstore.Config{Key: key}, localstore.Config{Use: localstore.Plain}, localstore.Sealed, "Config.Use asks for plain"},
		"the keyring by name":   {localstore.Config{Key: key}, localstore.Config{Use: localstore.Keyring}, localstore.Sealed, "Config.Use asks for keyring"},
		"no key any more": {localstore.Config{Key: key}, localstore.Config{Allow: allow(localstore.Plain, localstore.Memory)},
			localstore.Sealed, "no Config.Key"},
		"plain no longer allowed": {localstore.Config{Use: localstore.Plain}, localstore.Config{Key: key}, localstore.Plain, "does not name that"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.first.Dir = t.TempDir()
			tt.later.Dir = tt.first.Dir
			s, choice := open(t, tt.first)
			require.Equal(t, tt.kept, choice.Backend)
			put(t, s, "x")
			_, choice, err := localstore.Open(t.Context(), tt.later)
			require.ErrorIs(t, err, tokensource.ErrConfig)
			require.ErrorContains(t, err, tt.says)
			require.ErrorContains(t, err, "remove "+ledger(tt.first.Dir))
			assert.Equal(t, localstore.Auto, choice.Backend)
			s, _ = open(t, tt.first)
			holds(t, s, "x")
		})
	}
	dir := t.TempDir()
	open(t, localstore.Config{Dir: dir, Use: localstore.Plain})
	_, choice := open(t, localstore.Config{Dir: dir, Allow: allow(localstore.Plain)})
	assert.Equal(t, localstore.Plain, choice.Backend, "named in one way or the other")
	_, choice = open(t, localstore.Config{Dir: dir, Use: localstore.Memory})
	assert.Equal(t, localstore.Memory, choice.Backend, "a session of its own, beside the one that is kept")
	require.NoError(t, os.Remove(ledger(dir)))
	_, choice = open(t, localstore.Config{Dir: dir, Key: key})
	assert.Equal(t, localstore.Sealed, choice.Backend, "the way to move")
}

// Guards the lock in open, and the second reading under it.
func TestTwoThatChooseAtOnceChooseTheSame(t *testing.T) {
	noKeyring(t)
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Dir(ledger(dir)), 0o700))
	held, err := new(filelock.Locks).TryLock(ledger(dir) + ".lock")
	require.NoError(t, err)
	var both sync.WaitGroup
	errs := make([]error, 2)
	for i, c := range []localstore.Config{{Use: localstore.Plain}, {Key: key}} {
		c.Dir = dir
		both.Go(func() { _, _, errs[i] = localstore.Open(t.Context(), c) })
	}
	// Both have seen that nothing was chosen. Neither the kernel nor the
	// runtime signals what it waits for.
	for end := time.Now().Add(10 * time.Second); waiting() < 2; runtime.Gosched() {
		require.True(t, time.Now().Before(end), "both wait for the lock")
	}
	require.NoError(t, held.Release())
	both.Wait()
	won, lost := errs[0], errs[1]
	if won != nil {
		won, lost = lost, won
	}
	require.NoError(t, won)
	require.ErrorIs(t, lost, tokensource.ErrConfig)
}

// waiting counts the goroutines that wait for a lock in the kernel.
func waiting() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "filelock.wait.func1(")
}

func TestRecordedChoiceThatCannotBeReadIsNeverTakenForNone(t *testing.T) {
	noKeyring(t)
	for name, tt := range map[string]struct{ text, says string }{
		"newer":         {"pawl localstore 2\nvault\n", "update this program"},
		"no such place": {"pawl localstore 1\nvault\n", "does not name a place"},
		"torn":          {"pawl localstore 1\n", "does not name a place"},
		"empty":         {"", "does not name a place"},
		"memory":        {"pawl localstore 1\nmemory\n", "does not name a place"},
		"more":          {"pawl localstore 1\nplain\nsealed\n", "does not name a place"},
		"long":          {strings.Repeat("x", 5000), "does not name a place"},
	} {
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Dir(ledger(dir)), 0o700))
		require.NoError(t, os.WriteFile(ledger(dir), []byte(tt.text), 0o600))
		_, _, err := localstore.Open(t.Context(), localstore.Config{Dir: dir, Key: key, Allow: []localstore.Backend{localstore.Memory}})
		require.ErrorIs(t, err, tokensource.ErrConfig, name)
		require.ErrorContains(t, err, tt.says, name)
	}
	if os.PathSeparator != '/' {
		return
	}
	dir := t.TempDir()
	c := localstore.Config{Dir: dir, Key: key, Allow: []localstore.Backend{localstore.Memory}}
	open(t, c)
	require.NoError(t, os.Chmod(ledger(dir), 0o666))
	_, _, err := localstore.Open(t.Context(), c)
	require.ErrorContains(t, err, "chmod 600 "+ledger(dir))
	require.NoError(t, os.Chmod(ledger(dir), 0o600))
	require.NoError(t, os.Chmod(filepath.Dir(ledger(dir)), 0o755))
	_, _, err = localstore.Open(t.Context(), c)
	require.ErrorContains(t, err, "chmod 700 ", "a directory that is refused may hold a choice")
}

func TestConfigIsCheckedAsAWhole(t *testing.T) {
	_, _, err := localstore.Open(t.Context(), localstore.Config{
		Dir: t.TempDir(), Service: "A b", Use: 99, Allow: []localstore.Backend{localstore.Keyring},
	})
	for _, part := range []string{"Config.Service", "Config.Use is not one", "Config.Allow names keyring"} {
		require.ErrorContains(t, err, part)
	}
	_, _, err = localstore.Open(t.Context(), localstore.Config{Dir: t.TempDir(), Use: localstore.Sealed})
	require.ErrorContains(t, err, "needs Config.Key")
}

func TestNameOfAPlaceIsReadAsItIsWritten(t *testing.T) {
	for b := localstore.Auto; b <= localstore.Memory; b++ {
		back, err := localstore.ParseBackend(b.String())
		require.NoError(t, err)
		assert.Equal(t, b, back)
	}
	b, err := localstore.ParseBackend("")
	require.NoError(t, err)
	assert.Equal(t, localstore.Auto, b)
	_, err = localstore.ParseBackend("vault")
	require.ErrorContains(t, err, "kernel-key")
	assert.Equal(t, "Backend(99)", localstore.Backend(99).String())
}
