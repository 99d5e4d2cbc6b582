package storetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

var processClauses = []clause{
	{"lose no update",
		"processes that swap without a lease lose no update", shared, processesCount},
	{"one holder at a time",
		"Lock returns the one lease that exists for a key among all processes", shared, processesTakeTurns},
	{"nobody starves",
		"Lock waits fairly if it can: whoever waits gets the lease before others have had it hundreds of times", kernelLease, processesShare},
	{"a lease ends with its process",
		"a lease ends when its process does, by whatever means", shared, holderDies},
	{"kill -9 at any moment",
		"Swap returns nil only when the record survives a crash of the process; a reader without a lease sees whole records, and never an older one", shared, writersDie},
}

func kernelLease(c Config) bool { return shared(c) && c.LeaseTime == 0 }

// deeds are what processes do.
var deeds = map[string]func(ctx context.Context, s *subject, j job) error{
	"count": doCount,
	"hold":  doHold,
	"turns": doTurns,
	"write": doWrite,
}

// doCount increments the record, without a lease.
func doCount(ctx context.Context, s *subject, j job) error {
	for range j.Times {
		if _, err := increment(ctx, s.store, s.key); err != nil {
			return err
		}
	}
	return nil
}

func processesCount(ctx context.Context, s *subject) {
	const processes, times = 3, 8
	var all []*child
	for range processes {
		all = append(all, s.start("count", job{Times: times}))
	}
	for _, c := range all {
		<-c.ready // so that they meet
	}
	for _, c := range all {
		c.begin()
	}
	for _, c := range all {
		c.finish()
	}
	s.counted(ctx, processes*times)
}

// doHold takes the lease and keeps it.
func doHold(ctx context.Context, s *subject, _ job) error {
	if _, err := s.store.Lock(ctx, s.key); err != nil {
		return err
	}
	say("locked")
	<-ctx.Done()
	return nil
}

func holderDies(ctx context.Context, s *subject) {
	holder := s.start("hold", job{})
	holder.begin()
	if _, ok := <-holder.said; !ok {
		s.Fatalf("a process could not take the lease: %v", holder.end)
	}
	s.refused(ctx, s.store, "another process holds the lease")
	got := s.await(ctx, s.store)
	holder.kill()
	g := <-got
	if g.err != nil {
		s.Fatalf("Lock, when its holder had been killed: %v", g.err)
	}
	s.release(g.lease)
}

// linger is what a turn with the lease takes: far longer than to ask for the
// next.
func linger() { time.Sleep(2 * time.Millisecond) }

// doTurns takes the lease and gives it back until it is told to stop. Inside
// there is a file that nobody else may find.
func doTurns(ctx context.Context, s *subject, j job) error {
	inside := filepath.Join(j.Scratch, "inside")
	for ctx.Err() == nil {
		lease, err := s.store.Lock(ctx, s.key)
		if ctx.Err() != nil && err != nil {
			return nil
		}
		if err != nil {
			return err
		}
		f, err := os.OpenFile(inside, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return errors.New("two processes hold the lease")
		}
		if err != nil {
			return err
		}
		linger()
		if err := errors.Join(f.Close(), os.Remove(inside)); err != nil {
			return err
		}
		say("turn")
		if err := lease.Release(); err != nil {
			return err
		}
	}
	return nil
}

// turns starts processes that take turns until each has had enough, or one
// has waited for most turns of others. It returns how long the longest wait
// was, in turns.
func (s *subject) turns(processes, enough, most int) (longest int) {
	s.Helper()
	scratch := s.TempDir()
	var all []*child
	for range processes {
		all = append(all, s.start("turns", job{Scratch: scratch}))
	}
	for _, c := range all {
		<-c.ready
	}
	turn := make(chan int) // who has had one
	var listeners sync.WaitGroup
	for i, c := range all {
		c.begin()
		listeners.Go(func() {
			for range c.said {
				turn <- i
			}
		})
	}
	go func() {
		listeners.Wait()
		close(turn)
	}()
	had, waits := make([]int, processes), make([]int, processes)
	for i := range turn {
		had[i]++
		for j := range waits {
			waits[j]++
			longest = max(longest, waits[j])
		}
		waits[i] = 0
		if slices.Min(had) >= enough || longest >= most {
			break
		}
	}
	for _, c := range all {
		_ = c.stdin.Close()
	}
	for range turn {
	}
	for _, c := range all {
		c.finish()
	}
	return longest
}

func processesTakeTurns(_ context.Context, s *subject) {
	// Where Lock polls, a process may not be lucky for long.
	s.turns(3, 5, 100)
}

func processesShare(_ context.Context, s *subject) {
	const most = 300
	if n := s.turns(3, 10, most); n >= most {
		s.Errorf("a process waited for the lease while others had it %d times", n)
	}
}

// doWrite increments the record until it is told to stop, and says each number
// that is safe.
func doWrite(ctx context.Context, s *subject, _ job) error {
	for ctx.Err() == nil {
		n, err := leased(s, func() (uint64, error) { return increment(context.Background(), s.store, s.key) })
		if err != nil {
			return err
		}
		say(n)
	}
	return nil
}

// leased runs f under the lease. Where a lease outlives its process, the next
// one would wait for it to expire; f is safe without.
func leased(s *subject, f func() (uint64, error)) (n uint64, err error) {
	if s.config.LeaseTime > 0 {
		return f()
	}
	var lease tokensource.Lease
	if lease, err = s.store.Lock(context.Background(), s.key); err != nil {
		return 0, err
	}
	n, err = f()
	if releaseErr := lease.Release(); err == nil && releaseErr != nil {
		return 0, fmt.Errorf("releasing the lease: %w", releaseErr)
	}
	return n, err
}
