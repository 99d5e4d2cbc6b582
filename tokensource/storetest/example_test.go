package storetest_test

import (
	"testing"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/storetest"
)

// mystore stands for the package that is tested.
var mystore struct {
	Open func(dir string) (tokensource.Store, error)
}

func Example() {
	// In a file of its own this is TestStore.
	_ = func(t *testing.T) {
		storetest.Run(t, func(dir string) (tokensource.Store, error) {
			return mystore.Open(dir)
		})
	}
}

// A store whose leases expire, as in a database: tell how soon.
func ExampleRunConfig() {
	_ = func(t *testing.T) {
		storetest.RunConfig(t, storetest.Config{
			Open:      func(dir string) (tokensource.Store, error) { return mystore.Open(dir) },
			LeaseTime: 2 * time.Second,
			MaxData:   1 << 20,
		})
	}
}
