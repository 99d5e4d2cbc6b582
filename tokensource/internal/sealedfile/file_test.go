package sealedfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// privateDir returns a directory of this user's alone, as Dir makes one.
func privateDir(t testing.TB) string {
	t.Helper()
	dir, err := sealedfile.Dir(t.TempDir(), "private")
	require.NoError(t, err)
	return dir
}

func TestReplacedFileIsReadableByItsOwnerAloneAndLeavesNoOther(t *testing.T) {
	path := filepath.Join(privateDir(t), "a.sealed")
	k := sealedfile.NewKey()
	require.NoError(t, os.WriteFile(path+".tmp", []byte("what a killed writer left"), 0o644))
	for i := range uint64(3) {
		require.NoError(t, sealedfile.Replace(path, sealed(t, k, sealedfile.Record{Counter: i})))
		s, err := sealedfile.Read(path)
		require.NoError(t, err)
		assert.Equal(t, i, s.Counter)
	}
	assert.NoFileExists(t, path+".tmp")
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	require.NoError(t, sealedfile.Remove(path))
	require.NoError(t, sealedfile.Remove(path))
	_, err = sealedfile.Read(path)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestFileThatIsTooLongIsDamagedAndNotReadToItsEnd(t *testing.T) {
	path := filepath.Join(privateDir(t), "a.sealed")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 1<<40)) // a hole: it takes no room
	_, err := sealedfile.Read(path)
	require.ErrorIs(t, err, sealedfile.ErrDamaged)
}

// Guards hidden: a home that is not mounted holds sessions all the same.
func TestDirectoryThatIsGoneDoesNotPassForAMissingRecord(t *testing.T) {
	dir := privateDir(t)
	require.NoError(t, os.RemoveAll(dir))
	_, err := sealedfile.Read(filepath.Join(dir, "a.sealed"))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, dir)
	require.Error(t, sealedfile.Replace(filepath.Join(dir, "a.sealed"), nil))
	_, err = sealedfile.Lock(t.Context(), new(filelock.Locks), filepath.Join(dir, "a.lock"))
	require.NotErrorIs(t, err, os.ErrNotExist)
	require.Error(t, err)
}

// Guards litter, and the lock in Sweep.
func TestSweepRemovesOldTemporaryFilesOfOursUnderTheLockAndNothingElse(t *testing.T) {
	dir := privateDir(t)
	old := time.Now().Add(-2 * time.Hour)
	put := func(name string, at time.Time) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
		require.NoError(t, os.Chtimes(path, at, at))
		return path
	}
	litter, young := put("a.sealed.tmp", old), put("b.sealed.tmp", time.Now())
	written, record, foreign := put("c.sealed.tmp", old), put("a.sealed", old), put("notes.tmp", old)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "d.sealed.tmp"), 0o700))
	require.NoError(t, os.Chtimes(filepath.Join(dir, "d.sealed.tmp"), old, old))

	var locks filelock.Locks
	lockOf := func(stem string) string { return filepath.Join(dir, stem+".swap") }
	writer, err := new(filelock.Locks).TryLock(lockOf("c"))
	require.NoError(t, err)
	sealedfile.Sweep(dir, ".sealed", &locks, lockOf)
	assert.NoFileExists(t, litter)
	for _, path := range []string{young, written, record, foreign} {
		assert.FileExists(t, path)
	}
	assert.DirExists(t, filepath.Join(dir, "d.sealed.tmp"))
	require.NoError(t, writer.Release())
	sealedfile.Sweep(dir, ".sealed", &locks, lockOf)
	assert.NoFileExists(t, written)
}

// Guards the loop of patiently, which Windows alone needs.
func TestReplacingIsTriedForTwoSecondsWhileSomeoneHasTheFileOpen(t *testing.T) {
	open, gone := errors.New("open elsewhere"), errors.New("gone")
	busy := func(err error) bool { return errors.Is(err, open) }
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		err := sealedfile.Patiently(func() error {
			if tries++; tries < 10 {
				return open
			}
			return nil
		}, busy)
		require.NoError(t, err)
		assert.Equal(t, 10, tries)

		start := time.Now()
		require.ErrorIs(t, sealedfile.Patiently(func() error { return open }, busy), open)
		assert.InDelta(t, 2*time.Second, time.Since(start), float64(10*time.Millisecond))

		start = time.Now()
		require.ErrorIs(t, sealedfile.Patiently(func() error { return gone }, busy), gone)
		assert.Zero(t, time.Since(start), "what will not pass is not waited for")
	})
}
