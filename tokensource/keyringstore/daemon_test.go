//go:build linux

package keyringstore_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource/internal/fakesecrets"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// desk is a private session bus that this process, and what it starts, take
// for their own.
type desk struct {
	*fakesecrets.Bus
	t     *testing.T
	times *timetable // what saves took; nil: nobody wants to know
}

// sitDown starts a bus, on which nothing is but what the test puts there.
func sitDown(t *testing.T, activatable string) *desk {
	t.Helper()
	needKeyring(t)                       // not the keyring, but the programs that come with it
	dir, err := os.MkdirTemp("", "desk") // short: the path of a socket has its limit
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bus, err := fakesecrets.StartBus(dir, activatable)
	require.NoError(t, err)
	t.Cleanup(bus.Kill)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", bus.Address)
	hangUp()
	t.Cleanup(hangUp)
	return &desk{Bus: bus, t: t}
}

// hangUp ends the one connection to a bus that go-keyring keeps per process, so
// that its next call goes to the bus of that moment.
func hangUp() {
	if conn, err := dbus.SessionBus(); err == nil {
		_ = conn.Close()
	}
}

// stop stops the bus until the test ends.
func (d *desk) stop() {
	d.t.Helper()
	require.NoError(d.t, d.Stop())
	d.t.Cleanup(func() { _ = d.Continue() })
}

// fake puts a scripted service on the bus.
func (d *desk) fake(script fakesecrets.Script) *fakesecrets.Service {
	d.t.Helper()
	service, err := fakesecrets.Start(d.Address)
	require.NoError(d.t, err)
	d.t.Cleanup(func() { _ = service.Close() })
	service.Play(script)
	return service
}

// daemon is a program of the desk.
type daemon struct {
	*exec.Cmd
	t *testing.T
}

// gnome starts a gnome-keyring; with a password its keyring is unlocked, and
// made if there is none.
func (d *desk) gnome(password string) *daemon {
	d.t.Helper()
	// A copy, because Debian's has a file capability that containers refuse.
	path := filepath.Join(d.Dir, "gnome-keyring-daemon")
	if _, err := os.Stat(path); err != nil {
		original, err := exec.LookPath("gnome-keyring-daemon")
		require.NoError(d.t, err)
		program, err := os.ReadFile(original)
		require.NoError(d.t, err)
		require.NoError(d.t, os.WriteFile(path, program, 0o700))
	}
	args := []string{"--foreground", "--components=secrets"}
	if password != "" {
		args = append(args, "--unlock")
	}
	k := d.start(exec.Command(path, args...), password)
	d.eventuallyOwned()
	return k
}

// start starts a program that ends with the test at the latest.
func (d *desk) start(cmd *exec.Cmd, stdin string, env ...string) *daemon {
	d.t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), "HOME="+d.Dir, "XDG_DATA_HOME="+d.Dir+"/data", "XDG_CONFIG_HOME="+d.Dir+"/config",
		"XDG_CACHE_HOME="+d.Dir+"/cache", "XDG_RUNTIME_DIR="+d.Dir)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdin = strings.NewReader(stdin)
	require.NoError(d.t, cmd.Start())
	k := &daemon{cmd, d.t}
	d.t.Cleanup(k.kill)
	return k
}

func (k *daemon) kill() {
	_ = k.Process.Kill()
	_ = k.Wait()
}

func (k *daemon) stop() {
	k.t.Helper()
	require.NoError(k.t, k.Process.Signal(syscall.SIGSTOP))
}

func (k *daemon) resume() {
	k.t.Helper()
	require.NoError(k.t, k.Process.Signal(syscall.SIGCONT))
}

func (d *desk) eventuallyOwned() {
	d.t.Helper()
	conn, err := dbus.Connect(d.Address)
	require.NoError(d.t, err)
	defer func() { _ = conn.Close() }()
	eventually(d.t, "the service is on the bus", func() bool {
		var owned bool
		err := conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "org.freedesktop.secrets").Store(&owned)
		return err == nil && owned
	})
}

// open waits until the keyring is unlocked.
func (d *desk) open() {
	d.t.Helper()
	eventually(d.t, "the keyring is unlocked", func() bool { return keyringstore.Preflight(d.t.Context()) == nil })
}

// lock locks the keyring as a screen saver does.
func (d *desk) lock() {
	d.t.Helper()
	conn, err := dbus.Connect(d.Address)
	require.NoError(d.t, err)
	defer func() { _ = conn.Close() }()
	login := []dbus.ObjectPath{"/org/freedesktop/secrets/collection/login"}
	require.NoError(d.t, conn.Object("org.freedesktop.secrets", "/org/freedesktop/secrets").
		Call("org.freedesktop.Secret.Service.Lock", 0, login).Err)
}

// store opens a store with a worker and locks of its own, as another process
// has them. With the zero Dir it has a directory of its own, too.
func (d *desk) store(c keyringstore.Config) *keyringstore.Store {
	d.t.Helper()
	if c.Dir == "" {
		c.Dir = d.t.TempDir()
	}
	stores, err := keyringstore.NewOSStores(c)
	require.NoError(d.t, err)
	return stores[0]
}
