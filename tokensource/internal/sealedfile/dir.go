package sealedfile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
)

// Dir returns the directory sub of base, which it makes if it is missing, and
// sees to it that nobody else can enter it. An empty base is the state
// directory of the user, found in the user database: HOME and the XDG
// variables differ between the shells, services and cron jobs of one user,
// and two directories would mean two locks over one session.
func Dir(base, sub string) (string, error) {
	if base == "" {
		var err error
		if base, err = stateDir(); err != nil {
			return "", fmt.Errorf("sealedfile: finding the state directory (set Config.Dir to choose one): %w", err)
		}
	}
	base, err := filepath.Abs(base) // the program may change its directory
	if err != nil {
		return "", fmt.Errorf("sealedfile: %w", err)
	}
	path := filepath.Join(base, sub)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", Explain(fmt.Errorf("sealedfile: making the directory: %w", err), path)
	}
	root, err := openDir(path)
	if err != nil {
		return "", err
	}
	return path, root.Close()
}

// serviceName is what every file system and every keyring takes as it is:
// Windows joins service and user with a colon, go-keyring on macOS gets quotes
// and backslashes wrong.
var serviceName = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)

// ServiceName checks the name of a service, by which a store keeps the sessions
// of programs apart. Empty: "pawl". It belongs behind a prefix in the name of a
// directory, so that no service is ".." or a device of Windows.
func ServiceName(name string) (string, error) {
	if name == "" {
		return "pawl", nil
	}
	if !serviceName.MatchString(name) {
		return "", fmt.Errorf("Config.Service %q must be 1 to 64 of a-z, 0-9, dot, underscore and hyphen", name)
	}
	return name, nil
}

// Lock waits for the lock on the file at path, in a directory that is still this
// user's alone: a lock that others can hold is none. Like [filelock.Locks.Lock],
// with the errors of this package.
func Lock(ctx context.Context, locks *filelock.Locks, path string) (*filelock.Lock, error) {
	dir := filepath.Dir(path)
	root, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	_ = root.Close()
	lock, err := locks.Lock(ctx, path)
	return lock, Explain(err, dir)
}

// openDir opens a directory that must be this user's alone, for what is done in
// it next. It looks at the path and at what it has opened: a link could be put
// there, or be turned to another place, between two calls.
func openDir(path string) (*os.Root, error) {
	named, err := os.Lstat(path)
	if err != nil {
		// Not with %w: a directory that is gone (an unmounted home) does not
		// mean that there is no record.
		return nil, Explain(fmt.Errorf("sealedfile: looking at the directory: %s: %w", path, hidden{err}), path)
	}
	if !named.IsDir() {
		return nil, refuse(path, "is no directory", "remove it, or set Config.Dir")
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, Explain(fmt.Errorf("sealedfile: opening the directory: %w", hidden{err}), path)
	}
	opened, err := root.Stat(".")
	switch {
	case err != nil:
		err = Explain(fmt.Errorf("sealedfile: opening the directory: %w", hidden{err}), path)
	case !os.SameFile(named, opened):
		err = refuse(path, "was replaced while it was opened", "see who can write to the directory above it")
	default:
		err = owned(path, opened, 0o700)
	}
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return root, nil
}
