package keyringstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/zalando/go-keyring"
)

// osKeyring is the keyring of the operating system, by way of go-keyring. It
// is used by the one worker alone. It never deletes: to replace an entry by
// deleting and making it would lose the key to a crash in between.
type osKeyring struct{}

func (osKeyring) check(ctx context.Context, mayPrompt bool) error { return preflight(ctx, mayPrompt) }

func (osKeyring) get(service, user string) (string, error) {
	text, err := keyring.Get(service, user)
	return text, classify(err)
}

func (osKeyring) set(service, user, secret string) error {
	return classify(keyring.Set(service, user, secret))
}

// classify names the cause of an error of go-keyring, most of which have no
// type.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return errNoEntry
	case errors.Is(err, keyring.ErrUnsupportedPlatform):
		return ErrUnsupported
	case strings.Contains(err.Error(), "failed to unlock correct collection"):
		// Locked and refused, or dismissed, or without anything to prompt
		// with: go-keyring says the same of all of them.
		return fmt.Errorf("%w (%w)", ErrLocked, err)
	}
	return fmt.Errorf("%w: %w", causeOf(err), err)
}
