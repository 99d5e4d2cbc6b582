package keyringstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

func Example() {
	dir, err := os.MkdirTemp("", "pawl")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	store, err := keyringstore.New(keyringstore.Config{
		Service: "example", // what people see in their password manager
		Dir:     dir,       // leave it out: all processes must agree on it
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var _ tokensource.Store = store // for a Session's Config
	// Output:
}

func ExampleProbe() {
	err := keyringstore.Probe(context.Background())
	switch {
	case err == nil:
		// The keyring can be used.
	case errors.Is(err, keyringstore.ErrNoBus), errors.Is(err, keyringstore.ErrNoService):
		// There is none here: a container, a CI job, a server.
	case errors.Is(err, keyringstore.ErrLocked):
		// There is one, and somebody has to unlock it.
	}
}

func ExampleStateError() {
	err := keyringstore.Probe(context.Background())
	var state *keyringstore.StateError
	if errors.As(err, &state) && state.State == keyringstore.StateActivatable {
		// Nobody has logged into the desktop yet, or nobody has asked the
		// keyring for anything: its first use starts it.
		fmt.Println("open the password manager once")
	}
}

func ExampleStore_Forget() {
	drop := func(ctx context.Context, store *keyringstore.Store, key tokensource.Key) error {
		// After the logout, which is what makes the tokens worthless.
		return store.Forget(ctx, key)
	}
	_ = drop
	// Output:
}
