package localstore_test

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource/internal/fakesecrets"
	"github.com/seed-9a12f4e2/pawl/tokensource/localstore"
)

// The rows of the table in docs/storage.md, each in a process of its own with
// exactly its environment.

var (
	anything = []localstore.Backend{localstore.KernelKey, localstore.Plain, localstore.Memory}
	keyEnv   = "EXAMPLE_KEY=" + base64.StdEncoding.EncodeToString([]byte("an example of a key of 32 bytes!"))
	overSSH  = "SSH_CONNECTION=192.0.2.1 50000 192.0.2.2 22"
)

// chosen says whether a choice was recorded, and which.
func chosen(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "local-pawl-test", "choice"))
	if os.IsNotExist(err) {
		return ""
	}
	require.NoError(t, err)
	return strings.Split(string(text), "\n")[1]
}

// A desktop.
func TestUnlockedKeyringIsChosenWhateverTheHintsSayAndStays(t *testing.T) {
	t.Parallel()
	d, dir := sitDown(t, ""), t.TempDir()
	_, kill := d.gnome("secret")
	j := job{Dir: dir, KeyEnv: "EXAMPLE_KEY", Allow: anything, Put: "x"}
	r := j.start(t, d.env(keyEnv, "CI=true", overSSH, "KUBERNETES_SERVICE_HOST=192.0.2.3"))
	require.Empty(t, r.Err)
	assert.Equal(t, "keyring", r.Backend)
	assert.Subset(t, r.Hints, []string{"CI", "SSH", "container"})
	assert.Equal(t, "keyring", chosen(t, dir))
	t.Log(r.Choice)

	// The next day, from cron, with no bus; then with a bus and nothing on it;
	// then locked: never another place, and never a prompt.
	j.Put = ""
	r = j.start(t, []string{keyEnv})
	assert.Subset(t, r.Kinds, []string{"no bus", "try again"}, r.Err)
	kill()
	r = j.start(t, d.env(keyEnv))
	assert.Subset(t, r.Kinds, []string{"no service", "try again"}, r.Err)
	_, kill = d.gnome("")
	j.Interactive = true
	r = j.start(t, d.env(keyEnv, overSSH, "DISPLAY=:0"))
	assert.Subset(t, r.Kinds, []string{"locked", "try again"}, r.Err)
	assert.Equal(t, "keyring", chosen(t, dir))
	t.Logf("locked, over ssh: %v: %s", r.Took, r.Err)
	kill()
	d.gnome("secret")
	r = j.start(t, d.env(keyEnv))
	require.Empty(t, r.Err)
	assert.Equal(t, "x", r.Record)
}

// Guards missing: each of these is a keyring that is there.
func TestKeyringThatIsThereAndCannotBeUsedIsAnErrorAtTheFirstChoice(t *testing.T) {
	t.Parallel()
	d := sitDown(t, "")
	_, kill := d.gnome("secret")
	kill()
	daemon, _ := d.gnome("")
	for name, row := range map[string]struct {
		interactive bool
		env         []string
	}{
		"locked, nobody there":           {false, []string{"DISPLAY=:0"}},
		"locked, over ssh":               {true, []string{"DISPLAY=:0", overSSH}},
		"locked, without a display":      {true, nil},
		"locked, and asked for by name":  {false, nil},
		"stopped, whatever the place is": {true, []string{"DISPLAY=:0"}},
	} {
		dir, want := t.TempDir(), "locked"
		j := job{Dir: dir, KeyEnv: "EXAMPLE_KEY", Allow: anything, Interactive: row.interactive}
		if strings.HasPrefix(name, "stopped") {
			require.NoError(t, daemon.Process.Signal(syscall.SIGSTOP))
			want = "hung"
		}
		if strings.HasSuffix(name, "by name") {
			j.Use = localstore.Keyring
		}
		r := j.start(t, d.env(append(row.env, keyEnv)...))
		if want == "hung" {
			require.NoError(t, daemon.Process.Signal(syscall.SIGCONT))
		}
		assert.Subset(t, r.Kinds, []string{want, "try again"}, "%s: %s", name, r.Err)
		assert.Equal(t, "auto", r.Backend, name)
		assert.Empty(t, chosen(t, dir), name)
		assert.Less(t, r.Took, 10*time.Second, name)
		t.Logf("%s: %v", name, r.Took)
	}
}

