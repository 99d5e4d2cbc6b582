//go:build linux

package keyringstore_test

import (
	"bytes"
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/fakesecrets"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// notice collects what is said before a prompt.
type notice struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notice) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

func (n *notice) lines() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Split(strings.TrimSuffix(n.text.String(), "\n"), "\n")
}

// atTheScreen makes this process one that somebody sits in front of.
func atTheScreen(t *testing.T) {
	t.Helper()
	t.Setenv("DISPLAY", ":0")
	t.Setenv("WAYLAND_DISPLAY", "")
	t.Setenv("SSH_CONNECTION", "")
}

// Guards Config.Interactive and promptSeen: nobody else's screen gets a dialog.
func TestLockedKeyringPromptsOnlyWhereSomebodySeesIt(t *testing.T) {
	rows := []struct {
		name        string
		interactive bool
		env         [2]string
	}{
		{"a program that does not say so", false, [2]string{}},
		{"no screen", true, [2]string{"DISPLAY", ""}},
		{"a session of ssh", true, [2]string{"SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22"}},
	}
	for _, row := range rows {
		leavesNothing(t, row.name, func(t *testing.T, d *desk) {
			atTheScreen(t)
			if row.env[0] != "" {
				t.Setenv(row.env[0], row.env[1])
			}
			service := d.fake(fakesecrets.Script{Locked: true, Unlock: fakesecrets.Accept})
			said := new(notice)
			s := d.store(keyringstore.Config{Interactive: row.interactive, Notice: said})
			start := time.Now()
			assertState(t, keyringstore.StateLocked, swap(t, s, newKey(), 0, 1))
			assert.Less(t, time.Since(start), 2*time.Second)
			assert.Zero(t, service.Shown())
			assert.Equal(t, []string{""}, said.lines())
		})
	}
}

func TestLockedKeyringAsksWhoSitsInFrontOfItAndSaysSoBefore(t *testing.T) {
	leavesNothing(t, "accepted", func(t *testing.T, d *desk) {
		atTheScreen(t)
		service := d.fake(fakesecrets.Script{Locked: true, Unlock: fakesecrets.Accept})
		said := new(notice)
		s, key := d.store(keyringstore.Config{Service: "example", Interactive: true, Notice: said}), newKey()
		require.NoError(t, swap(t, s, key, 0, 1))
		holds(t, s, key, 1, keyringstore.Keyring)
		assert.Equal(t, 1, service.Shown())
		require.Len(t, said.lines(), 1)
		assert.Contains(t, said.lines()[0], "example: the keyring asks for its password")
	})
	leavesNothing(t, "dismissed", func(t *testing.T, d *desk) {
		atTheScreen(t)
		service := d.fake(fakesecrets.Script{Locked: true, Unlock: fakesecrets.Dismiss})
		s := d.store(keyringstore.Config{Interactive: true, Notice: new(notice)})
		assertState(t, keyringstore.StateLocked, swap(t, s, newKey(), 0, 1))
		assert.Equal(t, 1, service.Shown())
	})
	leavesNothing(t, "no prompter", func(t *testing.T, d *desk) {
		atTheScreen(t)
		k := d.gnome("secret")
		d.open()
		d.lock()
		s := d.store(keyringstore.Config{Interactive: true, Notice: new(notice)})
		assertState(t, keyringstore.StateLocked, swap(t, s, newKey(), 0, 1))
		k.kill()
	})
	leavesNothing(t, "never answered", func(t *testing.T, d *desk) {
		atTheScreen(t)
		service := d.fake(fakesecrets.Script{Locked: true, Unlock: fakesecrets.Ignore})
		s, key := d.store(keyringstore.Config{Interactive: true, Notice: new(notice)}), newKey()
		ctx, cancel := context.WithCancel(t.Context())
		saved := make(chan error, 1)
		go func() { saved <- s.Swap(ctx, key, version(0), version(1), []byte{1}) }()
		eventually(t, "the prompt is shown", func() bool { return service.Shown() > 0 })
		cancel()
		require.ErrorIs(t, <-saved, context.Canceled)
		require.Equal(t, 1, service.AnswerAll(fakesecrets.Accept))
		require.NoError(t, swap(t, s, key, 0, 1), "and then it can be used")
	})
}

// Guards nags: each prompt would leave a channel behind, and each later answer a
// goroutine in every one of them.
func TestKeyringThatPromptsAtEachWriteIsWrittenToNoMore(t *testing.T) {
	leavesNothing(t, "forty writes", func(t *testing.T, d *desk) {
		service := d.fake(fakesecrets.Script{Create: fakesecrets.Accept})
		s := d.begin(keyringstore.Config{})
		before := runtime.NumGoroutine()
		for range 40 {
			require.NoError(t, s.save(t.Context()))
		}
		holds(t, s.store, s.key, s.n, keyringstore.Sealed)
		assert.LessOrEqual(t, service.Shown(), 5)
		assert.Less(t, runtime.NumGoroutine()-before, 50)
	})
}

