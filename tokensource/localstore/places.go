package localstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// Why there is no key of the program's own.
var (
	errNotSet = errors.New("localstore: Config.Key is not set")
	errNoKey  = errors.New("localstore: Config.Key finds no key")
)

// order is what is tried, one after the other.
func (o *opening) order() []Backend {
	all := []Backend{Keyring, Sealed}
	for _, b := range byName {
		if slices.Contains(o.Allow, b) {
			all = append(all, b)
		}
	}
	return all
}

// try opens a place, says where it is, and makes sure that it can be used now.
func (o *opening) try(ctx context.Context, b Backend) (s tokensource.Store, where string, err error) {
	switch b {
	case Keyring:
		return o.keyring(ctx)
	case Sealed:
		if o.Key == nil {
			return nil, "", errNotSet
		}
		if _, err := o.Key(ctx); err != nil && !errors.Is(err, tokensource.ErrConfig) && ctx.Err() == nil {
			return nil, "", fmt.Errorf("%w: %w", errNoKey, err)
		}
		return o.file(ctx, filestore.Config{Key: o.Key})
	case KernelKey:
		return o.file(ctx, filestore.Config{KernelKey: true})
	case Plain:
		return o.file(ctx, filestore.Config{Plain: true})
	}
	return tokensource.NewMemoryStore(), "", nil
}

func (o *opening) keyring(ctx context.Context) (tokensource.Store, string, error) {
	s, err := keyringstore.New(keyringstore.Config{Service: o.Service, Dir: o.Dir, Interactive: o.Interactive})
	if err == nil {
		err = s.Probe(ctx)
	}
	if err != nil {
		return nil, "", err
	}
	return s, fmt.Sprintf("service %q", o.Service), nil
}

func (o *opening) file(ctx context.Context, c filestore.Config) (tokensource.Store, string, error) {
	c.Service, c.Dir = o.Service, o.Dir
	s, err := filestore.New(c)
	if err != nil {
		return nil, "", err
	}
	// A Load asks for the key, and finds no such session.
	_, _, err = s.Load(ctx, tokensource.NewKey("pawl", "localstore", "probe"))
	if !errors.Is(err, tokensource.ErrNotFound) {
		return nil, "", err
	}
	return s, s.Dir(), nil
}

// missing tells whether the place is not there at all. Only then is the next
// one tried: what is locked, slow or refused may hold a session, or is what the
// person wants who has to mend it.
func missing(err error) bool {
	return slices.ContainsFunc([]error{
		keyringstore.ErrNoBus, keyringstore.ErrNoService, keyringstore.ErrNoCollection, keyringstore.ErrUnsupported,
		errNotSet, errNoKey, filestore.ErrNoKernelKeyring,
	}, func(cause error) bool { return errors.Is(err, cause) })
}

// typed makes err an error of the store, if it is none yet.
func typed(err error) error {
	var e *tokensource.Error
	if errors.As(err, &e) {
		return err
	}
	return &tokensource.Error{Reason: tokensource.ReasonStore, Err: err}
}