// Guards Store.Probe: to open is not to prompt.
func TestLockedKeyringIsChosenWhereSomebodyCanBeAskedAndNotAskedYet(t *testing.T) {
	t.Parallel()
	d, dir := sitDown(t, ""), t.TempDir()
	service := d.fake(fakesecrets.Script{Locked: true, Unlock: fakesecrets.Accept})
	j := job{Dir: dir, KeyEnv: "EXAMPLE_KEY", Interactive: true, OpenOnly: true}
	r := j.start(t, d.env(keyEnv, "DISPLAY=:0"))
	require.Empty(t, r.Err)
	assert.Equal(t, "keyring", chosen(t, dir))
	assert.Zero(t, service.Shown())
	j.OpenOnly, j.Put = false, "x"
	r = j.start(t, d.env(keyEnv, "DISPLAY=:0"))
	require.Empty(t, r.Err)
	assert.Equal(t, "x", r.Record)
	assert.Equal(t, 1, service.Shown(), "it was the first use that asked")
}

// Guards missing from the other side: each of these is no keyring at all, so
// the program's key serves; without one there is an error, not a file in the
// clear.
func TestWhereThereIsNoKeyringTheProgramsKeyServes(t *testing.T) {
	t.Parallel()
	empty, activatable, bare := sitDown(t, ""), sitDown(t, "/bin/false"), sitDown(t, "")
	bare.gnome("") // no keyring was ever made
	credentials := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(credentials, "pawl.key"), []byte("\x00\x01an example of a key, 32 bytes!"), 0o600))
	nobody := func(cmd *exec.Cmd) {}
	if os.Getuid() == 0 {
		// A user without a name, a home or /run/user, as in many containers.
		nobody = func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
		}
	}
	for name, row := range map[string]struct {
		env        []string
		as         func(*exec.Cmd)
		credential string
		kind       string
	}{
		"container":                       {[]string{"KUBERNETES_SERVICE_HOST=192.0.2.3"}, nobody, "", "no bus"},
		"CI":                              {[]string{"CI=true", "GITHUB_ACTIONS=true"}, nobody, "", "no bus"},
		"cron":                            {[]string{"SHELL=/bin/sh", "PATH=/usr/bin:/bin"}, nobody, "", "no bus"},
		"ssh into a server":               {[]string{overSSH, "TERM=xterm"}, nobody, "", "no bus"},
		"system service of systemd":       {[]string{"CREDENTIALS_DIRECTORY=" + credentials, "INVOCATION_ID=0"}, nil, "pawl.key", "no bus"},
		"a bus that is gone":              {[]string{"DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent/bus"}, nil, "", "no bus"},
		"WSL, with a bus and nothing":     {empty.env(), nil, "", "no service"},
		"a keyring that nobody started":   {activatable.env(), nil, "", "no service"},
		"a keyring daemon without a ring": {bare.env(), nil, "", "no collection"},
	} {
		t.Run(name, func(t *testing.T) {
			if row.as == nil {
				row.as = func(*exec.Cmd) {}
			}
			dir := usableByAll(t)
			program := copied(t)
			as := func(cmd *exec.Cmd) { cmd.Path, cmd.Dir = program, "/"; row.as(cmd) }
			j := job{Dir: dir}
			r := j.start(t, row.env, as)
			assert.Subset(t, r.Kinds, []string{row.kind, "try again"}, r.Err)
			assert.Empty(t, chosen(t, dir))

			j.KeyEnv, j.Put = "EXAMPLE_KEY", "x"
			if row.credential != "" {
				j.KeyEnv, j.Credential = "", row.credential
			}
			r = j.start(t, append(row.env, keyEnv), as)
			require.Empty(t, r.Err)
			assert.Equal(t, "sealed", r.Backend)
			assert.Equal(t, "x", r.Record)
			assert.Equal(t, "sealed", chosen(t, dir))
			t.Log(r.Choice)
		})
	}
}

