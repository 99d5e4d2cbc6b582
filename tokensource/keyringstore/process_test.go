package keyringstore_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// childEnv makes the test binary one of the programs below instead.
const childEnv = "PAWL_KEYRINGSTORE_CHILD"

func TestMain(m *testing.M) {
	mode := os.Getenv(childEnv)
	if mode == "" {
		os.Exit(m.Run())
	}
	kind, dir, profile := os.Args[1], os.Args[2], os.Args[3]
	store, err := openKind(kind, dir)
	if err == nil {
		key := tokensource.NewKey("https://as.example", "process", profile)
		switch mode {
		case "count":
			err = childCount(store, key, os.Args[4])
		case "hold":
			err = childHold(store, key)
		case "rotate":
			err = childRotate(store, key)
		case "step":
			err = childStep(store.(*keyringstore.Store), key)
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// record makes the n-th record: n, then bytes that follow from n. Its length
// changes between what the keyring takes and what it does not, and from one
// page to several.
func record(n uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	sum := sha256.Sum256(b)
	for size := []int{40, 1200, 2100, 6000}[sum[0]%4]; len(b) < size; {
		b = append(b, sum[:]...)
		sum = sha256.Sum256(sum[:])
	}
	return b
}

// number tells which record it is, and whether it is whole.
func number(data []byte) (uint64, bool) {
	if len(data) < 8 {
		return 0, false
	}
	n := binary.BigEndian.Uint64(data)
	return n, bytes.Equal(data, record(n))
}

// step makes one record of the next number, whatever holds the store up.
func step(store tokensource.Store, key tokensource.Key) (uint64, error) {
	ctx := context.Background()
	for {
		old, data, err := store.Load(ctx, key)
		var n uint64
		switch {
		case err == nil:
			var whole bool
			if n, whole = number(data); !whole {
				return 0, errors.New("the record is torn")
			}
		case !errors.Is(err, tokensource.ErrNotFound):
			return 0, err
		}
		err = store.Swap(ctx, key, old, randomVersion(), record(n+1))
		if err == nil {
			return n + 1, nil
		}
		if !errors.Is(err, tokensource.ErrConflict) {
			return 0, err
		}
	}
}

// childCount adds 1 to the record, n times, without a lease.
func childCount(store tokensource.Store, key tokensource.Key, n string) error {
	times, _ := strconv.Atoi(n)
	for range times {
		if _, err := step(store, key); err != nil {
			return err
		}
	}
	return nil
}

func childHold(store tokensource.Store, key tokensource.Key) error {
	if _, err := store.Lock(context.Background(), key); err != nil {
		return err
	}
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// childRotate adds 1 under the lease until it is killed, and says so each time.
func childRotate(store tokensource.Store, key tokensource.Key) error {
	for {
		lease, err := store.Lock(context.Background(), key)
		if err != nil {
			return err
		}
		n, err := step(store, key)
		if err != nil {
			return err
		}
		fmt.Println(n)
		if err := lease.Release(); err != nil {
			return err
		}
	}
}

// childStep adds 1 for each line that it reads, and says where the record is
// and how many milliseconds that took.
func childStep(store *keyringstore.Store, key tokensource.Key) error {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		start := time.Now()
		n, err := step(store, key)
		if err != nil {
			return err
		}
		where, err := store.Where(context.Background(), key)
		if err != nil {
			return err
		}
		fmt.Println(n, where, time.Since(start).Milliseconds())
	}
	return nil
}

func child(t *testing.T, mode string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv+"="+mode)
	cmd.Stderr = os.Stderr
	return cmd
}

func newProfile() (profile string, key tokensource.Key) {
	profile = fmt.Sprintf("%x", randomVersion())
	return profile, tokensource.NewKey("https://as.example", "process", profile)
}

// Guards the swap lock between processes: without it counts are lost.
func TestProcessesThatSwapWithoutALeaseLoseNoUpdate(t *testing.T) {
	eachKind(t, true, func(t *testing.T, name string) {
		dir := t.TempDir()
		profile, key := newProfile()
		const processes, times = 3, 15
		var all sync.WaitGroup
		for range processes {
			all.Go(func() {
				out, err := child(t, "count", name, dir, profile, strconv.Itoa(times)).Output()
				assert.NoError(t, err, "%s", out)
			})
		}
		all.Wait()
		store, err := openKind(name, dir)
		require.NoError(t, err)
		_, data, err := store.Load(t.Context(), key)
		require.NoError(t, err)
		n, whole := number(data)
		assert.True(t, whole)
		assert.EqualValues(t, processes*times, n)
	})
}

func TestLeaseEndsWithItsHolder(t *testing.T) {
	eachKind(t, true, func(t *testing.T, name string) {
		dir := t.TempDir()
		profile, key := newProfile()
		holder := child(t, "hold", name, dir, profile)
		_, err := holder.StdinPipe()
		require.NoError(t, err)
		out, err := holder.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, holder.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "locked\n", line)

		store, err := openKind(name, dir)
		require.NoError(t, err)
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err = store.Lock(short, key)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, holder.Process.Kill())
		_ = holder.Wait()
		lease, err := store.Lock(t.Context(), key)
		require.NoError(t, err)
		require.NoError(t, lease.Release())
	})
}

