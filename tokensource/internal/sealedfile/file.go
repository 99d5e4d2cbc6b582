package sealedfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Read reads the file at path. Where there is none the error matches
// fs.ErrNotExist; where it cannot be used, ErrDamaged or ErrNewer. It takes no
// lock and needs none.
func Read(path string) (*Sealed, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("sealedfile: reading: %w", err)
	}
	return Parse(raw)
}

// Replace makes raw the contents of the file at path, in such a way that a
// crash of the process or of the machine leaves the old contents or the new
// ones, and that a nil error means the new ones. The caller holds a lock that
// excludes every other writer of this path.
func Replace(path string, raw []byte) error {
	// The lock makes one temporary name enough. What a killed writer left
	// under it is overwritten, so no litter gathers.
	temp := path + ".tmp"
	if err := writeSynced(temp, raw); err != nil {
		_ = os.Remove(temp) // give the room back on a full disk
		return fmt.Errorf("sealedfile: writing: %w", err)
	}
	if err := rename(temp, path); err != nil {
		return fmt.Errorf("sealedfile: replacing: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("sealedfile: syncing the directory: %w", err)
	}
	return nil
}

// Remove removes the file at path, if it is there.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sealedfile: removing: %w", err)
	}
	return nil
}

func writeSynced(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
