package drivers_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/cmd/authtestd/internal/drivers"
	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// killedEnv makes this test binary a server over the database that it names.
const killedEnv = "PAWL_DRIVERS_SERVE"

func TestMain(m *testing.M) {
	if name := os.Getenv(killedEnv); name != "" {
		fmt.Fprintln(os.Stderr, serveForEver(name))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveForEver(name string) error {
	db, dialect, err := drivers.Open(name)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	kind, err := testserver.ProfileNamed("grace")
	if err != nil {
		return err
	}
	kind.Replay.Window = time.Hour // a slow machine must not close it
	cfg := testserver.Config{Issuer: "http://auth.test", Profile: kind}
	if cfg.Store, err = testserver.OpenSQL(context.Background(), db, dialect); err != nil {
		return err
	}
	s, err := testserver.New(cfg)
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return http.Serve(l, s.Handler())
}

// process is a server in a process of its own.
type process struct {
	cmd *exec.Cmd
	url string
}

func startProcess(t *testing.T, p place) process {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env, cmd.Stderr = append(os.Environ(), killedEnv+"="+p.dsn), os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return process{cmd, strings.TrimSpace(line)}
}

// refresh fails where the server is gone.
func (p process) refresh(c *http.Client, token string) (answer, error) {
	res, err := c.PostForm(p.url+"/oauth/token", refreshForm(token))
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return read(res.StatusCode, res.Header, body), err
}

const (
	clientsOfOne = 20
	rotations    = 1000
)

// fleet are clients with a session each, and what they last heard.
type fleet struct {
	tokens []testserver.Tokens
	done   atomic.Int64
}

// run has every client rotate at least once and until as many rotations are
// done in all, or the server is gone. It returns the answers that no client
// should have had.
func (f *fleet) run(p process, until int64, reached func()) (strange []answer) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clientsOfOne}}
	defer client.CloseIdleConnections()
	for i := range f.tokens {
		wg.Go(func() {
			for tried := false; !tried || f.done.Load() < until; tried = true {
				a, err := p.refresh(client, f.tokens[i].Refresh)
				if err != nil {
					return
				}
				if a.outcome != testserver.Rotated && a.outcome != testserver.ReplayedSame {
					mu.Lock()
					strange = append(strange, a)
					mu.Unlock()
					return
				}
				f.tokens[i].Refresh = a.refresh
				if f.done.Add(1) == until/2 {
					reached()
				}
			}
		})
	}
	wg.Wait()
	return strange
}

// Guards that a rotation is one commit: a process that dies between any two of
// its statements leaves a session as it was before, or as it is after.
func TestAServerThatIsKilledAmongItsRotationsLosesNoSession(t *testing.T) {
	shared(t, func(t *testing.T, p place) {
		n := p.serve(t, "grace", func(c *testserver.Config) { c.Now = nil })
		var f fleet
		for range clientsOfOne {
			f.tokens = append(f.tokens, n.login(t))
		}
		first := startProcess(t, p)
		strange := f.run(first, rotations, func() { _ = first.cmd.Process.Kill() })
		require.Empty(t, strange)
		require.Less(t, f.done.Load(), int64(rotations), "it died in the middle")
		_ = first.cmd.Wait()
		requireWhole(t, p, &f)

		second := startProcess(t, p)
		require.Empty(t, f.run(second, rotations, func() {}))
		require.GreaterOrEqual(t, f.done.Load(), int64(rotations), "every session went on")
		requireWhole(t, p, &f)
	})
}

// requireWhole reads the tables: each session has one active token, and it is
// the newest that was committed.
func requireWhole(t *testing.T, p place, f *fleet) {
	t.Helper()
	for _, tokens := range f.tokens {
		var count, active, newest, refreshes int64
		require.NoError(t, p.peek.QueryRow(`SELECT count(*), max(generation) FROM refresh_tokens
			WHERE session_id = $1 AND status = 0`, tokens.Session).Scan(&count, &active))
		require.NoError(t, p.peek.QueryRow(`SELECT max(t.generation), max(s.refresh_count) FROM sessions s
			JOIN refresh_tokens t ON t.session_id = s.id WHERE s.id = $1`, tokens.Session).Scan(&newest, &refreshes))
		assert.EqualValues(t, 1, count)
		assert.Equal(t, newest, active)
		assert.Equal(t, newest, refreshes, "a count is committed with its token")
	}
}
