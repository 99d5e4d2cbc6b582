package fleet_test

import "syscall"

// dieWithParent has the kernel kill a process whose parent died.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
