//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package filelock_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
)

// Guards openPlainly and current: a lock that is met by another path would keep
// two sessions waiting for each other, and what is no file cannot hold a mark.
func TestWhatIsNoPlainFileWithOneNameIsNoLockFile(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a link":                    func(path string) error { return os.Symlink("other", path) },
		"a link that leads nowhere": func(path string) error { return os.Symlink("nothing", path) },
		"a second name":             func(path string) error { return os.Link(filepath.Join(filepath.Dir(path), "other"), path) },
		"a pipe":                    func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory":               func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			other, path := filepath.Join(dir, "other"), filepath.Join(dir, "a.lock")
			require.NoError(t, os.WriteFile(other, nil, 0o600))
			require.NoError(t, put(path))
			var locks filelock.Locks
			_, err := locks.TryLock(path)
			require.ErrorIs(t, err, filelock.ErrUnsafe)
			_, err = locks.Lock(t.Context(), path)
			require.ErrorIs(t, err, filelock.ErrUnsafe)
			assert.ErrorContains(t, err, path)
			assert.NoFileExists(t, filepath.Join(dir, "nothing"))
			assert.Zero(t, filelock.Paths(&locks))
		})
	}
}

// Guards the check before the wait: who waits for a stranger's lock may wait
// for ever.
func TestALockFileWithASecondNameIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	other, path := filepath.Join(dir, "other.lock"), filepath.Join(dir, "a.lock")
	held, err := new(filelock.Locks).TryLock(other)
	require.NoError(t, err)
	require.NoError(t, os.Link(other, path))
	_, err = new(filelock.Locks).Lock(t.Context(), path)
	require.ErrorIs(t, err, filelock.ErrUnsafe)
	require.NoError(t, held.Release())
}

func TestAFileSystemWithoutLocksIsNamedAsOne(t *testing.T) {
	for _, errno := range []error{syscall.ENOLCK, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		err := filelock.Meaning(errno)
		require.ErrorIs(t, err, filelock.ErrUnsupported)
		require.ErrorIs(t, err, errno)
		assert.ErrorContains(t, err, "local disk")
	}
	require.ErrorIs(t, filelock.Meaning(syscall.EWOULDBLOCK), filelock.ErrHeld)
	require.NotErrorIs(t, filelock.Meaning(syscall.EIO), filelock.ErrUnsupported)
}

// Guards the look at the context in acquire: a waiter that nobody waits for any
// more makes no file in a directory that was removed meanwhile, or is about to.
func TestAWaitGivenUpMakesNoFileAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	held, err := new(filelock.Locks).TryLock(path)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var locks filelock.Locks
	left := make(chan error, 1)
	go func() { _, err := locks.Lock(ctx, path); left <- err }()
	eventually(t, "the wait reaches the kernel", func() bool { return waiting() == 1 })
	cancel()
	require.ErrorIs(t, <-left, context.Canceled)
	require.NoError(t, os.Remove(path))
	require.NoError(t, held.Release())
	eventually(t, "the waiter is gone", func() bool { return waiting() == 0 })
	assert.NoFileExists(t, path)
}
