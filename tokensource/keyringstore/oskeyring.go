package keyringstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/zalando/go-keyring"
)

// osKeyring is the keyring of the operating system, by way of go-keyring. It
// is used by the one worker alone.
type osKeyring struct{}

func (osKeyring) check(ctx context.Context) error { return preflight(ctx) }

func (osKeyring) get(service, user string) ([]string, error) {
	if err := acceptable(runtime.GOOS, service, user, ""); err != nil {
		return nil, err
	}
	texts, err := readAll(service, user)
	return texts, classify(err)
}

// set never deletes first: a crash in between would lose the key.
func (osKeyring) set(service, user, secret string) (prompted bool, err error) {
	if err := acceptable(runtime.GOOS, service, user, secret); err != nil {
		return false, err
	}
	prompted, err = watched(func() error { return keyring.Set(service, user, secret) })
	return prompted, classify(err)
}

// remove deletes one copy after the other, because go-keyring deletes but one,
// and looks after each whether it is gone: a prompt that was dismissed looks
// like success, and nobody is asked a second time.
func (k osKeyring) remove(service, user string) error {
	before, err := k.get(service, user)
	for err == nil {
		if err = classify(keyring.Delete(service, user)); err != nil {
			break
		}
		var after []string
		if after, err = k.get(service, user); err == nil && slices.Equal(before, after) {
			return fmt.Errorf("%w: it still has an entry that it deleted", ErrFailed)
		}
		before = after
	}
	if errors.Is(err, errNoEntry) {
		return nil
	}
	return err
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
		return &StateError{State: StateLocked, Err: err}
	}
	return causeOf(err)
}
