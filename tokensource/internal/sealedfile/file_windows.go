package sealedfile

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// rename tries for up to two seconds: Windows refuses to replace a file that a
// reader, or a virus scanner, has open just now.
func rename(from, to string) error {
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := os.Rename(from, to)
		busy := errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_SHARING_VIOLATION)
		if !busy || time.Now().After(end) {
			return err
		}
	}
}

// syncDir does nothing: Windows denies a directory's handle the flush.
func syncDir(string) error { return nil }
