package filestore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
)

func Example() {
	dir, err := os.MkdirTemp("", "pawl")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	store, err := filestore.New(filestore.Config{
		Dir: dir,
		// systemd hands a service its secrets in such a file.
		Key: func(context.Context) ([]byte, error) {
			return os.ReadFile(filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), "pawl.key"))
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var _ tokensource.Store = store // for a Session's Config
	// Output:
}
