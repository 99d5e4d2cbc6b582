package storetest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/storetest"
)

func randomName() string  { return rand.Text() }
func processName() string { return strconv.Itoa(os.Getpid()) }

// brokenStores are broken in one way each, and turn these clauses red.
var brokenStores = []struct {
	name   string
	config storetest.Config
	red    []string
}{
	{"Load finds an empty record where there is none", broken(func(d *double) {
		d.load = func(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
			v, data, err := d.Store.Load(ctx, key)
			if errors.Is(err, tokensource.ErrNotFound) {
				err = nil
			}
			return v, data, err
		}
	}), []string{"Load/nothing is ErrNotFound"}},
	{"each open store has records of its own", files(func(f *file) { f.dir += randomName(); _ = os.Mkdir(f.dir, 0o700) }),
		[]string{"Load/returns the last record", "Session/goes on in the next process"}},
	{"records are kept and given out as they are", broken(keepSlices),
		[]string{"Load/gives a copy", "Swap/keeps no data"}},
	{"Load takes the lease", broken(func(d *double) {
		d.load = func(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
			lease, err := d.Store.Lock(ctx, key)
			if err != nil {
				return tokensource.Version{}, nil, err
			}
			defer func() { _ = lease.Release() }()
			return d.Store.Load(ctx, key)
		}
	}), []string{"Load/takes no lease"}},
	{"Load reads a copy that lags behind", broken(lagBehind), []string{"Load/never goes back", "Load/returns the last record"}},
	{"a record is written over in place", files(func(f *file) { f.inPlace = true }),
		[]string{"Load/never goes back", "Process/kill -9 at any moment"}},
	{"no method looks at its context", broken(func(d *double) {
		d.load = func(_ context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
			return d.Store.Load(context.Background(), key)
		}
		d.swap = func(_ context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
			return d.Store.Swap(context.Background(), key, old, new, data)
		}
		d.lock = func(_ context.Context, key tokensource.Key) (tokensource.Lease, error) {
			return d.Store.Lock(context.Background(), key)
		}
	}), []string{"Load/obeys its context", "Swap/obeys its context"}},
	{"Lock waits for ever", broken(func(d *double) {
		d.lock = func(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
			got, err := d.Store.Lock(context.WithoutCancel(ctx), key)
			return got, err
		}
	}), []string{"Lock/obeys its context"}},
	{"Swap does not compare", broken(func(d *double) { d.swap = overWhatever(d) }), []string{
		"Swap/compares versions", "Swap/one of many wins", "Swap/loses no update",
		"Session/a logout wins over a refresh", "Session/a late writer drops its child"}},
	{"Swap takes any version that ever was", broken(func(d *double) {
		var seen sync.Map
		d.swap = func(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
			if _, ok := seen.Load(old); !ok && old != (tokensource.Version{}) {
				return tokensource.ErrConflict
			}
			seen.Store(new, true)
			return overWhatever(d)(ctx, key, old, new, data)
		}
	}), []string{"Swap/compares versions", "Session/a logout wins over a refresh"}},
	{"Swap writes and calls it a conflict", broken(func(d *double) {
		var n atomic.Int32
		d.swap = func(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
			err := d.Store.Swap(ctx, key, old, new, data)
			if err == nil && n.Add(1)%5 == 0 {
				return tokensource.ErrConflict
			}
			return err
		}
	}), []string{"Swap/loses no update"}},
	{"Swap forgets the record when it is interrupted", broken(func(d *double) {
		d.swap = func(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
			err := d.Store.Swap(ctx, key, old, new, data)
			if err != nil && ctx.Err() != nil {
				_ = d.Store.Swap(context.Background(), key, old, tokensource.Version{9}, nil)
			}
			return err
		}
	}), []string{"Swap/leaves the old record or the new", "Swap/obeys its context"}},
	{"Swap takes the zero version", broken(func(d *double) {
		d.swap = func(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
			if new == (tokensource.Version{}) {
				return nil
			}
			return d.Store.Swap(ctx, key, old, new, data)
		}
	}), []string{"Swap/refuses the zero version"}},
	{"an empty record counts as none", broken(func(d *double) {
		d.load = func(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
			v, data, err := d.Store.Load(ctx, key)
			if err == nil && len(data) == 0 {
				return tokensource.Version{}, nil, tokensource.ErrNotFound
			}
			return v, data, err
		}
	}), []string{"Swap/an empty record is one"}},
	{"records are cut short", broken(alter(func(data []byte) []byte { return data[:min(len(data), 10000)] })),
		[]string{"Swap/takes any length"}},
	{"records are text", broken(alter(func(data []byte) []byte { return bytes.ToValidUTF8(bytes.TrimSpace(data), []byte("?")) })),
		[]string{"Swap/takes any bytes"}},
	{"what is too long is cut short", func() storetest.Config {
		c := broken(alter(func(data []byte) []byte { return data[:min(len(data), 65536)] }))
		c.MaxData = 65536
		return c
	}(), []string{"Swap/refuses what is too long"}},
	{"all keys are one", broken(func(d *double) {
		d.load = func(ctx context.Context, _ tokensource.Key) (tokensource.Version, []byte, error) {
			return d.Store.Load(ctx, oneKey)
		}
		d.swap = func(ctx context.Context, _ tokensource.Key, old, new tokensource.Version, data []byte) error {
			return d.Store.Swap(ctx, oneKey, old, new, data)
		}
		d.lock = func(ctx context.Context, _ tokensource.Key) (tokensource.Lease, error) {
			return d.Store.Lock(ctx, oneKey)
		}
	}), []string{"Swap/keeps keys apart", "Lock/a lease for each key"}},
	{"Swap takes the lease", broken(func(d *double) {
		d.swap = func(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
			lease, err := d.Store.Lock(ctx, key)
			if err != nil {
				return err
			}
			defer func() { _ = lease.Release() }()
			return d.Store.Swap(ctx, key, old, new, data)
		}
	}), []string{"Swap/needs no lease"}},
	{"everyone gets the lease", broken(func(d *double) { d.lock = freeForAll }), []string{
		"Lock/one holder at a time", "Lock/waits for the release", "Lock/releases once"}},
	{"nothing keeps anyone apart", broken(func(d *double) {
		d.lock = freeForAll
		d.swap = func(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
			pass(20 * time.Millisecond)
			return overWhatever(d)(ctx, key, old, new, data)
		}
	}), []string{"Session/spends each refresh token once"}},
	{"a lease ends with the context of Lock", broken(func(d *double) {
		d.lock = func(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
			got, err := d.Store.Lock(ctx, key)
			if err == nil {
				context.AfterFunc(ctx, func() { _ = got.Release() })
			}
			return got, err
		}
	}), []string{"Lock/outlives its context"}},
	{"whoever leaves takes the lease along", broken(func(d *double) {
		d.lock = func(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
			got := make(chan tokensource.Lease, 1)
			go func() {
				if lease, err := d.Store.Lock(context.Background(), key); err == nil {
					got <- lease
				}
			}()
			select {
			case lease := <-got:
				return lease, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
	}), []string{"Lock/obeys its context"}},
	{"Extend confirms everything", broken(func(d *double) {
		d.lock = func(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
			got, err := d.Store.Lock(ctx, key)
			return lease{Lease: got, extend: func(context.Context, time.Duration) error { return nil }}, err
		}
	}), []string{"Lock/confirms what is held"}},
	{"leases never expire", newLeases(leaseTime, func(l *leases) { l.forever = true }), []string{"Lock/expires"}},
	{"Extend confirms more than it grants", newLeases(leaseTime, func(l *leases) { l.ignoreD = true }), []string{"Lock/lasts as long as confirmed"}},
	{"Extend confirms what was lost", newLeases(leaseTime, func(l *leases) { l.alwaysConfirm = true }), []string{"Lock/is known to be lost"}},
	{"Release takes the lease from its next holder", newLeases(leaseTime, func(l *leases) { l.releaseAny = true }), []string{
		"Lock/releases once", "Lock/is known to be lost"}},
	{"Load gives versions of its own", broken(func(d *double) {
		d.load = func(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
			v, data, err := d.Store.Load(ctx, key)
			v[0] ^= 1
			return v, data, err
		}
	}), []string{"Session/knows its own write", "Load/returns the last record"}},
	{"errors tell the record", broken(func(d *double) {
		d.swap = func(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
			if err := d.Store.Swap(ctx, key, old, new, data); err != nil {
				return fmt.Errorf("swapping %q: %w", data, err)
			}
			return nil
		}
	}), []string{"Hygiene/no error shows the record"}},
	{"the store shows what it keeps", broken(keepSlices), []string{"Hygiene/no value shows the record"}},
	{"each call leaves a goroutine", broken(func(d *double) {
		d.load = func(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
			go func() { select {} }()
			return d.Store.Load(ctx, key)
		}
	}), []string{"Hygiene/leaves no goroutine"}},
	{"processes compare without a lock", files(func(f *file) { f.unlocked = true }), []string{"Process/lose no update"}},
	{"each process has a lease of its own", files(func(f *file) { f.ownProcess = true }), []string{"Process/one holder at a time"}},
	{"Lock polls", files(func(f *file) { f.polls = true }), []string{"Process/nobody starves"}},
	{"the lease outlives its process", files(func(f *file) { f.exclusive = true }), []string{"Process/a lease ends with its process"}},
	{"a record is called safe before it is", files(func(f *file) { f.early = true }), []string{"Process/kill -9 at any moment"}},
}

// fromTheSession lists clauses that no store can break.
var fromTheSession = map[string]string{
	"Session/reserves before it spends": "the Session's own promise: it is red when the mark is taken out of spend.go",
}

const leaseTime = 300 * time.Millisecond

var oneKey = tokensource.NewKey("all", "the", "same")

// overWhatever swaps over any version.
func overWhatever(d *double) func(context.Context, tokensource.Key, tokensource.Version, tokensource.Version, []byte) error {
	return func(ctx context.Context, key tokensource.Key, _, new tokensource.Version, data []byte) error {
		for {
			v, _, err := d.Store.Load(ctx, key)
			if err != nil && !errors.Is(err, tokensource.ErrNotFound) {
				return err
			}
			if err = d.Store.Swap(ctx, key, v, new, data); !errors.Is(err, tokensource.ErrConflict) {
				return err
			}
		}
	}
}

func freeForAll(ctx context.Context, _ tokensource.Key) (tokensource.Lease, error) {
	return tokensource.NewMemoryStore().Lock(ctx, oneKey)
}

// alter changes records on their way in.
func alter(how func([]byte) []byte) func(*double) {
	return func(d *double) {
		d.swap = func(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
			return d.Store.Swap(ctx, key, old, new, how(data))
		}
	}
}

// shelf keeps records as they are, for all to see.
type shelf struct {
	*double
	mu      sync.Mutex // guards records
	records map[tokensource.Version][]byte
}

func keepSlices(d *double) {
	s := &shelf{records: map[tokensource.Version][]byte{}}
	inner := tokensource.NewMemoryStore()
	d.Store = struct {
		tokensource.Store
		shelf *shelf
	}{inner, s}
	d.swap = func(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
		err := inner.Swap(ctx, key, old, new, data)
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.records[new] = data
		}
		return err
	}
	d.load = func(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
		v, _, err := inner.Load(ctx, key)
		s.mu.Lock()
		defer s.mu.Unlock()
		return v, s.records[v], err
	}
}

// lagBehind has every third Load return the record before the last.
func lagBehind(d *double) {
	type state struct {
		v    tokensource.Version
		data []byte
	}
	var mu sync.Mutex // guards n and states
	n, states := 0, map[tokensource.Key][2]state{}
	d.swap = func(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
		err := d.Store.Swap(ctx, key, old, new, data)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			states[key] = [2]state{states[key][1], {new, bytes.Clone(data)}}
		}
		return err
	}
	d.load = func(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
		v, data, err := d.Store.Load(ctx, key)
		mu.Lock()
		defer mu.Unlock()
		n++
		if before := states[key][0]; n%3 == 0 && before.data != nil {
			return before.v, before.data, nil
		}
		return v, data, err
	}
}

