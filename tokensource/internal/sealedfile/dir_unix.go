//go:build unix

package sealedfile

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

func stateDir() (string, error) {
	u, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(u.HomeDir) {
		return "", fmt.Errorf("the user database has no home directory for user %s", u.Uid)
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(u.HomeDir, "Library", "Application Support", "pawl"), nil
	}
	return filepath.Join(u.HomeDir, ".local", "state", "pawl"), nil
}

// owned sees to it that what is at path belongs to this user, and that nobody
// else can read it, write to it or enter it.
func owned(path string, info fs.FileInfo, want fs.FileMode) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return refuse(path, fmt.Sprintf("belongs to user %d, not to user %d", stat.Uid, os.Geteuid()),
			"remove it, chown it, or set Config.Dir")
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return refuse(path, fmt.Sprintf("is open to others (mode %#o)", mode), fmt.Sprintf("chmod %o %s", want, path))
	}
	return nil
}

// names tells how many names a file has.
func names(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Nlink) // its type differs between systems
	}
	return 1
}

// openNow keeps an open from waiting for the other end of a pipe.
const openNow = syscall.O_NONBLOCK