// The same, without Config.Dir: there is no home to put a file in.
func TestUserWithoutAHomeIsToldOrKeepsSessionsInMemory(t *testing.T) {
	needRoot(t, "only root can become a user without a name")
	t.Parallel()
	program := copied(t)
	as := func(cmd *exec.Cmd) {
		cmd.Path, cmd.Dir = program, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	}
	j := job{KeyEnv: "EXAMPLE_KEY"}
	r := j.start(t, []string{keyEnv}, as)
	assert.Subset(t, r.Kinds, []string{"try again"})
	assert.Contains(t, r.Err, "set Config.Dir")
	j.Allow = []localstore.Backend{localstore.Memory}
	r = j.start(t, []string{keyEnv}, as)
	require.Empty(t, r.Err)
	assert.Equal(t, "memory", r.Backend)
	t.Log(r.Choice)
}

// cron and WSL on a desktop: the environment says nothing, and the bus is where
// systemd puts it. In a mount namespace of its own.
func TestBusOfTheUserIsFoundWithoutItsVariableAndWSLIsOnlyAHint(t *testing.T) {
	needRoot(t, "only root can put a bus below /run/user")
	t.Parallel()
	d, dir := sitDown(t, ""), t.TempDir()
	d.fake(fakesecrets.Script{})
	release := filepath.Join(dir, "osrelease")
	require.NoError(t, os.WriteFile(release, []byte("5.15.0-microsoft-standard-WSL2\n"), 0o600))
	script := `mount -t tmpfs pawl /run/user && mkdir /run/user/0 && mount --bind "$1" /run/user/0 &&
mount --bind "$2" /proc/sys/kernel/osrelease && exec "$3"`
	unshare, err := exec.LookPath("unshare")
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	r := job{Dir: dir}.start(t, []string{"PATH=" + os.Getenv("PATH")}, func(cmd *exec.Cmd) {
		cmd.Path, cmd.Args = unshare, []string{"unshare", "-m", "sh", "-c", script, "sh", d.Dir, release, self}
	})
	require.Empty(t, r.Err)
	assert.Equal(t, "keyring", r.Backend)
	assert.Contains(t, r.Hints, "WSL")
}

// Guards the lock in open between processes. Half of them see a keyring.
func TestProcessesThatOpenAtOnceAgree(t *testing.T) {
	t.Parallel()
	d, dir := sitDown(t, ""), t.TempDir()
	d.fake(fakesecrets.Script{})
	var all sync.WaitGroup
	reports := make([]report, 8)
	for i := range reports {
		env := []string{keyEnv}
		if i%2 == 0 {
			env = d.env(keyEnv)
		}
		all.Go(func() {
			var err error
			reports[i], err = job{Dir: dir, KeyEnv: "EXAMPLE_KEY"}.try(t.Context(), env)
			assert.NoError(t, err)
		})
	}
	all.Wait()
	kept := chosen(t, dir)
	opened := 0
	for _, r := range reports {
		if r.Err == "" {
			opened++
			assert.Equal(t, kept, r.Backend)
		} else {
			assert.Contains(t, r.Kinds, "no bus", "it cannot reach the keyring that the others chose")
		}
	}
	assert.GreaterOrEqual(t, opened, len(reports)/2)
}

// copied returns a copy of this program that every user can run.
func copied(t *testing.T) string {
	t.Helper()
	path := filepath.Join(usableByAll(t), "program")
	copyProgram(t, os.Args[0], path)
	return path
}

// usableByAll makes a directory in which every user may make things. That of
// t.TempDir may lie below one that only its owner can enter.
func usableByAll(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pawl")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	return dir
}
