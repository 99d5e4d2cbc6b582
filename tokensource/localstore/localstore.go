package localstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// Config configures [Open]. The zero Config means the keyring of the operating
// system or an error.
type Config struct {
	// Service keeps the sessions of programs apart: 1 to 64 of a-z, 0-9, dot,
	// underscore and hyphen. People find it in their keyring. Empty: "pawl".
	Service string
	// Dir is the directory under which all files are made. Empty: the user's
	// state directory, found in the user database and not in HOME:
	// ~/.local/state/pawl, on macOS ~/Library/Application Support/pawl, on
	// Windows pawl in LocalAppData. All programs that share sessions must
	// agree on it.
	Dir string
	// Use asks for one place by name: from a flag, or an environment variable
	// of the program's own; see [ParseBackend]. The zero value, [Auto], goes
	// by the order.
	Use Backend
	// Key returns the 32 random bytes of the program's own key, always the
	// same: see [filestore.KeyFromEnv] and [filestore.KeyFromCredential]. Nil:
	// there is none. Where it fails with anything but
	// [tokensource.ErrConfig], it counts as missing while a place is chosen.
	Key func(ctx context.Context) ([]byte, error)
	// Allow names those of [KernelKey], [Plain] and [Memory] that may be used
	// where nothing better can; they are tried in this order whatever theirs
	// is. Plain means that tokens lie in a file in the clear.
	Allow []Backend
	// Interactive says that a person sits in front of this program: a locked
	// keyring may ask for its password. It is ignored in an SSH session and,
	// where a display is needed, without one.
	Interactive bool
}

// Open opens the store that this computer offers, and says which and why. With
// an error, the Choice tells what was tried. See the documentation of the
// package for the order, and for why it stays with its choice.
//
// Its errors are a [*tokensource.Error]: [tokensource.ErrConfig] for what a
// person has to decide, [tokensource.ErrTryAgain] for a place that cannot be
// used now; errors.Is finds the cause, such as [keyringstore.ErrLocked]. A
// Config that makes no sense is a plain error.
func Open(ctx context.Context, c Config) (tokensource.Store, Choice, error) {
	service, err := c.check()
	if err != nil {
		return nil, Choice{}, err
	}
	c.Service = service
	o := &opening{Config: c, choice: Choice{Hints: hints()}}
	store, err := o.open(ctx)
	return store, o.choice, err
}

func (c Config) check() (service string, err error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("localstore: "+format, args...)) }
	service, err = sealedfile.ServiceName(c.Service)
	if err != nil {
		bad("%w", err)
	}
	if c.Use > Memory {
		bad("Config.Use is not one of the constants")
	}
	if c.Use == Sealed && c.Key == nil {
		bad("Config.Use is Sealed, which needs Config.Key: a function that returns 32 random bytes")
	}
	for _, b := range c.Allow {
		if !slices.Contains(byName, b) {
			bad("Config.Allow names %s: it is for KernelKey, Plain and Memory", b)
		}
	}
	return service, errors.Join(errs...)
}

// opening is one call of Open.
type opening struct {
	Config
	choice Choice
}

func (o *opening) open(ctx context.Context) (tokensource.Store, error) {
	if o.Use == Memory {
		return o.only(ctx, Memory, asked)
	}
	ledger, err := openLedger(o.Dir, o.Service)
	if err != nil {
		return o.withoutDirectory(ctx, err)
	}
	kept, err := ledger.read()
	if err != nil {
		return nil, err
	}
	if kept != Auto {
		return o.stay(ctx, ledger, kept)
	}
	lock, err := ledger.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Release() }()
	if kept, err = ledger.read(); err != nil {
		return nil, err
	}
	if kept != Auto {
		return o.stay(ctx, ledger, kept)
	}
	store, err := o.choose(ctx)
	if err != nil || o.choice.Backend == Memory {
		return store, err
	}
	if err := ledger.write(o.choice.Backend); err != nil {
		return nil, err
	}
	return store, nil
}

// withoutDirectory goes on where no directory can be made, as in many
// containers. One that is there and refused is another thing: it may hold a
// choice.
func (o *opening) withoutDirectory(ctx context.Context, err error) (tokensource.Store, error) {
	if errors.Is(err, sealedfile.ErrUnsafe) || o.Use != Auto || !slices.Contains(o.Allow, Memory) {
		return nil, err
	}
	for _, b := range o.order() {
		if b != Memory {
			o.reject(b, err)
		}
	}
	return o.only(ctx, Memory, first)
}

// stay opens the place that was chosen before, or fails.
func (o *opening) stay(ctx context.Context, l *ledger, kept Backend) (tokensource.Store, error) {
	switch {
	case o.Use != Auto && o.Use != kept:
		return nil, l.conflict(kept, fmt.Sprintf("Config.Use asks for %s", o.Use))
	case o.Use == Auto && slices.Contains(byName, kept) && !slices.Contains(o.Allow, kept):
		return nil, l.conflict(kept, "Config.Allow does not name that")
	case kept == Sealed && o.Key == nil:
		return nil, l.conflict(kept, "there is no Config.Key to open it")
	}
	return o.only(ctx, kept, keptHere)
}

// only opens one place, or fails.
func (o *opening) only(ctx context.Context, b Backend, why string) (tokensource.Store, error) {
	store, where, err := o.try(ctx, b)
	if err != nil {
		o.reject(b, err)
		return nil, typed(err)
	}
	o.choice.Backend, o.choice.Where, o.choice.Why = b, where, why
	return store, nil
}

// choose opens the place that is asked for, or the first that can be used.
func (o *opening) choose(ctx context.Context) (tokensource.Store, error) {
	if o.Use != Auto {
		return o.only(ctx, o.Use, asked)
	}
	for _, b := range o.order() {
		store, err := o.only(ctx, b, first)
		if err == nil || !missing(err) {
			return store, err
		}
	}
	return nil, &tokensource.Error{
		Reason: tokensource.ReasonStore,
		Advice: "set Config.Key to a key of the program's own, or name one of kernel-key, plain and memory in Config.Allow",
		Err:    nowhere(o.choice.Rejected),
	}
}

func (o *opening) reject(b Backend, err error) {
	o.choice.Rejected = append(o.choice.Rejected, Rejection{Backend: b, Err: err})
}
