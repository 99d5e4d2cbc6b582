package tokensource_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Guards extra in decodeRecord, and whoever adds a field to snapshot: a
// service may hold a session for each of its users.
func TestAnIdleSessionHasNoGoroutineAndLittleHeap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		r.access = strings.Repeat("a", 40)
		_ = loggedIn(t, r, store)

		sessions := make([]*tokensource.Session, 5000)
		goroutines, before := runtime.NumGoroutine(), heap()
		for i := range sessions {
			var err error
			sessions[i], err = tokensource.NewSession(tokensource.Config{Key: testKey, Store: store, Refresher: r})
			require.NoError(t, err)
			_, err = sessions[i].Token(t.Context())
			require.NoError(t, err)
		}
		synctest.Wait() // flights have been answered before their goroutines end
		each := (heap() - before) / uint64(len(sessions))
		assert.LessOrEqual(t, each, uint64(1536), "bytes of heap per session")
		assert.LessOrEqual(t, runtime.NumGoroutine(), goroutines, "goroutines of 5,000 sessions")
		runtime.KeepAlive(sessions)
	})
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second sweeps what the first one found
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
