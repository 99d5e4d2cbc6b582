package localstore_test

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
	"github.com/seed-9a12f4e2/pawl/tokensource/localstore"
)

// A command that keeps its session in the keyring. Where there is none, it takes
// a key from the environment, and a person can ask for another place by name.
func Example() {
	name := flag.String("store", os.Getenv("EXAMPLE_STORE"), "where to keep the session")
	place, err := localstore.ParseBackend(*name)
	if err != nil {
		fmt.Println(err)
		return
	}
	store, choice, err := localstore.Open(context.Background(), localstore.Config{
		Service:     "example",
		Use:         place,
		Key:         filestore.KeyFromEnv("EXAMPLE_KEY"),
		Interactive: true,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	fmt.Fprintln(os.Stderr, "session store:", choice)
	_ = store // for a client's Config
}

func ExampleOpen() {
	_, choice, err := localstore.Open(context.Background(), localstore.Config{Use: localstore.Memory})
	fmt.Println(choice.Backend, err)
	// Output: memory <nil>
}
