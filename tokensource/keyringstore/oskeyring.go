package keyringstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/zalando/go-keyring"
)

// osKeyring is the keyring of the operating system, by way of go-keyring. It
// is used by the one worker alone.
type osKeyring struct {
	prompts atomic.Int64 // how many were answered
}

// maxPrompts is how many prompts a process puts up with. Each leaves a channel
// in go-keyring that every later answer is sent to and nobody reads: a hundred
// would leave five thousand goroutines. KeePassXC answers every write by a
// prompt, seen or not.
const maxPrompts = 4

func (k *osKeyring) nags() bool { return k.prompts.Load() >= maxPrompts }

func (k *osKeyring) check(ctx context.Context) error { return preflight(ctx) }

func (k *osKeyring) get(service, user string) ([]string, error) {
	if err := acceptable(runtime.GOOS, service, user, ""); err != nil {
		return nil, err
	}
	var texts []string
	err := k.call(func() (err error) {
		texts, err = readAll(service, user)
		return err
	})
	return texts, err
}

// set never deletes first: a crash in between would lose the key.
func (k *osKeyring) set(service, user, secret string) error {
	if err := acceptable(runtime.GOOS, service, user, secret); err != nil {
		return err
	}
	return k.call(func() error { return keyring.Set(service, user, secret) })
}

// remove deletes one copy after the other, because go-keyring deletes but one,
// and looks after each whether it is gone: a prompt that was dismissed looks
// like success, and nobody is asked a second time.
func (k *osKeyring) remove(service, user string) error {
	before, err := k.get(service, user)
	for err == nil {
		if err = k.call(func() error { return keyring.Delete(service, user) }); err != nil {
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

// call runs a call of go-keyring and names what it met.
func (k *osKeyring) call(call func() error) error {
	n, err := counted(call)
	k.prompts.Add(int64(n))
	return classify(err)
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
