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

func owned(path string, info fs.FileInfo) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("sealedfile: %s belongs to user %d, not to user %d: remove it or set Config.Dir",
			path, stat.Uid, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("sealedfile: %s is open to others (mode %#o): chmod 700 it", path, mode)
	}
	return nil
}
