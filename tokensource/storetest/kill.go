package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// killsVar sets how many processes are killed.
const killsVar = "PAWL_STORETEST_KILLS"

func (s *subject) kills() int {
	s.Helper()
	if text := os.Getenv(killsVar); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			s.Fatalf("storetest: %s=%q is not a number of kills", killsVar, text)
		}
		return n
	}
	if testing.Short() {
		return 10
	}
	return 30
}

// writersDie has three processes write in turn and kills one after the other,
// while a reader without a lease reads all the time.
func writersDie(ctx context.Context, s *subject) {
	w := &writers{subject: s, heard: make(chan struct{}, 1), died: make(chan *child, 1)}
	typical := w.typical(ctx)
	reading, stop := context.WithCancel(s.Context())
	var reader sync.WaitGroup
	reader.Go(func() { w.read(reading, s.another()) })
	defer reader.Wait()
	defer stop()

	// The same processes after the same numbers of writes each time; the
	// moment within a write is what chance there is.
	random := rand.New(rand.NewPCG(1, 2))
	kills := s.kills()
	for range kills {
		for len(w.running) < 3 {
			w.add()
		}
		for range random.IntN(3) {
			if !w.progress() {
				return
			}
		}
		time.Sleep(rand.N(2*typical + 1))
		i := random.IntN(len(w.running))
		w.running[i].kill()
		w.running = append(w.running[:i], w.running[i+1:]...)
	}
	w.add()
	if !w.progress() {
		return
	}
	for _, c := range w.running {
		c.kill()
	}
	stop()
	reader.Wait()
	n, err := leased(s, func() (uint64, error) { return increment(ctx, s.store, s.key) })
	if err != nil {
		s.Errorf("the store after %d kills: %v", kills, err)
	} else if acked := w.acked.Load(); n <= acked {
		s.Errorf("record %d was acknowledged, and after %d kills the next one is %d", acked, kills, n)
	}
	s.Logf("%d kills, %d records, %d reads", kills, n, w.reads.Load())
}

// writers are the processes that write.
type writers struct {
	*subject
	running []*child
	acked   atomic.Uint64 // the highest number that a process was told is safe
	reads   atomic.Uint64
	heard   chan struct{} // holds one element when acked has grown
	died    chan *child   // processes that ended by themselves
}

// typical measures how long a write takes.
func (w *writers) typical(ctx context.Context) time.Duration {
	const times = 3
	start := time.Now()
	for range times {
		n, err := leased(w.subject, func() (uint64, error) { return increment(ctx, w.store, w.key) })
		if err != nil {
			w.Fatalf("writing a record: %v", err)
		}
		w.acked.Store(n)
	}
	return time.Since(start) / times
}

func (w *writers) add() {
	c := w.start("write", job{})
	w.running = append(w.running, c)
	go func() {
		for text := range c.said {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				w.Errorf("a process said %q", text)
			}
			for old := w.acked.Load(); n > old && !w.acked.CompareAndSwap(old, n); old = w.acked.Load() {
			}
			select {
			case w.heard <- struct{}{}:
			default:
			}
		}
		if !c.killed.Load() {
			select {
			case w.died <- c:
			default:
			}
		}
	}()
	go c.begin()
}

// progress waits until some process has written once more.
func (w *writers) progress() bool {
	w.Helper()
	timer := time.NewTimer(w.config.patience)
	defer timer.Stop()
	select {
	case <-w.heard:
		return true
	case c := <-w.died:
		w.Errorf("a process failed while others were killed: %v", c.end)
	case <-timer.C:
		w.Errorf("no process has written for %v", w.config.patience)
	}
	return false
}

// read reads until ctx ends.
func (w *writers) read(ctx context.Context, store tokensource.Store) {
	var last uint64
	for ctx.Err() == nil {
		floor := max(last, w.acked.Load())
		n, _, err := current(w.Context(), store, w.key)
		switch {
		case errors.Is(err, errTorn):
			w.Errorf("a torn record, after record %d", last)
			return
		case err != nil:
			w.Errorf("Load while processes are killed: %v", err)
			return
		case n < floor:
			w.Errorf("Load returned record %d after record %d had been read or acknowledged", n, floor)
			return
		}
		last = n
		w.reads.Add(1)
	}
}
