package keyringstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// vault is the part of a keyring that a Store uses. None of it obeys a
// context but check, and any of it may hang for ever or panic.
type vault interface {
	// check tells, without a prompt and without starting anything, whether
	// the keyring would answer. It returns soon after ctx ends.
	check(ctx context.Context) error
	// get returns all entries under a name, of which there should be one,
	// and an error that matches errNoEntry where there is none.
	get(service, user string) ([]string, error)
	// set tells whether somebody, or something, answered a prompt for it.
	set(service, user, secret string) (prompted bool, err error)
	// remove deletes all entries under a name.
	remove(service, user string) error
}

// process is the worker of the keyring of the operating system: package-level
// state, because what it guards is. go-keyring keeps one D-Bus connection per
// process behind a mutex of its own, so when a call hangs, those of every
// other Store hang behind it; one worker lets one goroutine hang, not one per
// call.
var process = sync.OnceValue(func() *worker { return newWorker(osKeyring{}) })

// coolDown is how long a keyring that did not answer is left alone. A stopped
// daemon would otherwise cost each operation its whole deadline.
const coolDown = 5 * time.Second

// maxPrompts is how many prompts for a write a process puts up with; from then
// on it writes to the file where that will do. Each prompt leaves a channel in
// go-keyring that every later answer is sent to and nobody reads: a hundred
// would leave five thousand goroutines. KeePassXC answers every write by a
// prompt, seen or not.
const maxPrompts = 4

// errLeft marks that a caller's context ended.
var errLeft = errors.New("keyringstore: the caller left")

// worker runs the calls of a keyring one at a time, each in a goroutine that
// its caller leaves when the time is up. At most one goroutine exists.
type worker struct {
	vault   vault
	slot    chan struct{} // holds one element while a call runs
	prompts atomic.Int64  // how many writes were answered by one

	mu       sync.Mutex // guards all below; never held across I/O or a wait
	deadline time.Time  // of the call that runs; zero while none does
	avoid    time.Time  // until when the keyring is left alone
	why      error      // what the last call met that was not answered in time
}

func newWorker(v vault) *worker {
	return &worker{vault: v, slot: make(chan struct{}, 1)}
}

// run runs call, unless its turn does not come before ctx or the deadline
// ends, and waits for it as long. It calls done once in any case: when call
// has returned, be it long after run has, or when it is clear that it will
// never run.
func (w *worker) run(ctx context.Context, deadline time.Time, call func() error, done func()) error {
	return w.wait(ctx, deadline, 0, func(context.Context) error { return call() }, done)
}

// wait is run for a call that may obey its context, and then gets some slack to
// say what it met.
func (w *worker) wait(ctx context.Context, deadline time.Time, slack time.Duration, call func(context.Context) error, done func()) error {
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, ErrHung)
	defer cancel()
	if err := w.enter(ctx, deadline); err != nil {
		done()
		return err
	}
	result := make(chan error, 1)
	go func() {
		err := guarded(ctx, call)
		if !errors.Is(err, ErrHung) {
			w.trip(time.Time{}, nil) // it lives
		}
		// Before the caller hears of it, so that what it does next finds
		// the slot and the caller's locks free.
		done()
		w.leave()
		result <- err
	}()
	var err error
	select {
	case err = <-result:
	case <-ctx.Done():
		select {
		case err = <-result:
		case <-time.After(slack):
			err = left(ctx, StateServiceHung)
		}
	}
	if errors.Is(err, ErrHung) {
		w.trip(time.Now().Add(coolDown), err)
	}
	return err
}

// check runs the keyring's check, for which there is d.
func (w *worker) check(ctx context.Context, d time.Duration) error {
	return w.wait(ctx, time.Now().Add(d), checkSlack, w.vault.check, func() {})
}

// enter takes the slot. It does not wait behind a call that hangs.
func (w *worker) enter(ctx context.Context, deadline time.Time) error {
	if ctx.Err() != nil {
		return left(ctx, StateServiceHung)
	}
	if err := w.hung(); err != nil {
		return err
	}
	select {
	case w.slot <- struct{}{}:
	case <-ctx.Done():
		return left(ctx, StateServiceHung)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = deadline
	return nil
}

func (w *worker) leave() {
	w.mu.Lock()
	w.deadline = time.Time{}
	w.mu.Unlock()
	<-w.slot
}

// hung returns an error while the keyring is to be left alone.
func (w *worker) hung() error {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !now.Before(w.avoid) && (w.deadline.IsZero() || !now.After(w.deadline)) {
		return nil
	}
	if w.why != nil {
		return w.why
	}
	// Its caller left before the deadline, and it has not come back since.
	return &StateError{State: StateServiceHung}
}

// nags tells that the keyring prompts at writes.
func (w *worker) nags() bool { return w.prompts.Load() >= maxPrompts }

// patience is the time in which a keyring has to answer a check. One that has
// not answered since it last failed to gets little. Any other gets as much as
// for a call: on a machine whose processors are all taken half a second means
// nothing, and to call a keyring hung that is only slow fails a program for no
// reason.
func (w *worker) patience() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.avoid.IsZero() {
		return callTime
	}
	return checkTime
}

func (w *worker) trip(until time.Time, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.avoid, w.why = until, why
}

// left tells a deadline of the keyring, which state stands for, from the end
// of the caller's context.
func left(ctx context.Context, state State) error {
	if err := context.Cause(ctx); !errors.Is(err, ErrHung) {
		return fmt.Errorf("%w: %w", errLeft, err)
	}
	return &StateError{State: state}
}

// guarded turns a panic into an error: go-keyring dereferences nil when the
// bus dies while a prompt is open. The panic's value stays unprinted, since a
// secret was among the arguments.
func guarded(ctx context.Context, call func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: it panicked with a %T", ErrFailed, p)
		}
	}()
	return call(ctx)
}
