package filestore

import (
	"context"

	"golang.org/x/sys/unix"
)

// KernelError names what the kernel says.
var KernelError = kernelError

func kernelName(s *Store) string { return s.keys.(*kernelKey).name }

// HasKernelKey tells whether the kernel has the key of s.
func HasKernelKey(s *Store) bool {
	k, err := s.keys.find(context.Background())
	return err == nil && !k.IsZero()
}

// RemoveKernelKey takes the key of s from the kernel, as a reboot does.
func RemoveKernelKey(s *Store) error {
	return inUserKeyring(func() error {
		id, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", kernelName(s), 0)
		if err == nil {
			_, err = unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_USER_KEYRING, 0, 0)
		}
		return err
	})
}

// PutKernelKey puts a key of someone else where that of s is.
func PutKernelKey(s *Store, raw []byte) error {
	return inUserKeyring(func() error {
		_, err := unix.AddKey("user", kernelName(s), raw, unix.KEY_SPEC_USER_KEYRING)
		return err
	})
}
