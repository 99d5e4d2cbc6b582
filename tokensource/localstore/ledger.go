package localstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// ledger is where a choice is recorded: a file of two lines, the format and the
// name of the place, in a directory of the service's own.
type ledger struct {
	dir   string
	locks filelock.Locks
}

const (
	ledgerFormat = "pawl localstore 1"
	ledgerPrefix = "pawl localstore "
	maxLedger    = 1024
)

func openLedger(base, service string) (*ledger, error) {
	dir, err := sealedfile.Dir(base, "local-"+service)
	if err != nil {
		return nil, typed(err)
	}
	return &ledger{dir: dir}, nil
}

func (l *ledger) path() string { return filepath.Join(l.dir, "choice") }

// read returns Auto where nothing was chosen yet. It needs no lock: a choice is
// written once.
func (l *ledger) read() (Backend, error) {
	raw, err := sealedfile.ReadBytes(l.path(), maxLedger)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Auto, nil
	case errors.Is(err, sealedfile.ErrDamaged):
		return Auto, l.unreadable()
	case err != nil:
		return Auto, typed(err)
	}
	b, known := parseChoice(string(raw))
	switch {
	case !known:
		return Auto, &tokensource.Error{Reason: tokensource.ReasonFormat, Advice: "update this program",
			Err: fmt.Errorf("localstore: a newer version of pawl wrote %s", l.path())}
	case b == Auto:
		return Auto, l.unreadable()
	}
	return b, nil
}

// parseChoice returns Auto for a text that names no place that is recorded.
// Known is false where the text is of a later format.
func parseChoice(text string) (b Backend, known bool) {
	format, rest, _ := strings.Cut(text, "\n")
	if format != ledgerFormat {
		return Auto, !strings.HasPrefix(format, ledgerPrefix)
	}
	name, end, _ := strings.Cut(rest, "\n")
	b, err := ParseBackend(name)
	if err != nil || end != "" || b == Memory {
		return Auto, true
	}
	return b, true
}

func (l *ledger) unreadable() error {
	return &tokensource.Error{Reason: tokensource.ReasonFormat,
		Advice: "find out where the sessions are, then remove the file and open it by name",
		Err:    fmt.Errorf("localstore: %s does not name a place", l.path())}
}

// write records a choice; the caller holds the lock.
func (l *ledger) write(b Backend) error {
	if err := sealedfile.Replace(l.path(), []byte(ledgerFormat+"\n"+b.String()+"\n")); err != nil {
		return typed(err)
	}
	return nil
}

func (l *ledger) lock(ctx context.Context) (*filelock.Lock, error) {
	lock, err := sealedfile.Lock(ctx, &l.locks, filepath.Join(l.dir, "choice.lock"))
	if err != nil {
		return nil, typed(err)
	}
	return lock, nil
}

// conflict is the error for a Config that does not fit what was chosen.
func (l *ledger) conflict(kept Backend, but string) error {
	return &tokensource.Error{Reason: tokensource.ReasonFormat,
		Advice: fmt.Sprintf("ask for %s as before, or log out there, remove %s and open it again", kept, l.path()),
		Err:    fmt.Errorf("localstore: the sessions are kept in %s since an earlier choice, and %s", kept, but)}
}
