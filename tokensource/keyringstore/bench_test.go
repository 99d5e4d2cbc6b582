package keyringstore_test

import (
	"testing"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// What a refresh costs: two saves, two loads, one lock.
func BenchmarkStore(b *testing.B) {
	data := make([]byte, 1500)
	for _, k := range kinds[3:] {
		b.Run(k.name, func(b *testing.B) {
			if k.real {
				needKeyring(b)
			}
			store, err := openKind(k.name, b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			key, v := newKey(), tokensource.Version{}
			save := func(b *testing.B) {
				next := randomVersion()
				if err := store.Swap(b.Context(), key, v, next, data); err != nil {
					b.Fatal(err)
				}
				v = next
			}
			b.Run("save", func(b *testing.B) {
				for b.Loop() {
					save(b)
				}
			})
			b.Run("load", func(b *testing.B) {
				for b.Loop() {
					if _, _, err := store.Load(b.Context(), key); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("lock", func(b *testing.B) {
				for b.Loop() {
					lease, err := store.Lock(b.Context(), key)
					if err != nil {
						b.Fatal(err)
					}
					_ = lease.Release()
				}
			})
		})
	}
}
