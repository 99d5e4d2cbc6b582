//go:build unix

package sealedfile_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

func advice(t *testing.T, err error) string {
	t.Helper()
	var e *tokensource.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, tokensource.ReasonStore, e.Reason)
	return e.Advice
}

// Guards openDir in Read, Replace and Remove: what was right when the program
// started is looked at again.
func TestDirectoryThatOpensToOthersIsRefusedAtEachUse(t *testing.T) {
	dir := privateDir(t)
	path := filepath.Join(dir, "a.sealed")
	raw := sealed(t, sealedfile.NewKey(), sealedfile.Record{})
	require.NoError(t, sealedfile.Replace(path, raw))
	uses := map[string]func() error{
		"read":    func() error { _, err := sealedfile.Read(path); return err },
		"replace": func() error { return sealedfile.Replace(path, raw) },
		"remove":  func() error { return sealedfile.Remove(path) },
		"lock": func() error {
			_, err := sealedfile.Lock(t.Context(), new(filelock.Locks), filepath.Join(dir, "a.lock"))
			return err
		},
	}
	refused := func(why, help string) {
		t.Helper()
		for name, use := range uses {
			err := use()
			require.ErrorIs(t, err, sealedfile.ErrUnsafe, name)
			require.ErrorContains(t, err, why, name)
			assert.Contains(t, advice(t, err), help, name)
		}
	}
	for _, mode := range []os.FileMode{0o701, 0o710, 0o704, 0o740, 0o777, 0o702} {
		require.NoError(t, os.Chmod(dir, mode))
		refused("open to others", "chmod 700 "+dir)
	}
	require.NoError(t, os.Chmod(dir, 0o700))
	if os.Getuid() == 0 {
		require.NoError(t, os.Chown(dir, 12345, -1))
		refused("belongs to user 12345", "chown")
		require.NoError(t, os.Chown(dir, 0, -1))
	}
	require.NoError(t, os.Rename(dir, dir+"2"))
	require.NoError(t, os.Symlink(dir+"2", dir))
	refused("no directory", "remove it")
	raw2, err := os.ReadFile(filepath.Join(dir+"2", "a.sealed"))
	require.NoError(t, err)
	assert.Equal(t, raw, raw2)
}

// Guards openFile: each of these could show the record to someone else, let
// someone else put one there, or never end.
func TestFileThatIsNotThisUsersAloneIsNotRead(t *testing.T) {
	dir := privateDir(t)
	path, other := filepath.Join(dir, "a.sealed"), filepath.Join(dir, "other")
	raw := sealed(t, sealedfile.NewKey(), sealedfile.Record{})
	for name, tt := range map[string]struct {
		spoil     func() error
		why, help string
	}{
		"open to the group":  {func() error { return os.Chmod(path, 0o640) }, "open to others (mode 0640)", "chmod 600 " + path},
		"writable by others": {func() error { return os.Chmod(path, 0o602) }, "open to others (mode 0602)", "chmod 600 " + path},
		"a link": {func() error {
			return first(os.Rename(path, other), os.Symlink("other", path))
		}, "no regular file", "remove it"},
		"a link that leads nowhere": {func() error {
			return first(os.Remove(path), os.Symlink("nothing", path))
		}, "no regular file", "remove it"},
		"a second name": {func() error { return os.Link(path, other) }, "second name", "-samefile"},
		"a pipe": {func() error {
			return first(os.Remove(path), syscall.Mkfifo(path, 0o600))
		}, "no regular file", "remove it"},
		"a directory": {func() error {
			return first(os.Remove(path), os.Mkdir(path, 0o700))
		}, "no regular file", "remove it"},
		"of another user": {func() error { return os.Chown(path, 12345, -1) }, "belongs to user 12345", "remove it"},
	} {
		if name == "of another user" && os.Getuid() != 0 {
			continue // only root can give a file away
		}
		t.Run(name, func(t *testing.T) {
			require.NoError(t, first(os.RemoveAll(path), os.RemoveAll(other)))
			require.NoError(t, sealedfile.Replace(path, raw))
			require.NoError(t, tt.spoil())
			_, err := sealedfile.Read(path)
			require.ErrorIs(t, err, sealedfile.ErrUnsafe)
			require.ErrorContains(t, err, tt.why)
			assert.Contains(t, advice(t, err), tt.help)
		})
	}
}

// Guards O_EXCL in writeSynced.
func TestTemporaryFileThatIsALinkIsNotWrittenThrough(t *testing.T) {
	dir := privateDir(t)
	path, victim := filepath.Join(dir, "a.sealed"), filepath.Join(dir, "victim")
	raw := sealed(t, sealedfile.NewKey(), sealedfile.Record{})
	for name, link := range map[string]func(string, string) error{"symbolic": os.Symlink, "hard": os.Link} {
		require.NoError(t, os.WriteFile(victim, []byte("as it was"), 0o600))
		require.NoError(t, link(victim, path+".tmp"))
		require.NoError(t, sealedfile.Replace(path, raw), name)
		text, err := os.ReadFile(victim)
		require.NoError(t, err)
		assert.Equal(t, "as it was", string(text), name)
	}
}

// What this machine's disks cannot be made to say, said for them; the full, the
// read-only and the forbidden are tested for real beside the filestore.
func TestWhatAFileSystemComplainsOfComesWithAdvice(t *testing.T) {
	for err, help := range map[error]string{
		syscall.ENOSPC: "free some room on the disk of /x", syscall.EDQUOT: "quota", syscall.EROFS: "for writing",
		syscall.EACCES: "let this user", syscall.EPERM: "let this user",
		syscall.ENOLCK: "local disk", filelock.ErrUnsupported: "local disk", syscall.ESTALE: "mount the network file system of /x again",
		filelock.ErrUnsafe: "instead of the lock file",
	} {
		explained := sealedfile.Explain(&os.PathError{Op: "write", Path: "/x/y", Err: err}, "/x")
		assert.Contains(t, advice(t, explained), help)
		require.ErrorIs(t, explained, err)
		require.ErrorIs(t, explained, tokensource.ErrTryAgain)
		assert.Equal(t, explained, sealedfile.Explain(explained, "/y"))
	}
	for _, err := range []error{nil, os.ErrNotExist, t.Context().Err(), syscall.EIO} {
		assert.Equal(t, err, sealedfile.Explain(err, "/x"))
	}
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
