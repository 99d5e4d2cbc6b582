package fleet_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// desk is a session bus and a keyring daemon that a test may kill: those of
// scripts/secret-service.sh, which also removes what is left of them.
type desk struct {
	t           *testing.T
	env         []string // of whoever sits at it
	dir         string   // of the script
	bus, daemon int
	program     string // the daemon's
}

func sitDown(t *testing.T) *desk {
	t.Helper()
	needKeyring(t) // not the one that is there, but the programs
	self, err := os.Executable()
	require.NoError(t, err)
	// Not killed with its parent: it ends its daemons when the process that it
	// runs ends, and that one hears of the parent's end by its pipe.
	cmd := exec.Command("sh", "../../scripts/secret-service.sh", self)
	cmd.Env = append(os.Environ(), memberVar+"=1")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	require.NoError(t, json.NewEncoder(stdin).Encode(job{Deed: "desk"}))
	d := &desk{t: t}
	for in := bufio.NewScanner(out); in.Scan(); {
		var r report
		if json.Unmarshal(in.Bytes(), &r) != nil {
			_, pid, _ := strings.Cut(in.Text(), "(pid ")
			_, _ = fmt.Sscan(pid, &d.daemon)
		}
		if home, ok := strings.CutPrefix(r.Where, "HOME="); ok {
			d.dir = filepath.Dir(home)
		}
		if r.Event == "seated" {
			break
		}
		if r.Event == "env" {
			d.env = append(d.env, r.Where)
		}
	}
	require.NotZero(t, d.daemon, "the script tells of its daemon")
	d.program, err = os.Readlink(fmt.Sprintf("/proc/%d/exe", d.daemon))
	require.NoError(t, err)
	d.bus = childNamed(t, cmd.Process.Pid, "dbus-daemon")
	return d
}

// childNamed finds the child of a process that runs this program.
func childNamed(t *testing.T, parent int, name string) int {
	t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	require.NoError(t, err)
	for _, child := range strings.Fields(string(children)) {
		if comm, err := os.ReadFile("/proc/" + child + "/comm"); err == nil && strings.TrimSpace(string(comm)) == name {
			pid, err := strconv.Atoi(child)
			require.NoError(t, err)
			return pid
		}
	}
	require.FailNow(t, "no such child", name)
	return 0
}

func (d *desk) signal(pid int, sig syscall.Signal) {
	d.t.Helper()
	require.NoError(d.t, syscall.Kill(pid, sig))
}

// start starts a daemon anew.
func (d *desk) start(stdin, program string, args ...string) {
	d.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), d.env...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = dieWithParent()
	require.NoError(d.t, cmd.Start())
	d.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// startKeyring and startBus do what the script has done.
func (d *desk) startKeyring() {
	d.start("pawl", d.program, "--foreground", "--unlock", "--components=secrets")
}

func (d *desk) startBus() {
	d.start("", "dbus-daemon", "--nofork", "--config-file="+filepath.Join(d.dir, "bus.conf"))
}

// listens tells whether somebody accepts connections there: the socket of a
// dead bus lies about.
func listens(path string) bool {
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// deskTroubles are what can happen to a keyring; each returns what ends it.
var deskTroubles = []struct {
	name  string
	begin func(d *desk) (end func())
}{
	{"the daemon is stopped and goes on", func(d *desk) func() {
		d.signal(d.daemon, syscall.SIGSTOP)
		d.t.Cleanup(func() { _ = syscall.Kill(d.daemon, syscall.SIGCONT) }) // or it could not be ended
		return func() { d.signal(d.daemon, syscall.SIGCONT) }
	}},
	{"the daemon is killed and started again", func(d *desk) func() {
		d.signal(d.daemon, syscall.SIGKILL)
		return d.startKeyring
	}},
	{"the bus is killed and all started again", func(d *desk) func() {
		d.signal(d.bus, syscall.SIGKILL)
		return func() {
			d.startBus()
			waitFor(d.t, func() bool { return listens(filepath.Join(d.dir, "bus")) })
			d.startKeyring()
		}
	}},
}

// places counts where records were saved.
type places struct {
	mu sync.Mutex // guards n
	n  map[string]int
}

func (p *places) hear(r report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Event == "saved" {
		p.n[r.Where]++
	}
}

func (p *places) at(where string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n[where]
}

// Guards the sealed file beside the keyring, in a fleet that goes on rotating:
// a keyring that is stopped, dies or loses its bus costs no session, on a strict
// server, and gets the record back when it is there again.
func TestAKeyringThatGoesAwayDuringRotationsCostsNoSession(t *testing.T) {
	t.Parallel()
	for _, trouble := range deskTroubles {
		t.Run(trouble.name, func(t *testing.T) {
			t.Parallel()
			d := sitDown(t)
			srv := authtest.New(t)
			j := newJob(t, "keyring")
			tokens := srv.Login("alice", "laptop")
			j.Server, j.Env, j.Where = srv.URL(), d.env, true
			j.Access, j.Refresh, j.Deed = tokens.AccessToken, tokens.RefreshToken, "adopt"
			require.NoError(t, start(t, j).finish())

			p := &places{n: make(map[string]int)}
			j.Deed = "rotate"
			members := []*member{startHeard(t, j, p.hear), startHeard(t, j, p.hear)}
			for _, m := range members {
				m.await(t, "saved") // now it knows the key
			}
			reach := func(where string, more int) {
				before := p.at(where)
				waitFor(t, func() bool { return p.at(where) >= before+more })
			}
			reach("keyring", 3)
			end := trouble.begin(d)
			reach("sealed", 3)
			end()
			reach("keyring", 3)
			for _, m := range members {
				assert.NoError(t, m.stop())
				assert.False(t, m.hasTold("over"), "%v", m.reports())
			}
			j.Deed = "once"
			require.NoError(t, start(t, j).finish())
			stats := srv.Stats()
			t.Logf("%d rotations, saved in the keyring %d, in the file %d", stats.Rotations, p.at("keyring"), p.at("sealed"))
			assert.Equal(t, 1, srv.MaxRedemptions())
			assert.Zero(t, stats.FamiliesRevoked)
		})
	}
}
