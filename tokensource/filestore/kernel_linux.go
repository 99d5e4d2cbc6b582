package filestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// kernelKey is a key in the keyring that the kernel has for each user: see
// user-keyring(7). It outlives every process and every login of the user.
type kernelKey struct {
	name  string
	dir   string
	locks *filelock.Locks
}

// newKernelKey names a key after the directory whose files it seals, by the one
// path that all links to it lead to. No two directories share a key, so one lock
// in the directory is enough to make a key once.
func newKernelKey(dir, service string, locks *filelock.Locks) (keys, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, sealedfile.Explain(err, dir)
	}
	sum := sha256.Sum256([]byte(real))
	k := &kernelKey{name: "pawl:" + service + ":" + hex.EncodeToString(sum[:8]), dir: dir, locks: locks}
	_, err = k.find(context.Background())
	return k, err
}

func (k *kernelKey) find(context.Context) (sealedfile.Key, error) {
	var key sealedfile.Key
	err := inUserKeyring(func() error {
		id, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", k.name, 0)
		if err != nil {
			return err
		}
		raw := make([]byte, 33)
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, raw, 0)
		if err != nil {
			return err
		}
		key, err = usable(raw[:min(n, len(raw))], "remove the key "+k.name+" from the kernel's keyring: pawl did not make it")
		return err
	})
	switch {
	case errors.Is(err, unix.ENOKEY), errors.Is(err, unix.EKEYREVOKED), errors.Is(err, unix.EKEYEXPIRED):
		return sealedfile.Key{}, nil
	case err != nil:
		return sealedfile.Key{}, kernelError(err)
	}
	return key, nil
}

func (k *kernelKey) have(ctx context.Context) (sealedfile.Key, error) {
	key, err := k.find(ctx)
	if err != nil || !key.IsZero() {
		return key, err
	}
	// AddKey replaces a key of the same name: without the lock, the second of
	// two processes would take the first one's key away.
	lock, err := sealedfile.Lock(ctx, k.locks, filepath.Join(k.dir, "kernel.lock"))
	if err != nil {
		return sealedfile.Key{}, err
	}
	defer func() { _ = lock.Release() }()
	key, err = k.find(ctx)
	if err != nil || !key.IsZero() {
		return key, err
	}
	err = inUserKeyring(func() error {
		_, err := unix.AddKey("user", k.name, sealedfile.NewKey().AppendTo(nil), unix.KEY_SPEC_USER_KEYRING)
		return err
	})
	if err != nil {
		return sealedfile.Key{}, kernelError(err)
	}
	return k.find(ctx)
}

// inUserKeyring runs f on a thread that possesses the user's keyring. Without
// that a process whose session has another keyring (a service, a cron job) may
// find a key and not read it: see keyrings(7) on possession.
func inUserKeyring(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// What this cannot do, f cannot do either, and says so.
	_, _ = unix.KeyctlInt(unix.KEYCTL_LINK, unix.KEY_SPEC_USER_KEYRING, unix.KEY_SPEC_THREAD_KEYRING, 0, 0)
	return f()
}

func kernelError(err error) error {
	var typed *tokensource.Error
	if errors.As(err, &typed) {
		return err
	}
	e := &tokensource.Error{Reason: tokensource.ReasonStore, Err: fmt.Errorf("%w: %w", ErrNoKernelKeyring, err)}
	switch {
	case errors.Is(err, unix.EDQUOT):
		e.Advice = "take keys of this user away: /proc/key-users shows its quota"
	default:
		e.Advice = "allow add_key and keyctl in the container's seccomp profile, or keep the key elsewhere"
	}
	return e
}
