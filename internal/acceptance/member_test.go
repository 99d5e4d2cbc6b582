package acceptance_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// memberVar makes the test binary one of the processes.
const memberVar = "PAWL_ACCEPTANCE_MEMBER"

// order is what a process is told to do, by a pipe: one line of JSON.
type order struct {
	ID   int
	Do   string // adopt, login, wave or close
	Cell place
	// For adopt.
	Access, Refresh string
	Age, Life       time.Duration
	// For wave.
	Requests int
}

// place is where a program of a cell finds its server and its session.
type place struct {
	URL         string
	Certificate []byte // of the server; nil: no TLS
	Kind        authtest.Profile
	Dir         string // of the store's files
	Account     string // under which the keyring has the session; one per cell
	Grace       time.Duration
	Doomed      bool // the program is killed at the first save of a new token set
}

// report is what it says, in the same form.
type report struct {
	ID     int
	Result result
	Err    string
}

// serveOrders is what a member process does until its orders end. Orders may
// overlap: each is carried out by a goroutine of its own.
func serveOrders() error {
	m := &membership{programs: map[string]*program{}, out: json.NewEncoder(os.Stdout)}
	for in := json.NewDecoder(os.Stdin); ; {
		var o order
		if err := in.Decode(&o); err != nil {
			return nil // the end of the orders
		}
		go m.carryOut(o)
	}
}

// membership is the state of a member process.
type membership struct {
	mu       sync.Mutex // guards what follows
	programs map[string]*program
	out      *json.Encoder
}

func (m *membership) carryOut(o order) {
	r := report{ID: o.ID}
	p, err := m.program(o.Cell)
	if err == nil {
		r.Result, err = p.carryOut(o)
	}
	if err != nil {
		r.Err = err.Error()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.out.Encode(r); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// program returns the one of the cell, which the first order begins.
func (m *membership) program(c place) (*program, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.programs[c.Account]; p != nil {
		return p, nil
	}
	p, err := c.begin()
	if err == nil {
		m.programs[c.Account] = p
	}
	return p, err
}

func (p *program) carryOut(o order) (result, error) {
	switch o.Do {
	case "adopt":
		return result{}, p.adopt(o.Access, o.Refresh, o.Age, o.Life)
	case "login":
		return result{}, p.login()
	case "wave":
		return p.wave(o.Requests), nil
	case "close":
		return result{}, p.close()
	}
	return result{}, fmt.Errorf("no such order: %q", o.Do)
}

func (c place) begin() (*program, error) {
	base := &http.Transport{MaxIdleConnsPerHost: requests, ForceAttemptHTTP2: true}
	if c.Certificate != nil {
		certificate, err := x509.ParseCertificate(c.Certificate)
		if err != nil {
			return nil, err
		}
		base.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		base.TLSClientConfig.RootCAs.AddCert(certificate)
	}
	ring, err := keyringstore.New(keyringstore.Config{Service: "pawl-acceptance", Dir: c.Dir})
	if err != nil {
		return nil, err
	}
	var store tokensource.Store = ring
	if c.Doomed {
		store = &doomedStore{Store: ring}
	}
	return begin(kindNamed(c.Kind), c.URL, base, store, c.Account, c.Grace)
}

// doomedStore kills its own process when it is to save a new token set: by
// kill -9, so that nothing of the process runs after it.
type doomedStore struct {
	tokensource.Store
	mu    sync.Mutex // guards swaps
	swaps int
}

// Swap lets the first write of a refresh through, which marks its refresh token
// as being spent. The second one is the save.
func (s *doomedStore) Swap(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	s.mu.Lock()
	s.swaps++
	save := s.swaps > 1
	s.mu.Unlock()
	if !save {
		return s.Store.Swap(ctx, key, old, new, data)
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	select {} // the signal is on its way
}