// brokenVar lets a process run the suite over broken stores.
const brokenVar = "PAWL_STORETEST_BROKEN"

// Guards every clause: a suite that cannot fail proves nothing.
func TestEachBrokenStoreTurnsItsClauseRed(t *testing.T) {
	for _, b := range brokenStores {
		t.Run(b.name, func(t *testing.T) {
			if os.Getenv(brokenVar) != "" {
				storetest.RunConfig(t, storetest.WithPatience(b.config, 2*time.Second))
				return
			}
			t.Parallel()
			for _, name := range b.red {
				turnsRed(t, name)
			}
		})
	}
}

// turnsRed runs one clause over the broken store of t, in another process.
func turnsRed(t *testing.T, name string) {
	group, clause, _ := strings.Cut(name, "/")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.timeout=2m",
		"-test.run="+only(t.Name()+"/"+group+"/"+clause))
	cmd.Env = append(os.Environ(), brokenVar+"=1")
	raw, err := cmd.CombinedOutput()
	out := string(raw)
	failed := "--- FAIL: " + t.Name() + "/" + group + "/" + strings.ReplaceAll(clause, " ", "_") + " "
	if err == nil || !strings.Contains(out, failed) || !strings.Contains(out, storetest.Says(name)) || strings.Contains(out, "panic:") {
		t.Errorf("%s did not fail as it should: %v\n%.3000s", name, err, out)
	}
}

// only returns the pattern for one test.
func only(name string) string {
	parts := strings.Split(strings.ReplaceAll(name, " ", "_"), "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

func TestEveryClauseHasAStoreThatBreaksIt(t *testing.T) {
	var red []string
	for _, b := range brokenStores {
		red = append(red, b.red...)
	}
	all := storetest.Clauses()
	for _, name := range all {
		assert.True(t, slices.Contains(red, name) || fromTheSession[name] != "", name)
	}
	for _, name := range red {
		require.Contains(t, all, name)
	}
}

// The doubles are broken only where they are told to be.
func TestStoresThatAreNotBrokenKeepTheContract(t *testing.T) {
	t.Run("in memory", func(t *testing.T) { storetest.RunConfig(t, broken(func(*double) {})) })
	t.Run("with leases that expire", func(t *testing.T) { storetest.RunConfig(t, newLeases(leaseTime, func(*leases) {})) })
	t.Run("in files", func(t *testing.T) { storetest.RunConfig(t, files(func(*file) {})) })
}
