package fleet_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// mountsVar says that this process has a mount namespace of its own.
const mountsVar = "PAWL_FLEET_MOUNTS"

// inMountsOfItsOwn runs the test that calls it again where it may mount what it
// wants: whatever becomes of it, its disks go with its processes. It returns
// true there, and false outside, when all is done.
func inMountsOfItsOwn(t *testing.T) bool {
	t.Helper()
	if os.Getenv(mountsVar) != "" {
		return true
	}
	if os.Getuid() != 0 {
		needRoot(t)
	}
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mountsVar+"=1")
	// Unshare makes what it has private, too: nothing is mounted outside.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return false
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getenv("PAWL_REQUIRE_SERVICES") == "1" {
		t.Fatal("PAWL_REQUIRE_SERVICES=1, and only root can mount a disk or become another user")
	}
	t.Skip("only root can mount a disk or become another user")
}

// smallDisk moves the job's directory to a disk of so few pages that one can
// count them.
func smallDisk(t *testing.T, j job) job {
	t.Helper()
	require.NoError(t, syscall.Mount("pawl", j.Dir, "tmpfs", 0, "size=64k,mode=700"))
	t.Cleanup(func() { _ = syscall.Unmount(j.Dir, syscall.MNT_DETACH) })
	return j
}

func remount(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	require.NoError(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, ""))
}

// fill leaves not a page free, and returns what frees them.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	var fillers []string
	for {
		path := filepath.Join(dir, fmt.Sprintf("filler-%d", len(fillers)))
		err := os.WriteFile(path, make([]byte, 4096), 0o600)
		fillers = append(fillers, path)
		if err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			break
		}
	}
	return func() {
		for _, path := range fillers {
			assert.NoError(t, os.Remove(path))
		}
	}
}

// Guards rule 6: the mark is a real write. A disk that was full before it, or
// read-only, shows while the old refresh token is still good, and nothing leaves
// this machine. The keyring needs no room on this disk.
func TestADiskThatTakesNothingShowsBeforeTheRefreshTokenLeaves(t *testing.T) {
	if !inMountsOfItsOwn(t) {
		return
	}
	troubles := []struct {
		name, text string
		begin      func(t *testing.T, j job) (end func())
	}{
		{"full", "no space left", func(t *testing.T, j job) func() { return fill(t, j.Dir) }},
		{"read-only", "read-only file system", func(t *testing.T, j job) func() {
			remount(t, j.Dir, syscall.MS_RDONLY)
			return func() { remount(t, j.Dir, 0) }
		}},
	}
	forEachStore(t, func(t *testing.T, j job) {
		for _, trouble := range troubles {
			t.Run(trouble.name, func(t *testing.T) {
				srv := authtest.New(t)
				j := smallDisk(t, newJob(t, j.Store))
				j.Deed, j.Server = "once", srv.URL()
				c := logIn(t, srv, j, 0, time.Hour)
				end := trouble.begin(t, j)
				m := start(t, j)
				assert.EqualValues(t, 1, m.await(t, "has").Generation)
				if j.Store != "keyring" || trouble.name == "read-only" {
					told := m.await(t, "trouble")
					assert.Contains(t, told.Err, "the store failed")
					assert.Contains(t, told.Err, trouble.text)
					assert.Zero(t, srv.Stats().RefreshRequests, "nothing left")
				} else {
					m.await(t, "renewed")
				}
				end()
				m.await(t, "renewed")
				require.NoError(t, m.finish())
				stillGood(t, c)
				assert.Equal(t, 1, srv.MaxRedemptions())
			})
		}
	})
}

