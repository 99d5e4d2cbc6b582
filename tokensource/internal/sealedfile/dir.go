package sealedfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir returns the directory sub of base, which it makes if it is missing, and
// sees to it that nobody else can write there. An empty base is the state
// directory of the user, found in the user database: HOME and the XDG
// variables differ between the shells, services and cron jobs of one user,
// and two directories would mean two locks over one session.
func Dir(base, sub string) (string, error) {
	if base == "" {
		var err error
		if base, err = stateDir(); err != nil {
			return "", fmt.Errorf("sealedfile: finding the state directory (set Config.Dir to choose one): %w", err)
		}
	}
	base, err := filepath.Abs(base) // the program may change its directory
	if err != nil {
		return "", fmt.Errorf("sealedfile: %w", err)
	}
	path := filepath.Join(base, sub)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", fmt.Errorf("sealedfile: making the directory: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "", fmt.Errorf("sealedfile: %w", err)
	}
	return path, private(path, info)
}

// private checks the directory itself and what it is made of; a link could be
// turned to another place between two calls.
func private(path string, info fs.FileInfo) error {
	if !info.IsDir() {
		return fmt.Errorf("sealedfile: %s is no directory", path)
	}
	return owned(path, info)
}
