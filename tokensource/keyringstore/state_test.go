//go:build linux

package keyringstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/fakesecrets"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// coldRows are the states that a program can find when it starts, before it has
// read anything from the keyring. docs/keyring.md has this table.
var coldRows = []struct {
	name    string
	arrange func(d *desk)
	want    keyringstore.State // 0: the keyring can be used
	hung    bool               // it takes a deadline to find out
}{
	{name: "no address of a bus", want: keyringstore.StateNoBus,
		arrange: func(d *desk) { d.t.Setenv("DBUS_SESSION_BUS_ADDRESS", "") }},
	{name: "an address that asks for a bus to be launched", want: keyringstore.StateNoBus,
		arrange: func(d *desk) { d.t.Setenv("DBUS_SESSION_BUS_ADDRESS", "autolaunch:") }},
	{name: "an address without a socket", want: keyringstore.StateBusUnreachable,
		arrange: func(d *desk) { d.t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+d.Dir+"/nothing") }},
	{name: "a bus that was killed", want: keyringstore.StateBusUnreachable,
		arrange: func(d *desk) { d.Kill() }},
	{name: "a bus that is stopped", want: keyringstore.StateBusHung, hung: true,
		arrange: func(d *desk) { d.stop() }},
	{name: "a bus with nothing on it", want: keyringstore.StateNoService,
		arrange: func(*desk) {}},
	{name: "a daemon that was killed", want: keyringstore.StateNoService,
		arrange: func(d *desk) { d.gnome("secret").kill() }},
	{name: "a daemon without a keyring", want: keyringstore.StateNoCollection,
		arrange: func(d *desk) { d.gnome("") }},
	{name: "a daemon that got the wrong password", want: keyringstore.StateLocked,
		arrange: func(d *desk) {
			k := d.gnome("secret")
			d.open()
			k.kill()
			d.gnome("wrong")
		}},
	{name: "a daemon that was locked", want: keyringstore.StateLocked,
		arrange: func(d *desk) { d.gnome("secret"); d.open(); d.lock() }},
	{name: "a daemon that is stopped", want: keyringstore.StateServiceHung, hung: true,
		arrange: func(d *desk) {
			k := d.gnome("secret")
			d.open()
			k.stop()
			d.t.Cleanup(k.resume)
		}},
	{name: "an unlocked daemon",
		arrange: func(d *desk) { d.gnome("secret"); d.open() }},
	{name: "an unlocked fake", arrange: func(d *desk) { d.fake(fakesecrets.Script{}) }},
}

// Guards each step of preflight and, by the script that stands in for
// dbus-launch, busAddress: left to itself, go-keyring starts a bus of its own.
func TestEachStateIsNamedInTimeAndLeavesNothingBehind(t *testing.T) {
	needKeyring(t)
	launched := launcher(t)
	table := &timetable{head: []string{"what a program finds", "State", "errors.Is", "Probe", "Swap", "Forget"}}
	for _, row := range coldRows {
		if row.want == keyringstore.StateNoBus && hasBusOfItsOwn() {
			table.add(row.name, row.want.String(), "ErrNoBus", duration(0), duration(0), duration(0))
			t.Logf("%s: not here, where there is a bus in its usual place", row.name)
			continue
		}
		leavesNothing(t, row.name, func(_ *testing.T, d *desk) {
			row.arrange(d)
			table.add(d.inEachWay(row.name, row.want, row.hung)...)
		})
	}
	t.Run("activatable", func(t *testing.T) {
		started := filepath.Join(t.TempDir(), "started")
		d := sitDown(t, "/bin/touch "+started)
		table.add(d.inEachWay("a bus that would start one", keyringstore.StateActivatable, false)...)
		assert.NoFileExists(t, started, "what it would start asks for a password")
	})
	assert.NoFileExists(t, launched, "dbus-launch was run")
	t.Logf("\n%s", table)
	table.onThePage(t, "states", len(table.rows) == len(coldRows)+1)
}

// inEachWay asserts the error of each call that needs the keyring and has never
// read it, and returns a row of the table.
func (d *desk) inEachWay(name string, want keyringstore.State, hung bool) []string {
	d.t.Helper()
	sentinel := "nil"
	for _, err := range []struct {
		kind error
		name string
	}{
		{keyringstore.ErrNoBus, "ErrNoBus"}, {keyringstore.ErrNoService, "ErrNoService"}, {keyringstore.ErrHung, "ErrHung"},
		{keyringstore.ErrNoCollection, "ErrNoCollection"}, {keyringstore.ErrLocked, "ErrLocked"},
	} {
		if errors.Is(&keyringstore.StateError{State: want}, err.kind) {
			sentinel = err.name
		}
	}
	row := []string{name, "", sentinel}
	if want != 0 {
		row[1] = want.String()
	}
	s, key := d.store(keyringstore.Config{}), newKey()
	for _, call := range []func() error{
		func() error { return keyringstore.ProbeOS(d.t.Context()) },
		func() error { return swap(d.t, s, key, 0, 1) },
		func() error { return s.Forget(d.t.Context(), key) },
	} {
		start := time.Now()
		err := call()
		took := time.Since(start)
		assertState(d.t, want, err)
		assert.Less(d.t, took, 5*time.Second) // milliseconds, or half a second, or three
		row = append(row, duration(took))
		if hung { // the calls of a store have three seconds for the same
			return append(row, "", "")
		}
	}
	return row
}

// assertState asserts the typed error of a state, and that it says what to do.
func assertState(t *testing.T, want keyringstore.State, err error) {
	t.Helper()
	if want == 0 {
		require.NoError(t, err)
		return
	}
	var state *keyringstore.StateError
	require.ErrorAs(t, err, &state)
	assert.Equal(t, want.String(), state.State.String())
	require.ErrorIs(t, err, tokensource.ErrTryAgain)
	var typed *tokensource.Error
	require.ErrorAs(t, err, &typed)
	assert.Equal(t, tokensource.ReasonStore, typed.Reason)
	assert.NotEmpty(t, typed.Advice)
	assert.NotErrorIs(t, err, tokensource.ErrLoginRequired)
}

// launcher puts a program in the place of dbus-launch, and returns the file
// that it makes when it is run.
func launcher(t *testing.T) (launched string) {
	t.Helper()
	dir := t.TempDir()
	launched = filepath.Join(dir, "launched")
	script := "#!/bin/sh\n>" + launched + "\nexit 1\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dbus-launch"), []byte(script), 0o700))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return launched
}

// hasBusOfItsOwn: on a desktop a bus is found without an address.
func hasBusOfItsOwn() bool {
	_, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid()))
	return err == nil
}

// leavesNothing runs a subtest at a desk of its own and asserts that no process
// of the desk and no goroutine outlives it.
func leavesNothing(t *testing.T, name string, f func(t *testing.T, d *desk)) {
	t.Helper()
	before := runtime.NumGoroutine()
	var dir string
	ok := t.Run(name, func(t *testing.T) {
		d := sitDown(t, "")
		dir = d.Dir
		f(t, d)
	})
	if !ok || dir == "" {
		return
	}
	assert.Empty(t, processesOf(t, dir), "%s: processes", name)
	eventually(t, name+": the goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

// processesOf lists the processes that know of a directory.
func processesOf(t *testing.T, dir string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	for _, p := range all {
		if p == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue
		}
		command, _ := os.ReadFile(p + "/cmdline") // it may have ended by now
		environ, _ := os.ReadFile(p + "/environ")
		if strings.Contains(string(command)+string(environ), dir) {
			found = append(found, strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return found
}