// duplicate is the item of a session as another program copies it: with an
// attribute of its own, by which it is another item, and found by ours.
func duplicate(s *session, secret string) fakesecrets.Item {
	return fakesecrets.Item{Secret: secret, Attributes: map[string]string{
		"service": "pawl", "username": s.key.String(), "application": "another",
	}}
}

// Guards highest: which of two items comes first is chance.
func TestCopyOfAnEntryNeverTakesItsPlace(t *testing.T) {
	leavesNothing(t, "copies", func(t *testing.T, d *desk) {
		service := d.fake(fakesecrets.Script{})
		s := d.begin(keyringstore.Config{})
		service.Put(duplicate(s, service.Items()[0].Secret))
		service.Put(duplicate(s, "a secret of somebody else"))
		service.Put(duplicate(s, ""))
		check := func() {
			t.Helper()
			for range 2 {
				service.Reverse()
				fresh := d.store(keyringstore.Config{})
				holds(t, fresh, s.key, s.n, keyringstore.Keyring)
				holds(t, s.store, s.key, s.n, keyringstore.Keyring)
			}
		}
		check()
		for range 3 {
			service.Reverse()
			require.NoError(t, s.save(t.Context()))
			check()
		}
		require.NoError(t, s.store.Forget(t.Context(), s.key))
		assert.Empty(t, service.Items(), "a copy holds a token, too")
		_, _, err := s.store.Load(t.Context(), s.key)
		require.ErrorIs(t, err, tokensource.ErrNotFound)
	})
}

// Guards the look after each deletion in remove: nobody is asked again and again.
func TestForgettingThatTheUserRefusesIsAnErrorAndAskedOnce(t *testing.T) {
	leavesNothing(t, "refused", func(t *testing.T, d *desk) {
		service := d.fake(fakesecrets.Script{Delete: fakesecrets.Dismiss})
		s := d.begin(keyringstore.Config{})
		require.ErrorIs(t, s.store.Forget(t.Context(), s.key), keyringstore.ErrFailed)
		assert.Equal(t, 1, service.Shown())
		_, _, err := d.store(keyringstore.Config{}).Load(t.Context(), s.key)
		require.NoError(t, err, "it is still in the keyring")
		_, _, err = s.store.Load(t.Context(), s.key)
		require.ErrorIs(t, err, tokensource.ErrLoginRequired, "and presented no more")
		service.Play(fakesecrets.Script{Delete: fakesecrets.Accept})
		require.NoError(t, s.store.Forget(t.Context(), s.key))
		assert.Empty(t, service.Items())
		forgotten(t, s.store, s.key)
	})
}

// Guards the reading before anything is removed in Forget: whoever refuses to
// unlock the keyring keeps the session.
func TestForgettingInAKeyringThatIsNotUnlockedRemovesNothing(t *testing.T) {
	leavesNothing(t, "locked", func(t *testing.T, d *desk) {
		atTheScreen(t)
		service := d.fake(fakesecrets.Script{})
		dir := t.TempDir()
		s := d.begin(keyringstore.Config{Dir: dir, Interactive: true, Notice: new(notice)})
		service.Play(fakesecrets.Script{Locked: true, Unlock: fakesecrets.Dismiss})
		assertState(t, keyringstore.StateLocked, s.store.Forget(t.Context(), s.key))
		assert.Equal(t, 1, service.Shown())
		service.Play(fakesecrets.Script{})
		holds(t, d.store(keyringstore.Config{Dir: dir}), s.key, 1, keyringstore.Keyring)
		require.NoError(t, s.store.Forget(t.Context(), s.key))
		assert.Empty(t, service.Items())
	})
}

// A daemon that is killed while it makes an item leaves one without a secret.
func TestEmptyEntryIsALostSessionThatTheNextLoginReplaces(t *testing.T) {
	leavesNothing(t, "empty", func(t *testing.T, d *desk) {
		service := d.fake(fakesecrets.Script{Torn: true})
		s, key := d.store(keyringstore.Config{}), newKey()
		require.ErrorIs(t, swap(t, s, key, 0, 1), keyringstore.ErrNotStored)
		require.Len(t, service.Items(), 1)
		require.Empty(t, service.Items()[0].Secret)
		_, _, err := s.Load(t.Context(), key)
		require.ErrorIs(t, err, keyringstore.ErrCorrupt)
		require.ErrorIs(t, err, tokensource.ErrLoginRequired)
		service.Play(fakesecrets.Script{})
		require.NoError(t, swap(t, s, key, 0, 2))
		holds(t, s, key, 2, keyringstore.Keyring)
		require.Len(t, service.Items(), 1)
	})
}
