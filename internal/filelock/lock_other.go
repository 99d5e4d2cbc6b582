//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package filelock

import "os"

func lockFile(*os.File, bool) error { return ErrUnsupported }

func unlockFile(*os.File) error { return nil }
