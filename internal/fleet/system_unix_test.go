//go:build unix

package fleet_test

import "syscall"

// become gives up the rights of whoever runs the test: root may write anywhere.
func (j job) become() error {
	if j.User == 0 {
		return nil
	}
	if err := syscall.Setgid(j.User); err != nil {
		return err
	}
	return syscall.Setuid(j.User)
}
