//go:build linux

package keyringstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/fakesecrets"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// session is a store whose record is in the keyring, and what is at the desk.
type session struct {
	*desk
	store *keyringstore.Store
	key   tokensource.Key
	n     uint64 // the version of the last record
}

// begin saves the first record.
func (d *desk) begin(c keyringstore.Config) *session {
	d.t.Helper()
	s := &session{desk: d, store: d.store(c), key: newKey()}
	require.NoError(d.t, s.save(d.t.Context()))
	holds(d.t, s.store, s.key, 1, keyringstore.Keyring)
	return s
}

// save saves the next record.
func (s *session) save(ctx context.Context) error {
	err := s.store.Swap(ctx, s.key, version(s.n), version(s.n+1), []byte{byte(s.n + 1)})
	if err == nil {
		s.n++
	}
	return err
}

// saves saves the next record and asserts where it is then, and that this was
// not longer than budget in coming.
func (s *session) saves(what string, where keyringstore.Location, budget time.Duration) {
	s.t.Helper()
	start := time.Now()
	require.NoError(s.t, s.save(s.t.Context()))
	took := time.Since(start)
	s.t.Logf("%s: saved in %v", what, took.Round(100*time.Microsecond))
	if s.times != nil {
		s.times.add(what, where.String(), duration(took))
	}
	assert.Less(s.t, took, budget+2900*time.Millisecond) // less than one deadline more
	holds(s.t, s.store, s.key, s.n, where)
}

// saveWithin saves the next record for a caller who leaves before the keyring's
// own deadline.
func (s *session) saveWithin(d time.Duration) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), d)
	defer cancel()
	require.NoError(s.t, s.save(ctx), "into the file, when the caller leaves")
}

// comesHome waits until a record is in the keyring again.
func (s *session) comesHome() {
	s.t.Helper()
	eventually(s.t, "a record comes home", func() bool {
		require.NoError(s.t, s.save(s.t.Context()))
		where, err := s.store.Where(s.t.Context(), s.key)
		require.NoError(s.t, err)
		return where == keyringstore.Keyring
	})
	holds(s.t, s.store, s.key, s.n, keyringstore.Keyring)
	fresh := s.desk.store(keyringstore.Config{}) // another directory: only the keyring
	holds(s.t, fresh, s.key, s.n, keyringstore.Keyring)
}

