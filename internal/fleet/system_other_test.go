//go:build !linux

package fleet_test

import "syscall"

// dieWithParent: elsewhere a process that was left behind ends by its deadline.
func dieWithParent() *syscall.SysProcAttr { return nil }
