//go:build unix

package sealedfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

func TestDirIsMadeForItsOwnerAloneAndRefusedOtherwise(t *testing.T) {
	base := t.TempDir()
	path, err := sealedfile.Dir(filepath.Join(base, "a", "b"), "c")
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(base, "a", "b", "c"), path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	_, err = sealedfile.Dir(filepath.Join(base, "a", "b"), "c")
	require.NoError(t, err)

	require.NoError(t, os.Chmod(path, 0o750))
	_, err = sealedfile.Dir(filepath.Join(base, "a", "b"), "c")
	require.ErrorContains(t, err, "chmod 700")

	require.NoError(t, os.Symlink(base, filepath.Join(base, "link")))
	_, err = sealedfile.Dir(base, "link")
	require.ErrorContains(t, err, "is no directory")

	if os.Getuid() == 0 {
		require.NoError(t, os.Mkdir(filepath.Join(base, "theirs"), 0o700))
		require.NoError(t, os.Chown(filepath.Join(base, "theirs"), 12345, 12345))
		_, err = sealedfile.Dir(base, "theirs")
		require.ErrorContains(t, err, "belongs to user 12345")
	}
}

// Guards stateDir against HOME and XDG_STATE_HOME: two shells of one user must
// meet in one directory.
func TestStateDirectoryDoesNotDependOnTheEnvironment(t *testing.T) {
	t.Setenv("HOME", "/nonexistent-home")
	t.Setenv("XDG_STATE_HOME", "/nonexistent-state")
	path, err := sealedfile.StateDir()
	require.NoError(t, err)
	assert.NotContains(t, path, "nonexistent")
	assert.Equal(t, "pawl", filepath.Base(path))
}
