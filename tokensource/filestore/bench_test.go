package filestore_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
)

// One save, one look and one lease of a session, on the disk of TMPDIR. The
// figures in docs/storage.md come from here.

func BenchmarkSwap(b *testing.B) {
	for _, size := range []int{2 << 10, 6 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s, data := benchStore(b), make([]byte, size)
			var old tokensource.Version
			for n := uint64(1); b.Loop(); n++ {
				var next tokensource.Version
				binary.BigEndian.PutUint64(next[:], n)
				if err := s.Swap(b.Context(), key, old, next, data); err != nil {
					b.Fatal(err)
				}
				old = next
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, size := range []int{2 << 10, 6 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := benchStore(b)
			if err := s.Swap(b.Context(), key, none, one, make([]byte, size)); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, _, err := s.Load(b.Context(), key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLock(b *testing.B) {
	s := benchStore(b)
	for b.Loop() {
		lease, err := s.Lock(b.Context(), key)
		if err != nil {
			b.Fatal(err)
		}
		if err := lease.Release(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchStore(b *testing.B) tokensource.Store {
	b.Helper()
	b.ReportAllocs()
	s, err := filestore.New(filestore.Config{Dir: b.TempDir(), Key: fixed(1)})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// Guards against a check that is made twice: the directory is looked at with
// each Load, and a Session loads at most once a second.
func TestLoadAllocatesLittle(t *testing.T) {
	s := open(t, t.TempDir(), fixed(1))
	require.NoError(t, s.Swap(t.Context(), key, none, one, make([]byte, 2<<10)))
	allocs := testing.AllocsPerRun(100, func() {
		_, _, err := s.Load(t.Context(), key)
		require.NoError(t, err)
	})
	limit := 70.0
	if runtime.GOOS == "windows" {
		limit = 75 // names are converted
	}
	assert.LessOrEqual(t, allocs, limit)
}
