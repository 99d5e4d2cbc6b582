package storetest

import (
	"context"
	"crypto/rand"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Config describes the store to [RunConfig].
type Config struct {
	// Open opens the store that lives in dir. Stores that were opened in the
	// same directory, by whatever process, share their records. A store that
	// is an [io.Closer] is closed after its clause. Required.
	Open func(dir string) (tokensource.Store, error)
	// OneProcess says that a store is shared by nobody, as one in memory: it
	// is opened once for each clause, and the Process group is left out.
	OneProcess bool
	// LeaseTime is how long a lease lasts that nobody extends. 0: a lease
	// ends when it is released or its process ends, and in no other way.
	// Take a second or two; the clauses about expiry wait for it.
	LeaseTime time.Duration
	// MaxData is the length in bytes of the longest record that the store
	// takes; it has to refuse a longer one without harm to the record that
	// is there. 0: the clauses write records up to 64 KiB, and none longer.
	MaxData int

	// patience bounds what a clause waits for, long enough that only what
	// never comes is given up.
	patience time.Duration
}

// Run tests a store that processes can share and whose leases end with their
// holders. See [Config.Open] for open.
func Run(t *testing.T, open func(dir string) (tokensource.Store, error)) {
	t.Helper()
	RunConfig(t, Config{Open: open})
}

// RunConfig tests a store of any kind. Each clause of the contract is a
// subtest of t.
func RunConfig(t *testing.T, c Config) {
	t.Helper()
	if c.Open == nil {
		t.Fatal("storetest: Config.Open is required: a function that opens the store in a directory")
	}
	if c.patience == 0 {
		c.patience = time.Minute
	}
	doDeed(t, c) // in a process that was started for one, the end of the test
	for _, g := range groups {
		clauses := slices.DeleteFunc(slices.Clone(g.clauses), func(cl clause) bool { return cl.applies != nil && !cl.applies(c) })
		if len(clauses) == 0 {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			for _, cl := range clauses {
				t.Run(cl.name, func(t *testing.T) { cl.run(t, c) })
			}
		})
	}
}

// clause is one promise of a store.
type clause struct {
	name string
	// says is the promise, quoted by a failure.
	says string
	// applies tells which stores make it; nil: all do.
	applies func(Config) bool
	test    func(ctx context.Context, s *subject)
}

// groups are all clauses.
var groups = []struct {
	name    string
	clauses []clause
}{
	{"Load", loadClauses},
	{"Swap", slices.Concat(swapClauses, raceClauses)},
	{"Lock", slices.Concat(leaseClauses, expiryClauses)},
	{"Session", sessionClauses},
	{"Process", processClauses},
	{"Hygiene", hygieneClauses},
}

func shared(c Config) bool { return !c.OneProcess }

func (cl clause) run(t *testing.T, c Config) {
	defer func() {
		if t.Failed() {
			t.Logf("this clause of the contract is broken: %s", cl.says)
		}
	}()
	s := &subject{T: t, config: c, dir: t.TempDir(), profile: rand.Text()}
	s.key = keyOf(s.profile)
	s.store = s.open()
	ctx, cancel := context.WithTimeout(t.Context(), c.patience)
	defer cancel()
	cl.test(ctx, s)
}

// keyOf returns the key of a session; a process is told its profile.
func keyOf(profile string) tokensource.Key {
	return tokensource.NewKey("https://as.example", "storetest", profile)
}

// subject is a store under test, in the hands of one clause.
type subject struct {
	*testing.T
	config  Config
	dir     string
	profile string
	key     tokensource.Key // nothing was ever stored under it
	store   tokensource.Store
}

func (s *subject) open() tokensource.Store {
	s.Helper()
	store, err := s.config.Open(s.dir)
	if err != nil {
		s.Fatalf("Config.Open: %v", err)
	}
	if closer, ok := store.(io.Closer); ok {
		s.Cleanup(func() {
			if err := closer.Close(); err != nil {
				s.Errorf("closing the store: %v", err)
			}
		})
	}
	return store
}

// another returns the store as another program would open it, where it can be
// shared.
func (s *subject) another() tokensource.Store {
	s.Helper()
	if s.config.OneProcess {
		return s.store
	}
	return s.open()
}

// lock returns the lease of s.key.
func (s *subject) lock(ctx context.Context, store tokensource.Store) tokensource.Lease {
	s.Helper()
	lease, err := store.Lock(ctx, s.key)
	if err != nil {
		s.Fatalf("Lock: %v", err)
	}
	return lease
}

func (s *subject) release(lease tokensource.Lease) {
	s.Helper()
	if err := lease.Release(); err != nil {
		s.Fatalf("Release: %v", err)
	}
}

// swap writes data as version new over version old.
func (s *subject) swap(ctx context.Context, old, new tokensource.Version, data []byte) {
	s.Helper()
	if err := s.store.Swap(ctx, s.key, old, new, data); err != nil {
		s.Fatalf("Swap of a record of %d bytes over the version that is stored: %v", len(data), err)
	}
}
