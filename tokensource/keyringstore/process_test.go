package keyringstore_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// childEnv makes the test binary a program that counts in a record, instead.
// What processes owe each other is tested by package storetest; this one is
// for tests whose daemon is not the one that this process is connected to.
const childEnv = "PAWL_KEYRINGSTORE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	kind, dir, profile := os.Args[1], os.Args[2], os.Args[3]
	if err := childStep(kind, dir, profile); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// childStep adds 1 for each line that it reads, and says where the record is
// and how many milliseconds that took.
func childStep(kind, dir, profile string) error {
	store, err := openKind(kind, dir)
	if err != nil {
		return err
	}
	key := processKey(profile)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		start := time.Now()
		n, err := step(store, key)
		if err != nil {
			return err
		}
		where, err := store.Where(context.Background(), key)
		if err != nil {
			return err
		}
		fmt.Println(n, where, time.Since(start).Milliseconds())
	}
	return nil
}

func step(store *keyringstore.Store, key tokensource.Key) (uint64, error) {
	ctx := context.Background()
	old, data, err := store.Load(ctx, key)
	if err != nil && !errors.Is(err, tokensource.ErrNotFound) {
		return 0, err
	}
	var n uint64
	if err == nil {
		n = binary.BigEndian.Uint64(data)
	}
	return n + 1, store.Swap(ctx, key, old, randomVersion(), binary.BigEndian.AppendUint64(nil, n+1))
}

func newProfile() (profile string, key tokensource.Key) {
	profile = fmt.Sprintf("%x", randomVersion())
	return profile, processKey(profile)
}

func processKey(profile string) tokensource.Key {
	return tokensource.NewKey("https://as.example", "process", profile)
}
