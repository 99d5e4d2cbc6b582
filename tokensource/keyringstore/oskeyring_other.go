//go:build !((dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd)

package keyringstore

import (
	"context"
	"fmt"

	"github.com/zalando/go-keyring"
)

// preflight has nothing to ask: the Keychain and the Credential Manager start
// nothing, and what they refuse they refuse at once.
func preflight(context.Context) error { return nil }

// readAll: these keyrings have one entry under a name.
func readAll(service, user string) ([]string, error) {
	text, err := keyring.Get(service, user)
	if err != nil {
		return nil, err
	}
	return []string{text}, nil
}

func watched(call func() error) (prompted bool, err error) { return false, call() }

func causeOf(err error) error { return fmt.Errorf("%w: %w", ErrFailed, err) }
