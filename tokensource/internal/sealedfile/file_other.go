//go:build !windows

package sealedfile

import (
	"errors"
	"os"
)

func rename(root *os.Root, from, to string) error { return root.Rename(from, to) }

func busy(error) bool { return false }

// syncDir makes a rename durable.
func syncDir(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
