package filestore_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// readable returns a copy of this test's program that every user can run.
func readable(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	path := filepath.Join(openDir(t), "program")
	out, err := exec.Command("cp", self, path).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.Chmod(path, 0o755))
	return path
}

// nobodysDir returns a directory for temporary files of the user without
// privilege.
func nobodysDir(t *testing.T) string {
	t.Helper()
	dir := openDir(t)
	if os.Getuid() == 0 {
		require.NoError(t, os.Chown(dir, 65534, 65534))
	}
	return dir
}

// openDir makes a directory that every user can enter. That of t.TempDir may
// lie below one that only its owner can.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pawl")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// inNewSession runs f on a thread with a session keyring of its own, as that of
// a service. The thread ends with f.
func inNewSession(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		_, err := unix.KeyctlJoinSessionKeyring("pawl-" + rand.Text())
		if err == nil {
			f()
		}
		done <- err
	}()
	require.NoError(t, <-done)
}
