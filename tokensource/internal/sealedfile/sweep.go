package sealedfile

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
)

// litterAge is how old a temporary file is before it counts as litter. A
// writer needs milliseconds.
const litterAge = time.Hour

// Sweep removes the temporary files that killed writers have left in dir: old
// ones of files with the given ending, each under the lock of its writers, which
// lockOf names for the name of the file without its endings. It leaves what it
// cannot remove, or cannot lock at once.
func Sweep(dir, ext string, locks *filelock.Locks, lockOf func(stem string) string) {
	root, err := openDir(dir)
	if err != nil {
		return
	}
	defer func() { _ = root.Close() }()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		stem, ours := strings.CutSuffix(e.Name(), ext+tempExt)
		if !ours || !litter(e) {
			continue
		}
		lock, err := locks.TryLock(lockOf(stem))
		if err != nil {
			continue
		}
		_ = root.Remove(filepath.Base(e.Name()))
		_ = lock.Release()
	}
}

func litter(e os.DirEntry) bool {
	info, err := e.Info()
	return err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > litterAge
}
