package localstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource/internal/fakesecrets"
)

// needPrograms skips a test that wants a bus and a keyring daemon where they are
// not installed. Those of the test are its own.
func needPrograms(t *testing.T) {
	t.Helper()
	if os.Getenv("PAWL_TEST_KEYRING") == "1" {
		return
	}
	if os.Getenv("PAWL_REQUIRE_SERVICES") == "1" {
		t.Fatal("PAWL_REQUIRE_SERVICES=1, and PAWL_TEST_KEYRING is not set: run under scripts/secret-service.sh")
	}
	t.Skip("no keyring daemon: run under scripts/secret-service.sh")
}

// desk is a session bus that nobody else is on, and the home of whoever sits at
// it.
type desk struct {
	*fakesecrets.Bus
	t *testing.T
}

func sitDown(t *testing.T, activatable string) *desk {
	t.Helper()
	needPrograms(t)
	dir, err := os.MkdirTemp("", "desk") // short: the path of a socket has its limit
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bus, err := fakesecrets.StartBus(dir, activatable)
	require.NoError(t, err)
	t.Cleanup(bus.Kill)
	return &desk{bus, t}
}

// env is the environment of a program at the desk.
func (d *desk) env(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.Dir, "DBUS_SESSION_BUS_ADDRESS=" + d.Address,
		"XDG_DATA_HOME=" + d.Dir + "/data", "XDG_CONFIG_HOME=" + d.Dir + "/config", "XDG_CACHE_HOME=" + d.Dir + "/cache",
		"XDG_RUNTIME_DIR=" + d.Dir}, more...)
}

// fake puts a scripted keyring on the bus.
func (d *desk) fake(script fakesecrets.Script) *fakesecrets.Service {
	d.t.Helper()
	service, err := fakesecrets.Start(d.Address)
	require.NoError(d.t, err)
	d.t.Cleanup(func() { _ = service.Close() })
	service.Play(script)
	return service
}

// gnome starts a gnome-keyring and returns what kills it. With a password its
// keyring is unlocked, and made if there is none.
func (d *desk) gnome(password string) (cmd *exec.Cmd, kill func()) {
	d.t.Helper()
	// A copy, because Debian's has a file capability that containers refuse.
	path := filepath.Join(d.Dir, "gnome-keyring-daemon")
	if _, err := os.Stat(path); err != nil {
		original, err := exec.LookPath("gnome-keyring-daemon")
		require.NoError(d.t, err)
		copyProgram(d.t, original, path)
	}
	args := []string{"--foreground", "--components=secrets"}
	if password != "" {
		args = append(args, "--unlock")
	}
	cmd = exec.Command(path, args...)
	cmd.Env = d.env()
	cmd.Stdin = strings.NewReader(password)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(d.t, cmd.Start())
	kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	d.t.Cleanup(kill)
	d.eventually("the daemon is on the bus", "true", "org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets")
	if password != "" {
		d.eventually("its keyring is unlocked", "false", "org.freedesktop.secrets", "/org/freedesktop/secrets/collection/login",
			"org.freedesktop.DBus.Properties.Get", "string:org.freedesktop.Secret.Collection", "string:Locked")
	}
	return cmd, kill
}

// copyProgram leaves the copying to a program. What this process writes, one that
// it starts meanwhile holds open for writing for a moment, and then it cannot be
// run: "text file busy".
func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	out, err := exec.Command("cp", from, to).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.Chmod(to, 0o755))
}

// eventually asks the bus until it says so. Starting a program each time is
// pause enough.
func (d *desk) eventually(what, answer, dest string, message ...string) {
	d.t.Helper()
	args := append([]string{"--bus=" + d.Address, "--print-reply=literal", "--dest=" + dest}, message...)
	for end := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		out, _ := exec.Command("dbus-send", args...).Output()
		if strings.Contains(string(out), answer) {
			return
		}
		require.True(d.t, time.Now().Before(end), what)
	}
}

// start runs a job in a process with exactly this environment.
func (j job) start(t *testing.T, env []string, change ...func(*exec.Cmd)) report {
	t.Helper()
	r, err := j.try(t.Context(), env, change...)
	require.NoError(t, err)
	return r
}

func (j job) try(ctx context.Context, env []string, change ...func(*exec.Cmd)) (r report, err error) {
	text, err := json.Marshal(j)
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, os.Args[0])
	// The race detector's runtime sleeps for a second before it exits.
	cmd.Env = append(env, childEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	for _, f := range change {
		f(cmd)
	}
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%w: %s", err, out)
	}
	return r, json.Unmarshal(out, &r)
}

// needRoot skips a test, and fails it where nothing may be left out.
func needRoot(t *testing.T, why string) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("PAWL_REQUIRE_SERVICES") == "1" {
		t.Fatal("PAWL_REQUIRE_SERVICES=1, and " + why)
	}
	t.Skip(why)
}
