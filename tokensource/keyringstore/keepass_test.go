//go:build linux

package keyringstore_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// needKeepass skips a test where KeePassXC is not installed; .ci/run installs
// it.
func needKeepass(t *testing.T) {
	t.Helper()
	needKeyring(t)
	for _, program := range []string{"keepassxc", "keepassxc-cli"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("PAWL_REQUIRE_SERVICES") == "1" {
				t.Fatal("PAWL_REQUIRE_SERVICES=1, but there is no KeePassXC: sh scripts/install-deps.sh keepassxc")
			}
			t.Skip("needs KeePassXC: sh scripts/install-deps.sh keepassxc")
		}
	}
}

// A database with one group, which is what the secret service shows.
const keepassDatabase = `<?xml version="1.0" encoding="UTF-8"?>
<KeePassFile><Meta><DatabaseName>test</DatabaseName><RecycleBinEnabled>False</RecycleBinEnabled><CustomData><Item>
<Key>FDO_SECRETS_EXPOSED_GROUP</Key><Value>{11111111-2222-3333-4444-555555555555}</Value>
</Item></CustomData></Meta><Root><Group><UUID>ERERESIiMzNERFVVVVVVVQ==</UUID><Name>Root</Name></Group></Root></KeePassFile>`

const keepassConfig = `[FdoSecrets]
Enabled=true
ConfirmAccessItem=false
ConfirmDeleteItem=false
[GUI]
CheckForUpdates=false
[General]
SingleInstance=false
[Security]
LockDatabaseIdle=false
`

// makeKeepass makes a database at the desk.
func (d *desk) makeKeepass() {
	d.t.Helper()
	require.NoError(d.t, os.WriteFile(filepath.Join(d.Dir, "in.xml"), []byte(keepassDatabase), 0o600))
	require.NoError(d.t, os.WriteFile(filepath.Join(d.Dir, "k.ini"), []byte(keepassConfig), 0o600))
	cmd := exec.Command("keepassxc-cli", "import", "-p", "-t", "100", filepath.Join(d.Dir, "in.xml"), filepath.Join(d.Dir, "db.kdbx"))
	cmd.Stdin = strings.NewReader("secret\nsecret\n")
	out, err := cmd.CombinedOutput()
	require.NoError(d.t, err, "%s", out)
}

// keepass starts a KeePassXC without a screen. Its name is on the bus before
// its database is open.
func (d *desk) keepass() *daemon {
	d.t.Helper()
	cmd := exec.Command("keepassxc", "--config", filepath.Join(d.Dir, "k.ini"), "--localconfig", filepath.Join(d.Dir, "local.ini"),
		"--pw-stdin", filepath.Join(d.Dir, "db.kdbx"))
	k := d.start(cmd, "secret\n", "QT_QPA_PLATFORM=offscreen")
	d.open()
	return k
}

// One test for all, since a KeePassXC takes seconds to start.
func TestKeepassHoldsASessionThroughAllThatItDoesDifferently(t *testing.T) {
	needKeepass(t)
	leavesNothing(t, "keepassxc", func(t *testing.T, d *desk) {
		start := time.Now()
		d.makeKeepass()
		k := d.keepass()
		t.Logf("made and started in %v", time.Since(start).Round(time.Millisecond))
		dir := t.TempDir()
		open := func(sealed bool) *keyringstore.Store {
			return d.store(keyringstore.Config{Dir: dir, Sealed: sealed})
		}

		sealed, safe := open(true), newKey()
		d.settles(func() { require.NoError(t, swap(t, sealed, safe, 0, 1)) })
		s := &session{desk: d, store: open(false), key: newKey()}
		d.settles(func() { s.saves("the first save", keyringstore.Keyring, 0) })
		s.saves("a save", keyringstore.Keyring, 0)
		other := open(false)
		holds(t, other, s.key, s.n, keyringstore.Keyring)
		require.ErrorIs(t, swap(t, other, s.key, 1, 9), tokensource.ErrConflict)
		for range 4 {
			require.NoError(t, s.save(t.Context()))
		}
		// Each write was a prompt, though none was seen: see nags.
		holds(t, s.store, s.key, s.n, keyringstore.Sealed)
		holds(t, other, s.key, s.n, keyringstore.Sealed)
		require.NoError(t, s.store.Swap(t.Context(), s.key, version(s.n), version(s.n+1), append([]byte{byte(s.n + 1)}, make([]byte, 6000)...)))
		s.n++
		holds(t, other, s.key, s.n, keyringstore.Sealed)

		// It asks whether another program may change an entry of this one, in
		// a dialog that nobody sees here. Another connection is another
		// program to it.
		hangUp()
		s.store = open(false)
		holds(t, s.store, s.key, s.n, keyringstore.Sealed)
		s.saveWithin(300 * time.Millisecond)
		holds(t, s.store, s.key, s.n, keyringstore.Sealed)

		// It acknowledges what it has not written to disk.
		unsafe := newKey()
		t.Logf("a new session that is not kept sealed: %v", swap(t, open(false), unsafe, 0, 1))
		require.NoError(t, swap(t, sealed, safe, 1, 2))
		k.kill()
		hangUp()
		d.keepass()
		holds(t, open(true), safe, 2, keyringstore.Sealed)
		_, _, err := open(false).Load(t.Context(), unsafe)
		t.Logf("the same after a kill: %v", err)
		require.NoError(t, open(false).Forget(t.Context(), safe))
		forgotten(t, open(false), safe)
	})
}

// settles waits until KeePassXC has written to disk what f does. It crashes,
// now and then, when it is to make another item before that
// (keepassxreboot/keepassxc#8560 tells of the like).
func (d *desk) settles(f func()) {
	d.t.Helper()
	before := d.saved()
	f()
	eventually(d.t, "KeePassXC has written its database", func() bool { return d.saved() != before })
}

// saved tells one state of the database's file from another.
func (d *desk) saved() string {
	d.t.Helper()
	info, err := os.Stat(filepath.Join(d.Dir, "db.kdbx"))
	if err != nil {
		return "none" // it is being replaced
	}
	return info.ModTime().String()
}
