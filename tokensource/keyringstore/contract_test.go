package keyringstore_test

import (
	"testing"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
	"github.com/seed-9a12f4e2/pawl/tokensource/storetest"
)

// A fake keyring keeps the contract in the order of calls alone; what it
// cannot show, processes and kills, is up to the real one.
func TestStoreOverAFakeKeyringKeepsTheContract(t *testing.T) {
	for name, sealed := range map[string]bool{"keyring": false, "sealed": true} {
		t.Run(name, func(t *testing.T) {
			storetest.RunConfig(t, storetest.Config{
				Open: func(dir string) (tokensource.Store, error) {
					return newRing().open(t, keyringstore.Config{Dir: dir, Sealed: sealed})[0], nil
				},
				OneProcess: true,
			})
		})
	}
}

func TestStoreOverARealKeyringKeepsTheContract(t *testing.T) {
	for name, sealed := range map[string]bool{"keyring": false, "sealed": true} {
		t.Run(name, func(t *testing.T) {
			needKeyring(t)
			storetest.RunConfig(t, storetest.Config{
				Open: func(dir string) (tokensource.Store, error) {
					return keyringstore.New(keyringstore.Config{Dir: dir, Service: "pawl-test", Sealed: sealed})
				},
				MaxData: 1 << 20,
			})
		})
	}
}
