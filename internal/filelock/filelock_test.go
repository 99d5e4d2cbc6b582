package filelock_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
)

// childEnv makes the test binary one of the programs below instead.
const childEnv = "PAWL_FILELOCK_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "hold":
		childHold(os.Args[1])
	case "count":
		childCount(os.Args[1], os.Args[2])
	default:
		os.Exit(m.Run())
	}
}

// childHold takes the lock, says so, and holds it until its stdin ends.
func childHold(path string) {
	var locks filelock.Locks
	l, err := locks.Lock(context.Background(), path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = l.Release()
}

// childCount adds 1 to the number in path+".n", n times, each under the lock.
func childCount(path, n string) {
	var locks filelock.Locks
	times, _ := strconv.Atoi(n)
	for range times {
		l, err := locks.Lock(context.Background(), path)
		if err == nil {
			err = increment(path + ".n")
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		_ = l.Release()
	}
}

func increment(path string) error {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	n, _ := strconv.Atoi(string(text))
	return os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o600)
}

func child(t *testing.T, mode string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv+"="+mode)
	return cmd
}

// startHolder returns a running process that holds the lock.
func startHolder(t *testing.T, path string) (cmd *exec.Cmd, stdin io.Closer) {
	t.Helper()
	cmd = child(t, "hold", path)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "locked\n", line)
	return cmd, in
}

// eventually polls: neither the kernel nor the runtime signals what it waits
// for.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
		require.True(t, time.Now().Before(end), what)
	}
}

// waiting counts the goroutines of this package that wait in the kernel.
func waiting() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "filelock.wait.func1(")
}

// Guards lockFile in acquire: without it both processes count at once.
func TestProcessesExcludeEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	const processes, times = 4, 200
	var all sync.WaitGroup
	for range processes {
		all.Go(func() {
			out, err := child(t, "count", path, strconv.Itoa(times)).CombinedOutput()
			assert.NoError(t, err, "%s", out)
		})
	}
	all.Wait()
	text, err := os.ReadFile(path + ".n")
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(processes*times), string(text))
}

