//go:build linux

package keyringstore_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// bus is a private session bus that starts nothing.
type bus struct {
	cmd     *exec.Cmd
	address string
	home    string
}

func startBus(t *testing.T) *bus {
	t.Helper()
	needKeyring(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "bus.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:dir=%s</listen><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`, dir), 0o600))
	b := &bus{home: dir}
	b.cmd = exec.Command("dbus-daemon", "--nofork", "--print-address=1", "--config-file="+config)
	out := b.start(t, b.cmd, nil)
	address, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	b.address = strings.TrimSpace(address)
	return b
}

// start starts a program that ends with the test at the latest.
func (b *bus) start(t *testing.T, cmd *exec.Cmd, stdin io.Reader, env ...string) io.Reader {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(b.env(), env...)
	if stdin != nil {
		cmd.Stdin = stdin
	}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return out
}

func (b *bus) env() []string {
	return append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS="+b.address, "HOME="+b.home,
		"XDG_DATA_HOME="+b.home+"/data", "XDG_CONFIG_HOME="+b.home+"/config",
		"XDG_CACHE_HOME="+b.home+"/cache", "XDG_RUNTIME_DIR="+b.home)
}

// daemon starts a gnome-keyring; with a password its keyring is unlocked, and
// made if there is none.
func (b *bus) daemon(t *testing.T, password string) *exec.Cmd {
	t.Helper()
	// A copy, because Debian's has a file capability that containers refuse.
	path := filepath.Join(b.home, "gnome-keyring-daemon")
	if _, err := os.Stat(path); err != nil {
		original, err := exec.LookPath("gnome-keyring-daemon")
		require.NoError(t, err)
		program, err := os.ReadFile(original)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, program, 0o700))
	}
	args := []string{"--foreground", "--components=secrets"}
	if password != "" {
		args = append(args, "--unlock")
	}
	cmd := exec.Command(path, args...)
	b.start(t, cmd, strings.NewReader(password))
	conn, err := dbus.Connect(b.address)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	eventually(t, "the daemon is on the bus", func() bool {
		var owned bool
		err := conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "org.freedesktop.secrets").Store(&owned)
		return err == nil && owned
	})
	if password != "" {
		eventually(t, "its keyring is unlocked", func() bool { return b.probe(t) == nil })
	}
	return cmd
}

// probe probes the bus; go-keyring's connection of this process stays out of
// it unless the answer is good.
func (b *bus) probe(t *testing.T) error {
	t.Helper()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", b.address)
	return keyringstore.Preflight(t.Context())
}

func stop(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGCONT) })
}

func TestProbeNamesWhatIsMissingAndIsQuickAboutIt(t *testing.T) {
	b := startBus(t)
	quick := func(want error) {
		t.Helper()
		start := time.Now()
		require.ErrorIs(t, b.probe(t), want)
		assert.Less(t, time.Since(start), 2*time.Second) // milliseconds, or half a second when hung
	}
	quick(keyringstore.ErrNoService)

	daemon := b.daemon(t, "")
	quick(keyringstore.ErrNoCollection)
	_ = daemon.Process.Kill()
	_ = daemon.Wait()

	daemon = b.daemon(t, "secret")
	_ = daemon.Process.Kill()
	_ = daemon.Wait()
	daemon = b.daemon(t, "") // now there is a keyring, and nobody unlocks it
	quick(keyringstore.ErrLocked)

	stop(t, daemon)
	quick(keyringstore.ErrHung)
	stop(t, b.cmd)
	quick(keyringstore.ErrHung)

	b.address = "unix:path=" + b.home + "/nothing"
	quick(keyringstore.ErrNoBus)
	b.address = "autolaunch:"
	if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err != nil {
		quick(keyringstore.ErrNoBus)
	}
}

func TestProbeOfTheRealKeyringIsNil(t *testing.T) {
	needKeyring(t)
	require.NoError(t, keyringstore.Probe(t.Context()))
}

// The keyring stops for good in the middle of a session, then comes back.
func TestProcessKeepsItsSessionThroughAStoppedDaemon(t *testing.T) {
	b := startBus(t)
	daemon := b.daemon(t, "secret")
	profile, _ := newProfile()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "keyring", t.TempDir(), profile)
	feed, err := cmd.StdinPipe()
	require.NoError(t, err)
	out := bufio.NewScanner(b.start(t, cmd, nil, childEnv+"=step"))
	step := func() (n int, where string, ms int) {
		t.Helper()
		_, err := io.WriteString(feed, "\n")
		require.NoError(t, err)
		require.True(t, out.Scan())
		_, err = fmt.Sscan(out.Text(), &n, &where, &ms)
		require.NoError(t, err, out.Text())
		return n, where, ms
	}
	n, where, _ := step()
	assert.Equal(t, 1, n)
	assert.Equal(t, "keyring", where)

	require.NoError(t, daemon.Process.Signal(syscall.SIGSTOP))
	n, where, ms := step()
	assert.Equal(t, 2, n)
	assert.Equal(t, "sealed", where)
	assert.Less(t, ms, 6000)
	n, _, again := step()
	assert.Equal(t, 3, n)
	assert.Less(t, again, 400, "the keyring is left alone meanwhile")
	t.Logf("save beside a stopped daemon: %d ms, then %d ms", ms, again)

	require.NoError(t, daemon.Process.Signal(syscall.SIGCONT))
	eventually(t, "the record comes home", func() bool {
		_, where, _ := step()
		return where == "keyring"
	})
}
