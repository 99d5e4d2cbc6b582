package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
)

// onSmallDisk runs the test that calls it again in a mount namespace of its own,
// where it returns the path of a disk of 64 KiB in memory; outside it returns
// false. Whatever becomes of the test, the disk goes with its process. Where no
// such namespace can be had, PAWL_REQUIRE_SERVICES decides.
func onSmallDisk(t *testing.T) (dir string, inside bool) {
	t.Helper()
	if os.Getenv("PAWL_FILESTORE_MOUNTS") == "1" {
		require.NoError(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
		dir = t.TempDir()
		require.NoError(t, syscall.Mount("pawl", dir, "tmpfs", 0, "size=64k,mode=700"))
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		return dir, true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "PAWL_FILESTORE_MOUNTS=1", "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) && os.Getenv("PAWL_REQUIRE_SERVICES") != "1" {
		t.Skip("no mount namespace here: " + err.Error())
	}
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return "", false
}

// fill writes files of a page until the disk is full.
func fill(t *testing.T, dir string) (pages []string) {
	t.Helper()
	for {
		path := filepath.Join(dir, fmt.Sprintf("filler-%d", len(pages)))
		if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			require.NoError(t, os.Remove(path))
			return pages
		}
		pages = append(pages, path)
	}
}

// rotor is a server that answers every refresh.
type rotor struct{ calls atomic.Int32 }

func (r *rotor) Refresh(context.Context, tokensource.Grant) (tokensource.Grant, error) {
	return grant(int(r.calls.Add(1)), time.Now()), nil
}

// grant is a token set that was issued then, for an hour.
func grant(n int, then time.Time) tokensource.Grant {
	return tokensource.Grant{
		AccessToken: tokensource.NewSecret(fmt.Sprintf("access-%d", n)), RefreshToken: tokensource.NewSecret(fmt.Sprintf("refresh-%d", n)),
		IssuedAt: then, Expiry: then.Add(time.Hour),
	}
}

// Guards the whole pages of a record: the spend mark is the write that finds the
// disk full, while the refresh token is still good, and the room that it took is
// enough for the token that comes.
func TestFullDiskIsFoundOutBeforeTheRefreshTokenLeaves(t *testing.T) {
	dir, inside := onSmallDisk(t)
	if !inside {
		return
	}
	server := &rotor{}
	store := open(t, dir, fixed(1))
	session, err := tokensource.NewSession(tokensource.Config{Key: key, Store: store, Refresher: server})
	require.NoError(t, err)
	defer func() { assert.NoError(t, session.Close(context.WithoutCancel(t.Context()))) }()
	require.NoError(t, session.Adopt(t.Context(), grant(0, time.Now().Add(-2*time.Hour))))
	before, _, err := store.Load(t.Context(), key)
	require.NoError(t, err)

	fillers := fill(t, dir)
	_, err = session.Token(t.Context())
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorIs(t, err, tokensource.ErrTryAgain)
	var e *tokensource.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, tokensource.ReasonStore, e.Reason)
	assert.Contains(t, e.Advice, "free some room")
	assert.Zero(t, server.calls.Load(), "the refresh token stayed here")
	after, _, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, before, after)
	assert.NoFileExists(t, recordPath(dir)+".tmp", "a failed write takes no room")

	require.NoError(t, os.Remove(fillers[0])) // the one page that a mark needs
	require.Eventually(t, func() bool {
		token, err := session.Token(t.Context())
		return err == nil && token.AccessToken().Reveal() == "access-1"
	}, 20*time.Second, 10*time.Millisecond)
	assert.EqualValues(t, 1, server.calls.Load())
	again, err := tokensource.NewSession(tokensource.Config{Key: key, Store: store, Refresher: server})
	require.NoError(t, err)
	token, err := again.Token(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "access-1", token.AccessToken().Reveal(), "the new tokens are on the full disk")
	require.NoError(t, again.Close(t.Context()))
}

func TestReadOnlyDiskIsNamedAndStillReadFrom(t *testing.T) {
	dir, inside := onSmallDisk(t)
	if !inside {
		return
	}
	s := open(t, dir, fixed(1))
	require.NoError(t, s.Swap(t.Context(), key, none, one, []byte("x")))
	require.NoError(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	refused(t, s, syscall.EROFS, "for writing")
	_, _, err := open(t, dir, fixed(1)).Load(t.Context(), key)
	require.NoError(t, err)
	_, err = filestore.New(filestore.Config{Dir: filepath.Join(dir, "new"), Key: fixed(1)})
	require.ErrorIs(t, err, syscall.EROFS)
	require.ErrorContains(t, err, "Config.Dir")
}

// refused asserts that s can be read from, and neither written to nor locked.
func refused(t *testing.T, s *filestore.Store, cause error, advice string) {
	t.Helper()
	v, _, err := s.Load(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, one, v)
	other := tokensource.NewKey("https://as.example", "test", "b") // with no lock file yet
	_, lockErr := s.Lock(t.Context(), other)
	for _, err := range []error{s.Swap(t.Context(), key, one, two, nil), s.Swap(t.Context(), other, none, two, nil), lockErr} {
		require.ErrorIs(t, err, cause)
		var e *tokensource.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, tokensource.ReasonStore, e.Reason)
		assert.Contains(t, e.Advice, advice)
	}
}

// As a user without privilege: root may write anywhere.
func TestDirectoryThatThisUserMayNotWriteToIsNamed(t *testing.T) {
	if os.Getenv("PAWL_FILESTORE_DENIED") == "" {
		asNobody(t, "PAWL_FILESTORE_DENIED=1")
		return
	}
	dir := t.TempDir()
	s := open(t, dir, fixed(1))
	require.NoError(t, s.Swap(t.Context(), key, none, one, []byte("x")))
	require.NoError(t, os.Remove(filepath.Join(dir, "file-pawl", key.String()+".swap")))
	require.NoError(t, os.Chmod(filepath.Join(dir, "file-pawl"), 0o500))
	refused(t, s, syscall.EACCES, "let this user")
	require.NoError(t, os.Chmod(filepath.Join(dir, "file-pawl"), 0o700))

	_, err := filestore.New(filestore.Config{Dir: "/usr/lib/pawl-test", Key: fixed(1)})
	require.ErrorIs(t, err, syscall.EACCES)
	require.ErrorContains(t, err, "Config.Dir")
}
