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
// fs.ErrNotExist; where it cannot be used, ErrDamaged or ErrNewer; where it is
// not a file of this user's alone, ErrUnsafe. It takes no lock and needs none.
func Read(path string) (*Sealed, error) {
	raw, err := ReadBytes(path, maxFile)
	if err != nil {
		return nil, err
	}
	return Parse(raw)
}

// ReadBytes reads a file of any contents under the same conditions. One that is
// longer than limit is damaged.
func ReadBytes(path string, limit int) ([]byte, error) {
	dir, name := filepath.Split(path)
	root, err := openDir(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	f, err := openFile(root, name, path)
	if err != nil {
		return nil, Explain(err, dir)
	}
	raw, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, Explain(fmt.Errorf("sealedfile: reading: %w", err), dir)
	}
	if len(raw) > limit {
		return nil, ErrDamaged
	}
	return raw, nil
}

// openFile opens a plain file of this user's alone, with one name. A second
// name, a hard link, would be a way in for whoever can reach that.
func openFile(root *os.Root, name, path string) (*os.File, error) {
	for {
		named, err := root.Lstat(name)
		if err != nil {
			return nil, err
		}
		if !named.Mode().IsRegular() {
			return nil, refuse(path, "is no regular file", "remove it")
		}
		f, err := root.OpenFile(name, os.O_RDONLY|openNow, 0)
		if err != nil {
			return nil, err
		}
		opened, err := f.Stat()
		switch {
		case err != nil:
		case !os.SameFile(named, opened): // a writer has just replaced it
			_ = f.Close()
			continue
		case names(opened) > 1:
			err = refuse(path, "has a second name (a hard link)", "remove the other name: find it with find -samefile "+path)
		default:
			err = owned(path, opened, 0o600)
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		return f, nil
	}
}

// tempExt ends the name under which a file is written before it gets its own.
const tempExt = ".tmp"

// Replace makes raw the contents of the file at path, in such a way that a
// crash of the process or of the machine leaves the old contents or the new
// ones, and that a nil error means the new ones. The caller holds a lock that
// excludes every other writer of this path.
//
// On macOS too: Go's Sync asks for F_FULLFSYNC there.
func Replace(path string, raw []byte) error {
	dir, name := filepath.Split(path)
	root, err := openDir(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return Explain(replace(root, name, raw), dir)
}

func replace(root *os.Root, name string, raw []byte) error {
	// The lock makes one temporary name enough, so no litter gathers.
	temp := name + tempExt
	if err := writeSynced(root, temp, raw); err != nil {
		_ = root.Remove(temp) // give the room back on a full disk
		return fmt.Errorf("sealedfile: writing: %w", err)
	}
	if err := patiently(func() error { return rename(root, temp, name) }, busy); err != nil {
		_ = root.Remove(temp)
		return fmt.Errorf("sealedfile: replacing: %w", err)
	}
	if err := syncDir(root); err != nil {
		return fmt.Errorf("sealedfile: syncing the directory: %w", err)
	}
	return nil
}

// Remove removes the file at path, if it is there.
func Remove(path string) error {
	dir, name := filepath.Split(path)
	root, err := openDir(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Explain(fmt.Errorf("sealedfile: removing: %w", err), dir)
	}
	return nil
}

// writeSynced writes a file that was not there: what a killed writer has left
// goes first, and a link that someone has put there with it.
func writeSynced(root *os.Root, name string, raw []byte) error {
	const how = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := root.OpenFile(name, how, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if err := root.Remove(name); err != nil {
			return err
		}
		f, err = root.OpenFile(name, how, 0o600)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
