package acceptance_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Over sockets every finite grace is so long that a slow machine keeps within
// it. Where a process is killed it is shorter: on a server where the last answer
// wins, the others have to wait for two thirds of it. The bubbles have the true
// ones.
const (
	socketGrace = 30 * time.Second
	killGrace   = 12 * time.Second
)

// The first wave has this many requests, over all processes, and the others
// few.
const (
	requests    = 64
	fewRequests = 8
)

// party is a process of the cell: this one or another.
type party interface {
	adopt(access, refresh string, age, life time.Duration) error
	login() error
	wave(n int) result
	close() error
}

// world is what a cell runs in.
type world struct {
	t       *testing.T
	srv     *authtest.Server
	clock   *stillClock // nil: the bubble's
	session string
	parties []party
}

// stillClock is a server's clock that stands still until it is wound, so that
// no load carries a slow machine past a grace.
type stillClock struct {
	mu    sync.Mutex // guards what follows
	at    time.Time
	wound time.Time // since when it goes; zero: it stands
}

func (c *stillClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wound.IsZero() {
		return c.at
	}
	return c.at.Add(time.Since(c.wound))
}

func (c *stillClock) wind() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wound.IsZero() {
		c.wound = time.Now()
	}
}

// newWorld starts the server.
func newWorld(t *testing.T, c cell) *world {
	cfg := authtest.Config{Profile: c.kind.name, Access: authtest.OpaqueAccess} // cheaper to check than a signature
	if c.fault.config != nil {
		c.fault.config(&cfg)
	}
	w := &world{t: t}
	if c.layout.transport == pipe {
		w.srv = authtest.NewPipe(t, cfg)
		return w
	}
	w.clock = &stillClock{at: time.Now()}
	cfg.Now = w.clock.now
	if c.kind.rotation.Grace > 0 {
		cfg.Grace = c.grace()
	}
	if c.layout.transport == http2 {
		w.srv = authtest.NewTLS(t, cfg)
	} else {
		w.srv = authtest.NewWith(t, cfg)
	}
	return w
}

// grace is what is known of the server instead of the kind's own; 0: that.
func (c cell) grace() time.Duration {
	switch {
	case c.layout.transport == pipe:
		return 0
	case c.fault.kills:
		return killGrace
	}
	return socketGrace
}

// join begins the one program of a cell in this process.
func (w *world) join(c cell) {
	base := w.srv.Client().Transport.(*http.Transport)
	p, err := begin(c.kind, w.srv.URL(), base, tokensource.NewMemoryStore(), "", c.grace())
	require.NoError(w.t, err)
	w.parties = []party{p}
}

// pass lets time go by: for everyone in a bubble, else for the server.
func (w *world) pass(d time.Duration) {
	if w.clock == nil {
		time.Sleep(d)
		return
	}
	w.srv.Advance(d)
}

// signIn begins the session, a quarter of an hour ago.
func (w *world) signIn() {
	if w.clock == nil {
		require.NoError(w.t, w.parties[0].login())
		w.pass(quarterHour)
	} else {
		got := w.srv.Login("alice", "laptop")
		w.pass(quarterHour)
		require.NoError(w.t, w.adopt(got))
	}
	sessions := w.srv.Sessions("alice")
	require.Len(w.t, sessions, 1)
	w.session = sessions[0].ID
}

// adopt hands the tokens of a login to the first party. A keyring that does not
// answer is asked again: no fault is about the store.
func (w *world) adopt(got authtest.Tokens) (err error) {
	for range 5 {
		if err = w.parties[0].adopt(got.AccessToken, got.RefreshToken, quarterHour, got.ExpiresIn); err == nil {
			return nil
		}
	}
	return err
}

// wave has all parties send their share of the requests at once.
func (w *world) wave() result { return wave(w.parties, requests/len(w.parties)) }

// few is enough to see whether a session lives.
func (w *world) few() result { return wave(w.parties, fewRequests/len(w.parties)) }

func wave(parties []party, each int) (sum result) {
	results := make(chan result, len(parties))
	for _, p := range parties {
		go func() { results <- p.wave(each) }()
	}
	for range parties {
		sum = sum.plus(<-results)
	}
	return sum
}

func (w *world) leave() {
	for _, p := range w.parties {
		require.NoError(w.t, p.close())
	}
}

// live counts the refresh tokens of the family that the server would take.
func (w *world) live() int {
	resp, err := w.srv.Client().Get(w.srv.URL() + "/_test/sessions/" + w.session)
	require.NoError(w.t, err)
	defer resp.Body.Close()
	require.Equal(w.t, http.StatusOK, resp.StatusCode)
	var family struct {
		Ended  string
		Tokens []struct {
			Status    string
			ExpiresAt time.Time
		}
	}
	require.NoError(w.t, json.NewDecoder(resp.Body).Decode(&family))
	n := 0
	for _, token := range family.Tokens {
		if family.Ended == "" && token.Status == "active" && token.ExpiresAt.After(w.srv.Now()) {
			n++
		}
	}
	return n
}

// violations names what the server holds against the programs.
func (w *world) violations() []string {
	var all []string
	for _, v := range w.srv.Violations() {
		all = append(all, fmt.Sprintf("%s in request %d", v.Rule, v.Exchange))
	}
	return all
}