// warmRows are what can happen in the middle of a session. Whatever it is, no
// record is lost, and none waits longer than a call to the keyring may.
var warmRows = []struct {
	name string
	run  func(d *desk)
}{
	{"the daemon is stopped", func(d *desk) {
		k := d.gnome("secret")
		d.open()
		s := d.begin(keyringstore.Config{})
		k.stop()
		s.saves("the daemon is stopped", keyringstore.Sealed, 3*time.Second)
		s.saves("the same, next save", keyringstore.Sealed, 0)
		k.resume()
		s.comesHome()
	}},
	{"the daemon is killed, and comes back", func(d *desk) {
		k := d.gnome("secret")
		d.open()
		s := d.begin(keyringstore.Config{})
		k.kill()
		s.saves("the daemon is killed", keyringstore.Sealed, 0)
		d.gnome("secret")
		d.open()
		s.comesHome()
	}},
	{"the keyring is locked, and the daemon started anew", func(d *desk) {
		k := d.gnome("secret")
		d.open()
		s := d.begin(keyringstore.Config{})
		d.lock()
		s.saves("the keyring is locked", keyringstore.Sealed, 0)
		k.kill()
		d.gnome("secret")
		d.open()
		s.comesHome()
	}},
	{"the bus is killed, and comes back", func(d *desk) {
		k := d.gnome("secret")
		d.open()
		s := d.begin(keyringstore.Config{})
		d.Kill()
		k.kill() // it ends with its bus
		s.saves("the bus is killed", keyringstore.Sealed, 0)
		bus, err := fakesecrets.StartBus(d.Dir, "")
		require.NoError(d.t, err)
		d.t.Cleanup(bus.Kill)
		d.gnome("secret")
		d.open()
		s.comesHome()
	}},
	{"the bus is stopped", func(d *desk) {
		d.gnome("secret")
		d.open()
		s := d.begin(keyringstore.Config{})
		d.stop()
		s.saveWithin(300 * time.Millisecond)
	}},
	{"the service leaves during a call", func(d *desk) {
		service := d.fake(fakesecrets.Script{})
		s := d.begin(keyringstore.Config{})
		hold := make(chan struct{})
		defer close(hold)
		service.Play(fakesecrets.Script{Hold: hold})
		saved := make(chan error, 1)
		go func() { saved <- s.save(d.t.Context()) }()
		eventually(d.t, "a call is held up", func() bool { return service.Held() > 0 })
		require.NoError(d.t, service.Close())
		require.NoError(d.t, <-saved)
		holds(d.t, s.store, s.key, 2, keyringstore.Sealed)
	}},
	{"the service is slow", func(d *desk) {
		service := d.fake(fakesecrets.Script{})
		s := d.begin(keyringstore.Config{})
		hold := make(chan struct{})
		service.Play(fakesecrets.Script{Hold: hold})
		saved := make(chan error, 1)
		go func() { saved <- s.save(d.t.Context()) }()
		eventually(d.t, "a call is held up", func() bool { return service.Held() > 0 })
		close(hold)
		require.NoError(d.t, <-saved)
		holds(d.t, s.store, s.key, 2, keyringstore.Keyring)
	}},
	{"a write asks, and the user refuses", func(d *desk) {
		service := d.fake(fakesecrets.Script{})
		s := d.begin(keyringstore.Config{})
		service.Play(fakesecrets.Script{Create: fakesecrets.Dismiss})
		s.saves("a write prompts, and is refused", keyringstore.Sealed, 0)
		assert.Equal(d.t, 1, service.Shown())
		err := swap(d.t, s.store, newKey(), 0, 1)
		require.ErrorIs(d.t, err, keyringstore.ErrNotStored, "where there is no key yet")
		service.Play(fakesecrets.Script{})
		s.comesHome()
	}},
	{"a write asks, and the user agrees a little late", func(d *desk) {
		service := d.fake(fakesecrets.Script{})
		s := d.begin(keyringstore.Config{})
		service.Play(fakesecrets.Script{Create: fakesecrets.Ignore})
		s.saves("a write prompts, and nobody answers", keyringstore.Sealed, 3*time.Second)
		s.saves("the same, next save", keyringstore.Sealed, 0)
		assertState(d.t, keyringstore.StateServiceHung, swap(d.t, s.store, newKey(), 0, 1))
		service.Play(fakesecrets.Script{})
		require.Equal(d.t, 1, service.AnswerAll(fakesecrets.Accept))
		// The worker is free again without anything being restarted, and the
		// late write outranks nothing.
		s.comesHome()
	}},
	{"a write asks, and the service is killed", func(d *desk) {
		service := d.fake(fakesecrets.Script{})
		s := d.begin(keyringstore.Config{})
		service.Play(fakesecrets.Script{Create: fakesecrets.Ignore})
		s.abandon(service)
		require.NoError(d.t, service.Close())
		// go-keyring waits for ever, and only one goroutine of it.
		s.saveWithin(300 * time.Millisecond)
		hangUp()
		again := d.fake(fakesecrets.Script{})
		for _, i := range service.Items() {
			again.Put(i)
		}
		s.comesHome()
	}},
	{"a write asks, and the bus is killed", func(d *desk) {
		service := d.fake(fakesecrets.Script{})
		s := d.begin(keyringstore.Config{})
		service.Play(fakesecrets.Script{Create: fakesecrets.Ignore})
		// go-keyring panics.
		saved := make(chan error, 1)
		go func() { saved <- s.save(d.t.Context()) }()
		eventually(d.t, "the prompt is shown", func() bool { return service.Shown() > 0 })
		d.Kill()
		require.NoError(d.t, <-saved)
		holds(d.t, s.store, s.key, 2, keyringstore.Sealed)
	}},
	{"writes are dropped in silence", func(d *desk) {
		service := d.fake(fakesecrets.Script{})
		s := d.begin(keyringstore.Config{})
		service.Play(fakesecrets.Script{Drop: true})
		s.saves("a write is dropped in silence", keyringstore.Sealed, 0)
		require.ErrorIs(d.t, swap(d.t, s.store, newKey(), 0, 1), keyringstore.ErrNotStored)
		service.Play(fakesecrets.Script{})
		s.comesHome()
	}},
	{"writes are torn", func(d *desk) {
		service := d.fake(fakesecrets.Script{})
		s := d.begin(keyringstore.Config{})
		service.Play(fakesecrets.Script{Torn: true})
		require.ErrorIs(d.t, swap(d.t, s.store, newKey(), 0, 1), keyringstore.ErrNotStored)
		s.saves("a write leaves an item without a secret", keyringstore.Sealed, 0)
	}},
}

// abandon begins to save, and leaves when the prompt is shown.
func (s *session) abandon(service *fakesecrets.Service) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	saved := make(chan error, 1)
	go func() { saved <- s.save(ctx) }()
	eventually(s.t, "the prompt is shown", func() bool { return service.Shown() > 0 })
	cancel()
	require.NoError(s.t, <-saved)
}

// Guards the deadline, the file and the way back in write, guarded, and the
// worker's memory of a call that hangs.
func TestWhateverHappensToTheKeyringEachRecordIsKept(t *testing.T) {
	needKeyring(t)
	table := &timetable{head: []string{"what happens before a save", "the record is then", "the save took"}}
	ran := 0
	for _, row := range warmRows {
		leavesNothing(t, row.name, func(_ *testing.T, d *desk) {
			d.times = table
			row.run(d)
			ran++
		})
	}
	table.onThePage(t, "saves", ran == len(warmRows))
}
