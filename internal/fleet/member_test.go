package fleet_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// member is a running process.
type member struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	hear  func(report) // may be nil

	ended chan struct{} // closed when the process is gone and all it told was heard
	err   error         // how it ended, then

	mu   sync.Mutex // guards what follows; never held across a wait
	told []report
	news chan struct{} // closed and replaced when told grows
}

var lastMember atomic.Int64

// start starts a process that does the job. It ends with the test at the
// latest: Cleanup kills it, the kernel does if the test dies, and it has a
// deadline of its own.
func start(t *testing.T, j job) *member { return startHeard(t, j, nil) }

// startHeard has every report heard when it arrives, in a goroutine of the
// process.
func startHeard(t *testing.T, j job, hear func(report)) *member {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	j.Name = fmt.Sprintf("member/%d", lastMember.Add(1))
	m := &member{name: j.Name, hear: hear, ended: make(chan struct{}), news: make(chan struct{})}
	m.cmd = exec.Command(self)
	// A process under the race detector sleeps for a second when it ends.
	m.cmd.Env = append(os.Environ(), memberVar+"=1", "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	m.cmd.Env = append(m.cmd.Env, j.Env...)
	m.cmd.Stderr = t.Output()
	m.cmd.SysProcAttr = dieWithParent()
	m.stdin, err = m.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := m.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, m.cmd.Start())
	go m.follow(out)
	t.Cleanup(m.kill)
	if err := json.NewEncoder(m.stdin).Encode(j); err != nil {
		m.kill()
		require.NoError(t, err)
	}
	return m
}

// follow hears the process out and buries it.
func (m *member) follow(out io.Reader) {
	for in := bufio.NewScanner(out); in.Scan(); {
		var r report
		if json.Unmarshal(in.Bytes(), &r) != nil {
			continue
		}
		if m.hear != nil {
			m.hear(r)
		}
		m.mu.Lock()
		m.told = append(m.told, r)
		close(m.news)
		m.news = make(chan struct{})
		m.mu.Unlock()
	}
	m.err = m.cmd.Wait()
	close(m.ended)
}

// kill ends the process as a crash would, and returns when it is gone.
func (m *member) kill() {
	_ = m.cmd.Process.Kill()
	<-m.ended
}

// finish lets the process end by itself.
func (m *member) finish() error {
	<-m.ended
	return m.err
}

// stop tells it to.
func (m *member) stop() error {
	_ = m.stdin.Close()
	return m.finish()
}

// await waits until the process has told of an event, and returns the first
// report of it.
func (m *member) await(t *testing.T, event string) report {
	t.Helper()
	for {
		m.mu.Lock()
		told, news := m.told, m.news
		m.mu.Unlock()
		for _, r := range told {
			if r.Event == event {
				return r
			}
		}
		select {
		case <-news:
		case <-m.ended:
			if !m.hasTold(event) {
				require.FailNow(t, "the process ended and did not tell of it", "%s: %v, told: %v", event, m.err, m.reports())
			}
		case <-t.Context().Done():
			require.FailNow(t, "the test ended", event)
		}
	}
}

func (m *member) hasTold(event string) bool {
	for _, r := range m.reports() {
		if r.Event == event {
			return true
		}
	}
	return false
}

// reports are those heard so far.
func (m *member) reports() []report {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.told
}

// forEachStore runs a test over every way in which processes can share a
// session on one machine, side by side: each has a directory and a session of
// its own.
func forEachStore(t *testing.T, test func(t *testing.T, j job)) {
	for _, store := range []string{"keyring", "sealed", "file", "plain"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			test(t, newJob(t, store))
		})
	}
}

// newJob returns a job over a new store of that kind.
func newJob(t *testing.T, store string) job {
	t.Helper()
	if store == "keyring" || store == "sealed" {
		needKeyring(t)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return job{Store: store, Dir: t.TempDir(), Profile: rand.Text(), Key: key}
}

func needKeyring(t *testing.T) {
	t.Helper()
	if os.Getenv("PAWL_TEST_KEYRING") == "1" {
		return
	}
	if os.Getenv("PAWL_REQUIRE_SERVICES") == "1" {
		t.Fatal("PAWL_REQUIRE_SERVICES=1, and PAWL_TEST_KEYRING is not set: run under scripts/secret-service.sh")
	}
	t.Skip("no real keyring: run under scripts/secret-service.sh")
}

// logIn starts a session in the job's store, as if its token set were of that
// age and had that much life left.
func logIn(t *testing.T, srv *authtest.Server, j job, age, left time.Duration) *client.Client {
	t.Helper()
	c, err := j.client()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close(context.Background())) })
	adopt(t, srv, c, age, left)
	return c
}

// adopt starts a session, in place of the one that is there. A keyring that is
// kept busy may not answer at once.
func adopt(t *testing.T, srv *authtest.Server, c *client.Client, age, left time.Duration) {
	t.Helper()
	tokens, now := srv.Login("alice", "laptop"), time.Now()
	g := tokensource.Grant{
		AccessToken:  tokensource.NewSecret(tokens.AccessToken),
		RefreshToken: tokensource.NewSecret(tokens.RefreshToken),
		IssuedAt:     now.Add(-age),
		Expiry:       now.Add(left),
	}
	patiently(t, func() error { return c.Session().Adopt(t.Context(), g) })
}

// patiently does what may fail for a while.
func patiently(t *testing.T, do func() error) {
	t.Helper()
	err := do()
	for end := time.Now().Add(time.Minute); errors.Is(err, tokensource.ErrTryAgain) && time.Now().Before(end); err = do() {
		rest(t.Context(), 100*time.Millisecond)
	}
	require.NoError(t, err)
}

// stillGood has the session renew once more: nothing was lost.
func stillGood(t *testing.T, c *client.Client) {
	t.Helper()
	patiently(t, func() error {
		tok, err := c.Session().Token(t.Context())
		if err == nil {
			_, err = c.Session().Renew(t.Context(), tok)
		}
		return err
	})
}