// Guards the opening of the file anew for each acquisition.
func TestGoroutinesExcludeEachOtherWithOneLocksAndWithSeveral(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	var shared filelock.Locks
	var held, total atomic.Int32 // the race detector knows nothing of the kernel's locks
	var all sync.WaitGroup
	for i := range 8 {
		locks := &shared
		if i%2 == 0 {
			locks = new(filelock.Locks)
		}
		all.Go(func() {
			for range 100 {
				l, err := locks.Lock(t.Context(), path)
				if !assert.NoError(t, err) {
					return
				}
				assert.EqualValues(t, 1, held.Add(1))
				total.Add(1)
				held.Add(-1)
				assert.NoError(t, l.Release())
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, 800, total.Load())
	assert.Zero(t, filelock.Paths(&shared), "a path nobody uses is forgotten")
}

func TestLockIsFreeAgainWhenItsHolderIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	holder, _ := startHolder(t, path)
	var locks filelock.Locks
	_, err := locks.TryLock(path)
	require.ErrorIs(t, err, filelock.ErrHeld)

	got := make(chan error, 1)
	go func() {
		l, err := locks.Lock(t.Context(), path)
		if err == nil {
			err = l.Release()
		}
		got <- err
	}()
	eventually(t, "the wait reaches the kernel", func() bool { return waiting() == 1 })
	require.NoError(t, holder.Process.Kill())
	assert.NoError(t, <-got)
}

// Guards the ctx.Done case of the goroutine in wait (the lock would stay with
// a caller who left) and its end() (the turn would).
func TestWaitGivenUpHandsTheLockBackAndLeavesNothingBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	_, stdin := startHolder(t, path)
	var locks filelock.Locks
	cause := errors.New("the caller left")
	ctx, cancel := context.WithCancelCause(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := locks.Lock(ctx, path)
		got <- err
	}()
	eventually(t, "the wait reaches the kernel", func() bool { return waiting() == 1 })
	cancel(cause)
	require.ErrorIs(t, <-got, cause)

	// Callers who come and go while the lock is held add no waiter each.
	for range 20 {
		short, end := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := locks.Lock(short, path)
		end()
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	assert.Equal(t, 1, waiting())

	require.NoError(t, stdin.Close())
	bounded, end := context.WithTimeout(t.Context(), 10*time.Second)
	defer end()
	l, err := locks.Lock(bounded, path)
	require.NoError(t, err)
	require.NoError(t, l.Release())
	eventually(t, "no goroutine stays behind", func() bool { return waiting() == 0 })
	assert.Zero(t, filelock.Paths(&locks))
}

func TestLockReturnsTheCauseOfAContextThatHasEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	cause := errors.New("over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := new(filelock.Locks).Lock(ctx, path)
	require.ErrorIs(t, err, cause)
	assert.NoFileExists(t, path)
}

// Guards the kernel's queue against a return to polling: a process that
// releases the lock and takes it again at once goes behind those who wait.
func TestWaiterIsServedBeforeTheHolderComesAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	var mine, theirs filelock.Locks // two Locks: the queue is the kernel's
	l, err := mine.Lock(t.Context(), path)
	require.NoError(t, err)
	const rounds = 50
	done := make(chan error, 1)
	go func() {
		for range rounds {
			l, err := theirs.Lock(t.Context(), path)
			if err != nil {
				done <- err
				return
			}
			_ = l.Release()
		}
		done <- nil
	}()
	taken := 0
	for ; ; taken++ {
		if taken < rounds {
			// The other is in the queue before the lock is released.
			eventually(t, "the other waits", func() bool { return waiting() >= 1 || len(done) > 0 })
		}
		require.NoError(t, l.Release())
		if len(done) > 0 {
			break
		}
		l, err = mine.Lock(t.Context(), path)
		require.NoError(t, err)
	}
	require.NoError(t, <-done)
	assert.LessOrEqual(t, taken, 4*rounds, "the holder took the lock again and again")
}

// Guards the check of current in acquire.
func TestLockOnAFileThatWasRemovedMeanwhileIsTakenOnTheNewOne(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows removes no file that is open")
	}
	path := filepath.Join(t.TempDir(), "a.lock")
	var first, second, third filelock.Locks
	held, err := first.Lock(t.Context(), path)
	require.NoError(t, err)
	got := make(chan *filelock.Lock, 1)
	go func() {
		l, err := second.Lock(t.Context(), path)
		assert.NoError(t, err)
		got <- l
	}()
	eventually(t, "the wait reaches the kernel", func() bool { return waiting() == 1 })
	require.NoError(t, os.Remove(path)) // what nobody should do
	require.NoError(t, held.Release())
	l := <-got
	_, err = third.TryLock(path)
	require.ErrorIs(t, err, filelock.ErrHeld)
	require.NoError(t, l.Release())
}

func TestReleasedLockIsNotExtendedAndIsReleasedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	var locks filelock.Locks
	l, err := locks.TryLock(path)
	require.NoError(t, err)
	require.NoError(t, l.Extend(t.Context(), time.Hour))
	require.NoError(t, l.Release())
	require.NoError(t, l.Release())
	require.ErrorIs(t, l.Extend(t.Context(), time.Hour), filelock.ErrReleased)

	again, err := locks.TryLock(path)
	require.NoError(t, err, "a second Release of the old lock must not end the new one's turn")
	require.NoError(t, again.Release())
	info, err := os.Stat(path)
	require.NoError(t, err, "the lock file stays")
	if runtime.GOOS != "windows" {
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

func TestLockInAMissingDirectoryIsAnError(t *testing.T) {
	_, err := new(filelock.Locks).Lock(t.Context(), filepath.Join(t.TempDir(), "no", "a.lock"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func BenchmarkLockAndRelease(b *testing.B) {
	path := filepath.Join(b.TempDir(), "a.lock")
	var locks filelock.Locks
	for b.Loop() {
		l, err := locks.Lock(b.Context(), path)
		if err != nil {
			b.Fatal(err)
		}
		_ = l.Release()
	}
}
