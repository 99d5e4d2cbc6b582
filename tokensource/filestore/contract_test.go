package filestore_test

import (
	"testing"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
	"github.com/seed-9a12f4e2/pawl/tokensource/storetest"
)

func TestTheFileStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(dir string) (tokensource.Store, error) {
		return filestore.New(filestore.Config{Dir: dir, Key: fixed(1)})
	})
}
