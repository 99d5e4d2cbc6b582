package filestore

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// ErrNoKey is found in an error with [tokensource.ReasonKeyLost]: there is a
// sealed record, and the kernel has no key for it. The machine was started
// again since, or the key was taken away.
var ErrNoKey = errors.New("filestore: the key is gone from the kernel's keyring")

// ErrNoKernelKeyring: the kernel has no keyring for this process. It is not
// Linux, or something forbids the system calls.
var ErrNoKernelKeyring = errors.New("filestore: the kernel's keyring cannot be used")

// lost tells whether a record can never be opened again.
func lost(err error) bool {
	return errors.Is(err, sealedfile.ErrOtherKey) || errors.Is(err, sealedfile.ErrDamaged) || errors.Is(err, ErrNoKey)
}

// explain names the class of an error of a file.
func (s *Store) explain(err error) error {
	var typed *tokensource.Error
	switch {
	case err == nil, errors.As(err, &typed), errors.Is(err, sealedfile.ErrTooLong):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return tokensource.ErrNotFound
	case lost(err):
		return &tokensource.Error{Reason: tokensource.ReasonKeyLost, Err: err}
	case errors.Is(err, sealedfile.ErrNewer):
		return &tokensource.Error{Reason: tokensource.ReasonFormat, Advice: "update this program", Err: err}
	case errors.Is(err, sealedfile.ErrPlain), errors.Is(err, sealedfile.ErrSealed):
		return otherKind(s.dir, errors.Is(err, sealedfile.ErrPlain))
	}
	return &tokensource.Error{Reason: tokensource.ReasonStore, Err: err}
}

// otherKind is the error for a record that a store of this kind does not write.
// To write over it would end a session that someone else still has; to write
// beside it would make two of one.
func otherKind(where string, plain bool) error {
	advice, is := "supply the key as before, or log out with it and remove the record", "sealed, and Config.Plain is set"
	if plain {
		advice, is = "set Config.Plain as before, or log out with it and remove the record", "in the clear, and Config.Plain is not set"
	}
	return &tokensource.Error{Reason: tokensource.ReasonFormat, Advice: advice,
		Err: fmt.Errorf("filestore: the record in %s is %s", where, is)}
}

// globbed returns a path as a pattern that matches it alone.
func globbed(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
