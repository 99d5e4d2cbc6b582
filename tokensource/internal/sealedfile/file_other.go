//go:build !windows

package sealedfile

import (
	"errors"
	"os"
)

func rename(from, to string) error { return os.Rename(from, to) }

// syncDir makes a rename durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
