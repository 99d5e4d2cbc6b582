// Package filelock is a lock between processes that the kernel keeps: flock
// where there is one, LockFileEx on Windows. It is released when its holder
// releases it or dies, by whatever means, and it is never stolen from a
// holder that is merely slow.
//
// [Locks.Lock] tries once without waiting and then waits in the kernel's own
// queue, which is first come, first served. Polling for a lock is not: under
// load the process that has just released it takes it again and the others
// starve for seconds.
//
// The lock file is made if it is missing and never removed. Whoever removes
// one while it is held lets a second holder in. A link is not followed: the
// directory should be one that nobody else can write to.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

var (
	// ErrHeld is what [Locks.TryLock] returns while someone holds the lock.
	ErrHeld = errors.New("filelock: the lock is held")
	// ErrUnsupported means that the system, or the file system that the
	// path is on, has no locks (NFS without its lock daemon, for one).
	ErrUnsupported = errors.New("filelock: no file locks here; choose a directory on a local disk")
	// ErrUnsafe means that what is at the path is no lock file: a link, a
	// pipe, or a file with a second name, by which other locks would be met.
	ErrUnsafe = errors.New("filelock: this is no plain file with one name")
	// ErrReleased is what [Lock.Extend] returns after Release.
	ErrReleased = errors.New("filelock: the lock was released")
)

// Locks takes file locks for one process. Its zero value is ready for use,
// and its methods are safe for concurrent use.
//
// The goroutines that use one Locks take turns before they go to the kernel,
// so however many of them want a lock, at most one thread per path waits.
// Locks of different Locks values exclude each other all the same, since each
// acquisition opens the file anew.
type Locks struct {
	mu    sync.Mutex // guards turns and their users; never held across I/O or a wait
	turns map[string]*turn
}

// turn is a mutex that can be waited for together with a context.
type turn struct {
	ch    chan struct{} // holds one element while the turn is taken
	users int
}

// Lock waits for the lock on the file at path until ctx ends, and returns the
// cause of that end then. A granted lock outlives ctx.
//
// A wait in the kernel cannot be called off. When ctx ends during one, Lock
// returns at once, and the goroutine that waits gives the lock back as soon as
// it gets it; until then it keeps the turn, so that callers who come and go
// behind a stopped holder leave one goroutine waiting per path, not one each.
func (s *Locks) Lock(ctx context.Context, path string) (*Lock, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	t := s.join(path)
	select {
	case t.ch <- struct{}{}:
	case <-ctx.Done():
		s.part(path, t)
		return nil, context.Cause(ctx)
	}
	end := func() { <-t.ch; s.part(path, t) }
	f, err := acquire(ctx, path, false)
	if errors.Is(err, ErrHeld) {
		return wait(ctx, path, end)
	}
	return granted(f, err, end)
}

// TryLock takes the lock on the file at path if nobody holds it or waits for
// it in this process, and returns an error that matches [ErrHeld] otherwise.
func (s *Locks) TryLock(path string) (*Lock, error) {
	t := s.join(path)
	select {
	case t.ch <- struct{}{}:
	default:
		s.part(path, t)
		return nil, ErrHeld
	}
	f, err := acquire(context.Background(), path, false)
	return granted(f, err, func() { <-t.ch; s.part(path, t) })
}

func (s *Locks) join(path string) *turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turns[path]
	if t == nil {
		if s.turns == nil {
			s.turns = make(map[string]*turn)
		}
		t = &turn{ch: make(chan struct{}, 1)}
		s.turns[path] = t
	}
	t.users++
	return t
}

func (s *Locks) part(path string, t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(s.turns, path)
	}
}

func granted(f *os.File, err error, end func()) (*Lock, error) {
	if err != nil {
		end()
		return nil, err
	}
	return &Lock{f: f, end: end}, nil
}

// wait queues in the kernel. It calls end when the wait is over, unless it
// returns a Lock, which does.
func wait(ctx context.Context, path string, end func()) (*Lock, error) {
	type grant struct {
		f   *os.File
		err error
	}
	got := make(chan grant) // unbuffered: sent means that the caller has it
	go func() {
		f, err := acquire(ctx, path, true)
		select {
		case got <- grant{f, err}:
		case <-ctx.Done():
			if err == nil {
				_ = release(f)
			}
			end()
		}
	}()
	select {
	case g := <-got:
		return granted(g.f, g.err, end)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// acquire opens the file and locks it. It opens for writing because NFSv4
// grants an exclusive lock on nothing less. Go opens every file with
// O_CLOEXEC, so no program started meanwhile inherits the lock.
//
// A context that has ended only keeps it from starting again.
func acquire(ctx context.Context, path string, block bool) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|openPlainly, 0o600)
		if err != nil {
			if info, e := os.Lstat(path); e == nil && !info.Mode().IsRegular() {
				return nil, fmt.Errorf("%w: %s (%w)", ErrUnsafe, path, err)
			}
			return nil, fmt.Errorf("filelock: opening the lock file: %w", err)
		}
		// Before the lock as well: whoever waits for a stranger's lock may
		// wait for ever.
		if _, err := current(f, path); err != nil {
			_ = f.Close()
			return nil, err
		}
		if err := lockFile(f, block); err != nil {
			_ = f.Close()
			return nil, err
		}
		// Someone may have removed the file while this waited, and a lock
		// on a file without a name excludes nobody who comes later.
		same, err := current(f, path)
		if same && err == nil {
			return f, nil
		}
		_ = release(f)
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx) // and make no file anew for nobody
		}
	}
}

// current tells whether f is what path names. Its error says that path names
// what is no lock file.
func current(f *os.File, path string) (bool, error) {
	mine, err := f.Stat()
	if err != nil {
		return false, nil
	}
	if !mine.Mode().IsRegular() || names(mine) > 1 {
		return false, fmt.Errorf("%w: %s", ErrUnsafe, path)
	}
	named, err := os.Lstat(path)
	if err != nil {
		return false, nil
	}
	if !named.Mode().IsRegular() {
		return false, fmt.Errorf("%w: %s", ErrUnsafe, path)
	}
	return os.SameFile(mine, named), nil
}

// release unlocks before it closes: closing alone would leave the lock with a
// child that was forked and has not yet called exec.
func release(f *os.File) error {
	return errors.Join(unlockFile(f), f.Close())
}

// Lock is one acquisition of a lock. It is a tokensource.Lease. Its methods
// are safe for concurrent use.
type Lock struct {
	f   *os.File
	end func()

	mu       sync.Mutex // guards released; never held across I/O or a wait
	released bool
}

// File returns the open lock file, for a holder that keeps a few bytes in it.
// It is closed by Release.
func (l *Lock) File() *os.File { return l.f }

// Extend confirms the lock, for any d: the kernel takes it from nobody. It
// returns [ErrReleased] after Release.
func (l *Lock) Extend(context.Context, time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.released {
		return ErrReleased
	}
	return nil
}

// Release gives the lock up. Only the first call does anything.
func (l *Lock) Release() error {
	l.mu.Lock()
	again := l.released
	l.released = true
	l.mu.Unlock()
	if again {
		return nil
	}
	err := release(l.f)
	l.end()
	return err
}
