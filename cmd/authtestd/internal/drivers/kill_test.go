package drivers_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// process is the command, over the database of a test.
type process struct {
	cmd *exec.Cmd
	url string
}

func buildCommand(t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "authtestd")
	out, err := exec.Command("go", "build", "-o", binary, "github.com/seed-9a12f4e2/pawl/cmd/authtestd").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}

func startProcess(t *testing.T, binary string, p place) process {
	t.Helper()
	// A slow machine must not close the window of a retired token.
	cmd := exec.Command(binary, "-addr", "127.0.0.1:0", "-issuer", "http://auth.test", "-profile", "grace", "-grace", "1h", "-db", p.dsn)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "export AUTHTEST_ADDR="); ok {
			return process{cmd, "http://" + strings.Trim(addr, "'")}
		}
	}
	require.Fail(t, "the command is not ready")
	return process{}
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
	binary := buildCommand(t)
	shared(t, func(t *testing.T, p place) {
		n := p.serve(t, "grace", func(c *testserver.Config) { c.Now = nil })
		var f fleet
		for range clientsOfOne {
			f.tokens = append(f.tokens, n.login(t))
		}
		first := startProcess(t, binary, p)
		strange := f.run(first, rotations, func() { _ = first.cmd.Process.Kill() })
		require.Empty(t, strange)
		require.Less(t, f.done.Load(), int64(rotations), "it died in the middle")
		_ = first.cmd.Wait()
		requireWhole(t, p, &f)

		second := startProcess(t, binary, p)
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
