package filestore_test

import (
	"testing"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
	"github.com/seed-9a12f4e2/pawl/tokensource/storetest"
)

func TestTheFileStoreKeepsTheContract(t *testing.T) {
	for name, config := range map[string]filestore.Config{"sealed": {Key: fixed(1)}, "plain": {Plain: true}} {
		t.Run(name, func(t *testing.T) {
			storetest.RunConfig(t, storetest.Config{
				Open: func(dir string) (tokensource.Store, error) {
					config := config
					config.Dir = dir
					return filestore.New(config)
				},
				MaxData: 1 << 20,
			})
		})
	}
}
