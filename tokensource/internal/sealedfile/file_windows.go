package sealedfile

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// rename goes by the paths, as MoveFileEx does: what Root.Rename asks of the
// kernel is not known to every file system.
func rename(root *os.Root, from, to string) error {
	return os.Rename(filepath.Join(root.Name(), from), filepath.Join(root.Name(), to))
}

func busy(err error) bool {
	return errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_SHARING_VIOLATION)
}

// syncDir does nothing: Windows denies a directory's handle the flush.
func syncDir(*os.Root) error { return nil }
