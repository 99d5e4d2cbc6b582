package sealedfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// ErrUnsafe: the directory or a file in it is not a plain one of this user's
// alone, and was not touched.
var ErrUnsafe = errors.New("sealedfile: refused")

// refuse returns the error for what is not as it was left.
func refuse(path, what, advice string) error {
	return &tokensource.Error{
		Reason: tokensource.ReasonStore, Advice: advice, Err: fmt.Errorf("%w: %s %s", ErrUnsafe, path, what)}
}

// Explain makes the error of a file or a lock in dir a [*tokensource.Error]
// that says what to do, where that is known. It leaves alone the end of a
// context, a record that is not there, and what is one already.
func Explain(err error, dir string) error {
	var typed *tokensource.Error
	switch {
	case err == nil, errors.As(err, &typed), errors.Is(err, fs.ErrNotExist),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, filelock.ErrUnsafe):
		return &tokensource.Error{Reason: tokensource.ReasonStore, Advice: "remove what is there instead of the lock file", Err: err}
	}
	for _, c := range causes {
		if errors.Is(err, c.err) {
			return &tokensource.Error{Reason: tokensource.ReasonStore, Advice: fmt.Sprintf(c.advice, dir), Err: err}
		}
	}
	return err
}

// cause is what a file system complains of, and what helps; %s is the
// directory.
type cause struct {
	err    error
	advice string
}

const (
	adviceFull     = "free some room on the disk of %s"
	adviceQuota    = "free some of this user's quota on the disk of %s"
	adviceReadOnly = "mount the disk of %s for writing, or set Config.Dir to a directory elsewhere"
	adviceDenied   = "let this user read and write in %s, or set Config.Dir to a directory of its own"
	adviceNoLocks  = "set Config.Dir to a directory on a local disk: there are no file locks in %s"
	adviceStale    = "mount the network file system of %s again"
)

// hidden is an error that says what it is but does not pass for a missing
// record.
type hidden struct{ error }

func (h hidden) Is(target error) bool { return target != fs.ErrNotExist && errors.Is(h.error, target) }
