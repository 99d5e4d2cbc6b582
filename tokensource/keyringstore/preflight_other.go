//go:build !((dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd)

package keyringstore

import "context"

// preflight has nothing to ask: the Keychain and the Credential Manager start
// nothing, and what they refuse they refuse at once.
func preflight(context.Context, bool) error { return nil }

func causeOf(error) error { return ErrFailed }
