//go:build linux

package keyringstore_test

import (
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"
	"github.com/zalando/go-keyring"
	"github.com/zalando/go-keyring/secret_service"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/fakesecrets"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// put makes another item in a real keyring, as other programs do.
func (d *desk) put(i fakesecrets.Item) {
	d.t.Helper()
	svc, err := ss.NewSecretService()
	require.NoError(d.t, err)
	session, err := svc.OpenSession()
	require.NoError(d.t, err)
	defer func() { _ = svc.Close(session) }()
	var item, prompt dbus.ObjectPath
	require.NoError(d.t, svc.GetLoginCollection().Call("org.freedesktop.Secret.Collection.CreateItem", 0, map[string]dbus.Variant{
		"org.freedesktop.Secret.Item.Label":      dbus.MakeVariant("of another program"),
		"org.freedesktop.Secret.Item.Attributes": dbus.MakeVariant(i.Attributes),
	}, ss.NewSecret(session.Path(), i.Secret), false).Store(&item, &prompt))
}

// secrets returns what a real keyring has under the name of a session.
func (d *desk) secrets(key tokensource.Key) (all []string) {
	d.t.Helper()
	svc, err := ss.NewSecretService()
	require.NoError(d.t, err)
	session, err := svc.OpenSession()
	require.NoError(d.t, err)
	defer func() { _ = svc.Close(session) }()
	items, err := svc.SearchItems(svc.GetLoginCollection(), map[string]string{"service": "pawl", "username": key.String()})
	require.NoError(d.t, err)
	for _, item := range items {
		secret, err := svc.GetSecret(item, session.Path())
		require.NoError(d.t, err)
		all = append(all, string(secret.Value))
	}
	return all
}

// Guards highest and remove with the daemon that most people have: what the
// scripted one does in every order.
func TestRealKeyringWithCopiesOfAnEntryAndTornOnes(t *testing.T) {
	needKeyring(t)
	leavesNothing(t, "copies", func(t *testing.T, d *desk) {
		k := d.gnome("secret")
		d.open()
		s := d.begin(keyringstore.Config{})
		d.put(duplicate(s, d.secrets(s.key)[0]))
		require.Len(t, d.secrets(s.key), 2)
		for range 3 {
			s.saves("beside a copy", keyringstore.Keyring, 0)
		}
		k.kill()
		d.gnome("secret")
		d.open()
		holds(t, d.store(keyringstore.Config{}), s.key, s.n, keyringstore.Keyring)
		require.NoError(t, s.store.Forget(t.Context(), s.key))
		require.Empty(t, d.secrets(s.key))
		forgotten(t, s.store, s.key)
	})
	leavesNothing(t, "torn", func(t *testing.T, d *desk) {
		d.gnome("secret")
		d.open()
		s, key := d.store(keyringstore.Config{}), newKey()
		d.put(fakesecrets.Item{Attributes: map[string]string{"service": "pawl", "username": key.String()}})
		_, _, err := s.Load(t.Context(), key)
		require.ErrorIs(t, err, keyringstore.ErrCorrupt)
		require.ErrorIs(t, err, tokensource.ErrLoginRequired)
		require.NoError(t, swap(t, s, key, 0, 1))
		holds(t, s, key, 1, keyringstore.Keyring)
		require.Len(t, d.secrets(key), 1)
	})
	leavesNothing(t, "reset", func(t *testing.T, d *desk) {
		d.gnome("secret")
		d.open()
		dir := t.TempDir()
		s, key := d.store(keyringstore.Config{Dir: dir, Sealed: true}), newKey()
		require.NoError(t, swap(t, s, key, 0, 1))
		require.NoError(t, keyring.Delete("pawl", key.String()))
		_, _, err := d.store(keyringstore.Config{Dir: dir}).Load(t.Context(), key)
		require.ErrorIs(t, err, keyringstore.ErrNoKey)
		require.ErrorIs(t, err, tokensource.ErrLoginRequired)
		require.NoError(t, swap(t, d.store(keyringstore.Config{Dir: dir, Sealed: true}), key, 0, 2))
		holds(t, d.store(keyringstore.Config{Dir: dir}), key, 2, keyringstore.Sealed)
	})
}
