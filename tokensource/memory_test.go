package tokensource_test

import (
	"testing"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/storetest"
)

func TestTheMemoryStoreKeepsTheContract(t *testing.T) {
	storetest.RunConfig(t, storetest.Config{
		Open:       func(string) (tokensource.Store, error) { return tokensource.NewMemoryStore(), nil },
		OneProcess: true,
	})
}
