package bench_test

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// stores are the stores that one machine has.
var stores = []struct {
	name string
	real bool // needs a real keyring: run under scripts/secret-service.sh
	open func(dir string) (tokensource.Store, error)
}{
	{"memory", false, func(string) (tokensource.Store, error) { return tokensource.NewMemoryStore(), nil }},
	{"plain", false, func(dir string) (tokensource.Store, error) {
		return filestore.New(filestore.Config{Dir: dir, Plain: true})
	}},
	{"file", false, func(dir string) (tokensource.Store, error) {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		return filestore.New(filestore.Config{Dir: dir, Key: func(context.Context) ([]byte, error) { return key, nil }})
	}},
	{"sealed", true, func(dir string) (tokensource.Store, error) {
		return keyringstore.New(keyringstore.Config{Dir: dir, Service: "pawl-bench", Sealed: true})
	}},
	{"keyring", true, func(dir string) (tokensource.Store, error) {
		return keyringstore.New(keyringstore.Config{Dir: dir, Service: "pawl-bench"})
	}},
}

// BenchmarkStore is what a store takes for an ordinary record. A refresh costs
// two saves, two loads and one lock.
func BenchmarkStore(b *testing.B) {
	for _, s := range stores {
		b.Run(s.name, func(b *testing.B) {
			if s.real && os.Getenv("PAWL_TEST_KEYRING") != "1" {
				b.Skip("no real keyring: run under scripts/secret-service.sh")
			}
			dir := b.TempDir()
			store, err := s.open(dir)
			if err != nil {
				b.Fatal(err)
			}
			key := tokensource.NewKey("https://as.example", "bench", rand.Text())
			data := make([]byte, 1500)
			_, _ = rand.Read(data)
			var v tokensource.Version
			save := func() error {
				next := tokensource.Version([]byte(rand.Text()[:16]))
				err := store.Swap(b.Context(), key, v, next, data)
				v = next
				return err
			}
			load := func() error { _, _, err := store.Load(b.Context(), key); return err }
			lock := func() error {
				lease, err := store.Lock(b.Context(), key)
				if err != nil {
					return err
				}
				return lease.Release()
			}
			timed(b, "save", save)
			timed(b, "load", load)
			timed(b, "lock", lock)
		})
	}
}

// timed runs op b.N times and reports the median and the 99th percentile,
// since a mean says little of something that waits for a disk.
func timed(b *testing.B, name string, op func() error) {
	b.Run(name, func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			start := time.Now()
			if err := op(); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		micro := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
		b.ReportMetric(micro(took[len(took)/2]), "p50-us")
		b.ReportMetric(micro(took[len(took)*99/100]), "p99-us")
		b.ReportMetric(0, "ns/op")
	})
}
