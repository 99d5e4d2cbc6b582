package filestore_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
	"github.com/seed-9a12f4e2/pawl/tokensource/storetest"
)

// openKernel opens a store with a key in the kernel, which goes with the test.
// PAWL_REQUIRE_SERVICES makes a kernel without a keyring a failure.
func openKernel(t *testing.T, dir string) *filestore.Store {
	t.Helper()
	s, err := filestore.New(filestore.Config{Dir: dir, KernelKey: true})
	if errors.Is(err, filestore.ErrNoKernelKeyring) && os.Getenv("PAWL_REQUIRE_SERVICES") != "1" {
		t.Skip("the kernel's keyring is forbidden here: " + err.Error())
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = filestore.RemoveKernelKey(s) })
	return s
}

// The records are those of the sealed store: what differs is that the first
// save makes the key, in whichever process.
func TestTheFileStoreWithAKeyInTheKernelKeepsTheContract(t *testing.T) {
	t.Setenv("PAWL_STORETEST_KILLS", "5")
	openKernel(t, t.TempDir()) // says whether the kernel has one
	var opened []*filestore.Store
	storetest.Run(t, func(dir string) (tokensource.Store, error) {
		s, err := filestore.New(filestore.Config{Dir: dir, KernelKey: true})
		if err == nil {
			opened = append(opened, s)
		}
		return s, err
	})
	// Not a Cleanup, which the processes of the suite would run as they end.
	for _, s := range opened {
		_ = filestore.RemoveKernelKey(s)
	}
}

func TestKeyInTheKernelIsMadeByTheFirstSwapAndServesEveryProcess(t *testing.T) {
	dir := t.TempDir()
	s := openKernel(t, dir)
	_, _, err := s.Load(t.Context(), key)
	require.ErrorIs(t, err, tokensource.ErrNotFound)
	assert.False(t, filestore.HasKernelKey(s), "a Load makes none")
	require.NoError(t, s.Swap(t.Context(), key, none, one, []byte("a token")))
	raw, err := os.ReadFile(recordPath(dir))
	require.NoError(t, err)
	assert.NotContains(t, string(raw), "a token")

	v, data, err := openKernel(t, dir).Load(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, one, v)
	assert.Equal(t, "a token", string(data))
	_, data, err = openKernel(t, t.TempDir()).Load(t.Context(), key)
	require.ErrorIs(t, err, tokensource.ErrNotFound)
	assert.Empty(t, data)
}

// A reboot, as far as the store can tell.
func TestKeyThatIsGoneFromTheKernelIsLostAndTheNextLoginMakesAnother(t *testing.T) {
	s := openKernel(t, t.TempDir())
	require.NoError(t, s.Swap(t.Context(), key, none, one, []byte("x")))
	require.NoError(t, filestore.RemoveKernelKey(s))
	_, _, err := s.Load(t.Context(), key)
	require.ErrorIs(t, err, filestore.ErrNoKey)
	require.ErrorIs(t, err, tokensource.ErrLoginRequired)
	require.NoError(t, s.Swap(t.Context(), key, none, two, []byte("y")))
	v, _, err := s.Load(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, two, v)
}

// Guards the lock in have, and the second look under it: a key that is made
// twice takes away what was sealed under the first.
func TestKeyInTheKernelIsMadeOnceByTwoAtOnce(t *testing.T) {
	dir := t.TempDir()
	stores := []*filestore.Store{openKernel(t, dir), openKernel(t, dir)}
	sessions := []tokensource.Key{key, tokensource.NewKey("https://as.example", "test", "b")}
	held, err := new(filelock.Locks).TryLock(filepath.Join(dir, "file-pawl", "kernel.lock"))
	require.NoError(t, err)
	var both sync.WaitGroup
	for i, s := range stores {
		both.Go(func() { assert.NoError(t, s.Swap(t.Context(), sessions[i], none, one, []byte("x"))) })
	}
	// Both have seen that there is no key. Neither the kernel nor the runtime
	// signals what it waits for.
	for end := time.Now().Add(10 * time.Second); waiting() < 2; runtime.Gosched() {
		require.True(t, time.Now().Before(end), "both wait for the lock")
	}
	require.NoError(t, held.Release())
	both.Wait()
	for i, s := range stores {
		_, _, err := s.Load(t.Context(), sessions[i])
		require.NoError(t, err, "the record of store %d", i)
	}
}

// waiting counts the goroutines that wait for a lock in the kernel.
func waiting() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "filelock.wait.func1(")
}

// Guards inUserKeyring: the session of a service or of a cron job has a keyring
// of its own, which does not lead to the user's.
func TestKeyInTheKernelIsReadInAnotherSessionOfTheUserWithoutPrivilege(t *testing.T) {
	if os.Getenv("PAWL_FILESTORE_SESSION") == "" {
		openKernel(t, t.TempDir()) // or skip
		asNobody(t, "PAWL_FILESTORE_SESSION=1")
		return
	}
	dir := t.TempDir()
	s := openKernel(t, dir)
	require.NoError(t, s.Swap(t.Context(), key, none, one, []byte("x")))
	inNewSession(t, func() {
		_, _, err := s.Load(t.Context(), key)
		assert.NoError(t, err)
	})
}

func TestKeyOfSomeoneElseInTheKernelIsRefused(t *testing.T) {
	s := openKernel(t, t.TempDir())
	for _, raw := range [][]byte{[]byte("short"), make([]byte, 32), bytes.Repeat([]byte{1}, 33)} {
		require.NoError(t, filestore.PutKernelKey(s, raw))
		_, _, err := s.Load(t.Context(), key)
		require.ErrorIs(t, err, tokensource.ErrConfig)
		require.ErrorIs(t, s.Swap(t.Context(), key, none, one, nil), tokensource.ErrConfig)
	}
}

func TestKernelThatForbidsTheCallsIsNamedWithWhatHelps(t *testing.T) {
	for _, errno := range []error{unix.EPERM, unix.ENOSYS, unix.EACCES} {
		err := filestore.KernelError(errno)
		require.ErrorIs(t, err, filestore.ErrNoKernelKeyring)
		require.ErrorIs(t, err, tokensource.ErrTryAgain)
		assert.ErrorContains(t, err, "seccomp")
	}
	assert.ErrorContains(t, filestore.KernelError(unix.EDQUOT), "/proc/key-users")
}

// asNobody runs the test that calls it again, as a user without any privilege.
func asNobody(t *testing.T, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), readable(t), "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), env...)
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	cmd.Env = append(cmd.Env, "TMPDIR="+nobodysDir(t), "GORACE=atexit_sleep_ms=0")
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	require.NotContains(t, strings.ToLower(string(out)), "skip")
}
