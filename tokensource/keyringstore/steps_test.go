package keyringstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

var errStep = errors.New("this step fails")

// stage is a session in one of the states that a write can find.
type stage struct {
	t      *testing.T
	ring   *ring
	config keyringstore.Config
	store  *keyringstore.Store
	key    tokensource.Key
	n      uint64 // the version of its record, 0 for none
}

// starts are what a write can find.
var starts = map[string]func(s *stage){
	"nothing":        func(*stage) {},
	"in the keyring": func(s *stage) { s.save(nil) },
	"long":           func(s *stage) { s.save(make([]byte, 6000)) },
	"spilled": func(s *stage) {
		s.save(nil)
		s.ring.change(func(r *ring) { r.check = keyringstore.ErrLocked })
		s.save(nil)
		s.ring.change(func(r *ring) { r.check = nil })
	},
	"lost": func(s *stage) {
		s.save(make([]byte, 6000))
		s.ring.change(func(r *ring) { clear(r.entries) })
		s.store = s.ring.open(s.t, s.config)[0] // one that remembers would go on
		s.n = 0
	},
}

// failures break one step of a write, and return what mends it.
var failures = map[string]func(s *stage) (mend func()){
	"the check": func(s *stage) func() {
		s.ring.change(func(r *ring) { r.check = keyringstore.ErrLocked })
		return func() { s.ring.change(func(r *ring) { r.check = nil }) }
	},
	"reading": func(s *stage) func() {
		s.ring.change(func(r *ring) { r.beforeGet = func() error { return errStep } })
		return func() { s.ring.change(func(r *ring) { r.beforeGet = nil }) }
	},
	"writing": func(s *stage) func() {
		s.ring.change(func(r *ring) { r.beforeSet = func() error { return errStep } })
		return func() { s.ring.change(func(r *ring) { r.beforeSet = nil }) }
	},
	"writing, in silence": func(s *stage) func() {
		s.ring.change(func(r *ring) { r.lie = true })
		return func() { s.ring.change(func(r *ring) { r.lie = false }) }
	},
	"writing, by a panic": func(s *stage) func() {
		s.ring.change(func(r *ring) { r.beforeSet = func() error { panic("no") } })
		return func() { s.ring.change(func(r *ring) { r.beforeSet = nil }) }
	},
	"reading back": func(s *stage) func() {
		fail := func() error { return errStep }
		s.ring.change(func(r *ring) {
			r.beforeSet = func() error { r.change(func(r *ring) { r.beforeGet = fail }); return nil }
		})
		return func() { s.ring.change(func(r *ring) { r.beforeSet, r.beforeGet = nil, nil }) }
	},
	"a write that is still under way": func(s *stage) func() {
		release, err := s.store.HoldRing(s.key)
		require.NoError(s.t, err)
		return release
	},
	"sealing": func(s *stage) func() { return s.noFile() },
	"writing and sealing": func(s *stage) func() {
		s.ring.change(func(r *ring) { r.beforeSet = func() error { return errStep } })
		mend := s.noFile()
		return func() { s.ring.change(func(r *ring) { r.beforeSet = nil }); mend() }
	},
}

// noFile makes it impossible to write the sealed file, as a full disk does.
func (s *stage) noFile() (mend func()) {
	temp := s.store.SealedPath(s.key) + ".tmp"
	require.NoError(s.t, os.Mkdir(temp, 0o700))
	require.NoError(s.t, os.WriteFile(filepath.Join(temp, "in the way"), nil, 0o600))
	return func() { require.NoError(s.t, os.RemoveAll(temp)) }
}

// try writes the next record; a nil one is short.
func (s *stage) try(data []byte) error {
	if data == nil {
		data = []byte{0}
	}
	return s.store.Swap(s.t.Context(), s.key, version(s.n), version(s.n+1), data)
}

func (s *stage) save(data []byte) {
	s.t.Helper()
	require.NoError(s.t, s.try(data))
	s.n++
}

// read returns the version that a store finds, 0 for none or a lost one.
func (s *stage) read(store *keyringstore.Store) uint64 {
	s.t.Helper()
	v, _, err := store.Load(s.t.Context(), s.key)
	if errors.Is(err, tokensource.ErrNotFound) || errors.Is(err, tokensource.ErrLoginRequired) {
		return 0
	}
	require.NoError(s.t, err)
	for n := range s.n + 3 {
		if v == version(n) {
			return n
		}
	}
	s.t.Fatalf("a version that was never written: %x", v)
	return 0
}

// Guards the order of all steps of a write: whichever fails, what was said to
// be safe is there for every process, what was not is the old record or the new
// one, and the next write succeeds.
func TestWhicheverStepOfAWriteFailsNoRecordIsLost(t *testing.T) {
	for start, arrange := range starts {
		for failure, fail := range failures {
			for name, data := range map[string][]byte{"a short record": nil, "a long record": make([]byte, 6000)} {
				for _, sealed := range []bool{false, true} {
					t.Run(start+"/"+failure+"/"+name, func(t *testing.T) {
						t.Parallel()
						s := &stage{t: t, ring: newRing(), key: newKey(), config: keyringstore.Config{Dir: t.TempDir(), Sealed: sealed}}
						s.store = s.ring.open(t, s.config)[0]
						arrange(s)
						breakStep(s, fail, data)
					})
				}
			}
		}
	}
}

func breakStep(s *stage, fail func(*stage) func(), data []byte) {
	mend := fail(s)
	err := s.try(data)
	if err == nil {
		s.n++
		assert.Equal(s.t, s.n, s.read(s.store), "this process, while it fails")
	}
	mend()
	now := s.read(s.ring.open(s.t, s.config)[0])
	assert.Equal(s.t, now, s.read(s.store), "this process and another read the same")
	if err == nil {
		require.Equal(s.t, s.n, now, "the new record was said to be safe")
	} else {
		require.NotErrorIs(s.t, err, tokensource.ErrConflict)
		require.Contains(s.t, []uint64{s.n, s.n + 1}, now, "the old record or the new one")
		s.n = now
	}
	s.save(nil)
	s.save(nil)
	want := keyringstore.Keyring
	if s.config.Sealed {
		want = keyringstore.Sealed
	}
	where, err := s.store.Where(s.t.Context(), s.key)
	require.NoError(s.t, err)
	assert.Equal(s.t, want.String(), where.String(), "where it belongs")
	assert.Equal(s.t, s.n, s.read(s.ring.open(s.t, s.config)[0]))
}
