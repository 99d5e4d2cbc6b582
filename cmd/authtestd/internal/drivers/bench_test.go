package drivers_test

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// BenchmarkRotation has many clients rotate, each in its own session: all that
// a refresh does but the network.
func BenchmarkRotation(b *testing.B) {
	for _, kind := range places() {
		b.Run(kind, func(b *testing.B) {
			n := fresh(b, kind).serve(b, "strict", nil)
			const clients = 16
			tokens := make([]string, clients)
			for i := range tokens {
				tokens[i] = n.login(b).Refresh
			}
			took := make([][]time.Duration, clients)
			b.ResetTimer()
			var wg sync.WaitGroup
			for i, token := range tokens {
				wg.Go(func() {
					for range (b.N + clients - 1 - i) / clients { // b.N in all
						began := time.Now()
						a := n.refresh(token)
						took[i] = append(took[i], time.Since(began))
						if a.outcome != testserver.Rotated {
							b.Errorf("a rotation came to %s", a.outcome)
							return
						}
						token = a.refresh
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			all := slices.Sorted(slices.Values(slices.Concat(took...)))
			b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "rotations/s")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// BenchmarkSessionsInMemory measures what a hundred thousand sessions keep, in
// memory, right after their logins.
func BenchmarkSessionsInMemory(b *testing.B) {
	const sessions = 100_000
	for b.Loop() {
		n := fresh(b, "memory").serve(b, "strict", nil)
		before := heap()
		for range sessions {
			n.login(b)
		}
		b.ReportMetric(float64(heap()-before)/sessions, "bytes/session")
		runtime.KeepAlive(n)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