// Guards rule 11 with a real disk: it fills up between the mark and the save,
// or somebody takes the right to write away. The new tokens are kept and
// served, and saved when there is room.
func TestADiskThatFillsUpBehindTheMarkLosesNothing(t *testing.T) {
	if !inMountsOfItsOwn(t) {
		return
	}
	for _, store := range []string{"sealed", "file", "plain"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			srv := authtest.New(t)
			j := smallDisk(t, newJob(t, store))
			j.Deed, j.Server = "unsaved", srv.URL()
			c := logIn(t, srv, j, 0, time.Hour)
			gate := srv.Gate(authtest.Refresh, authtest.AfterCommit)
			m := start(t, j)
			require.NoError(t, gate.Wait(t.Context(), 1))
			empty := fill(t, j.Dir)
			gate.ReleaseAll()
			keepsWhatItHas(t, m, "no space left", empty)
			stillGood(t, c)
			assert.Equal(t, 1, srv.MaxRedemptions())
			assert.Zero(t, srv.Stats().FamiliesRevoked)
		})
	}
}

// keepsWhatItHas follows a process that cannot save, until the trouble ends.
func keepsWhatItHas(t *testing.T, m *member, text string, end func()) {
	t.Helper()
	assert.EqualValues(t, 2, m.await(t, "served").Generation)
	assert.Contains(t, m.await(t, "refused").Err, "not saved yet")
	assert.Contains(t, m.await(t, "hook").Err, text)
	assert.Contains(t, m.await(t, "unsaved").Err, "not saved yet")
	end()
	require.NoError(t, m.stop(), "Close waits for the save")
}

// nobody is a user without any right.
const nobody = 65534

// asNobody has the job's directory belong to nobody, and a session in it.
func asNobody(t *testing.T, srv *authtest.Server, j job) job {
	t.Helper()
	if os.Getuid() != 0 {
		needRoot(t)
	}
	require.NoError(t, os.Chmod(filepath.Dir(j.Dir), 0o711))
	require.NoError(t, os.Chown(j.Dir, nobody, nobody))
	j.User, j.Server, j.Deed = nobody, srv.URL(), "adopt"
	tokens := srv.Login("alice", "laptop")
	j.Access, j.Refresh = tokens.AccessToken, tokens.RefreshToken
	require.NoError(t, start(t, j).finish())
	return j
}

// may sets what the user may do in the store's own directory.
func may(t *testing.T, j job, mode os.FileMode) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(j.Dir, "*"))
	require.NoError(t, err)
	require.Len(t, dirs, 1)
	require.NoError(t, os.Chmod(dirs[0], mode))
}

// Guards rules 6 and 11 where a user may not write: root may everywhere.
func TestADirectoryThatTheUserMayNotWriteToCostsNoSession(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"file", "plain"} {
		t.Run(store+" before the mark", func(t *testing.T) {
			t.Parallel()
			srv := authtest.New(t)
			j := asNobody(t, srv, newJob(t, store))
			may(t, j, 0o500)
			j.Deed = "once"
			m := start(t, j)
			assert.EqualValues(t, 1, m.await(t, "has").Generation)
			assert.Contains(t, m.await(t, "trouble").Err, "permission denied")
			assert.Zero(t, srv.Stats().RefreshRequests, "nothing left")
			may(t, j, 0o700)
			m.await(t, "renewed")
			require.NoError(t, m.finish())
		})
		t.Run(store+" behind the mark", func(t *testing.T) {
			t.Parallel()
			srv := authtest.New(t)
			j := asNobody(t, srv, newJob(t, store))
			j.Deed = "unsaved"
			gate := srv.Gate(authtest.Refresh, authtest.AfterCommit)
			m := start(t, j)
			require.NoError(t, gate.Wait(t.Context(), 1))
			may(t, j, 0o500)
			gate.ReleaseAll()
			keepsWhatItHas(t, m, "permission denied", func() { may(t, j, 0o700) })
			j.Deed = "once"
			require.NoError(t, start(t, j).finish())
			assert.Equal(t, 1, srv.MaxRedemptions())
			assert.Zero(t, srv.Stats().FamiliesRevoked)
		})
	}
}