// Guards the order of all that Swap writes, and of what look reads: about a
// hundred processes are killed while they rotate, and a reader without a lock
// never sees a torn record, an older one, or one that lacks what a process had
// been told was safe.
func TestKillingProcessesAtAnyMomentTearsNothingAndLosesNothing(t *testing.T) {
	eachKind(t, true, func(t *testing.T, name string) {
		kills, between := 100, 40
		if name == "keyring" {
			between = 150 // a rotation takes ten times as long
		}
		if testing.Short() {
			kills = 20
		}
		dir := t.TempDir()
		profile, key := newProfile()
		store, err := openKind(name, dir)
		require.NoError(t, err)
		var acked atomic.Uint64
		var all sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		all.Go(func() { verify(t, ctx, store, key, &acked) })

		random := rand.New(rand.NewPCG(1, 2)) // the same moments each time
		var running []*exec.Cmd
		for range kills {
			for len(running) < 3 {
				cmd := child(t, "rotate", name, dir, profile)
				out, err := cmd.StdoutPipe()
				require.NoError(t, err)
				require.NoError(t, cmd.Start())
				all.Go(func() { hear(t, out, &acked) })
				running = append(running, cmd)
			}
			// Killing at random is what the time is for, not waiting for
			// something to have happened.
			time.Sleep(time.Duration(random.IntN(between)) * time.Millisecond)
			i := random.IntN(len(running))
			require.NoError(t, running[i].Process.Kill())
			_ = running[i].Wait()
			running = append(running[:i], running[i+1:]...)
		}
		eventually(t, "some record was acknowledged", func() bool { return acked.Load() > 0 })
		for _, cmd := range running {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		stop()
		all.Wait()
		n, err := step(store, key)
		require.NoError(t, err)
		assert.Greater(t, n, acked.Load())
		t.Logf("%s: %d kills, %d records", name, kills, n)
	})
}

// hear collects what a process was told is safe. What a killed one printed by
// halves is not a number, and a torn number is only ever a smaller one.
func hear(t *testing.T, out io.Reader, acked *atomic.Uint64) {
	for in := bufio.NewScanner(out); in.Scan(); {
		n, err := strconv.ParseUint(in.Text(), 10, 64)
		if !assert.NoError(t, err, "a process failed") {
			return
		}
		for old := acked.Load(); n > old && !acked.CompareAndSwap(old, n); old = acked.Load() {
		}
	}
}

// verify reads without a lock until ctx ends.
func verify(t *testing.T, ctx context.Context, store tokensource.Store, key tokensource.Key, acked *atomic.Uint64) {
	var last uint64
	reads := 0
	for ctx.Err() == nil {
		floor := max(last, acked.Load())
		_, data, err := store.Load(t.Context(), key)
		if errors.Is(err, tokensource.ErrNotFound) && floor == 0 {
			continue
		}
		if !assert.NoError(t, err) {
			return
		}
		n, whole := number(data)
		if !assert.True(t, whole, "a torn record") ||
			!assert.GreaterOrEqual(t, n, floor, "the record went back (last read %d)", last) {
			return
		}
		last = n
		reads++
	}
	t.Logf("%d reads", reads)
}
