package testserver_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// signIn says what a login comes to in each dialect.
func (b bench) signIn(name, password string) []testserver.Outcome {
	return []testserver.Outcome{
		b.do(jsonRequest("/login", map[string]string{"username": name, "password": password})).outcome(),
		b.do(formRequest(tokenPath, url.Values{
			"grant_type": {"password"}, "client_id": {"cli"}, "username": {name}, "password": {password},
		})).outcome(),
	}
}

func TestAUserAddedAtOneServerSignsInAtTheOther(t *testing.T) {
	store := testserver.MemoryStore()
	sharing := func(c *testserver.Config) { c.Store = store }
	a, b := start(t, "strict", sharing), start(t, "strict", sharing)
	in := []testserver.Outcome{testserver.LoggedIn, testserver.LoggedIn}
	out := []testserver.Outcome{testserver.WrongPassword, testserver.WrongPassword}
	assert.Equal(t, out, b.signIn("carol", "s3same"))
	require.Equal(t, http.StatusNoContent, a.control(http.MethodPost, "/_test/users", `{"name":"carol","password":"s3same"}`).Code)
	assert.Equal(t, in, b.signIn("carol", "s3same"))
	assert.Equal(t, out, b.signIn("carol", "S3same"))
	assert.Equal(t, out, b.signIn("carol", ""))
	assert.Equal(t, in, start(t, "strict", sharing).signIn("carol", "s3same"), "after a restart")

	require.NoError(t, b.DisableUser("carol"))
	assert.Equal(t, out, a.signIn("carol", "s3same"))
	assert.EqualError(t, a.AddUser(testserver.User{Name: "carol", Password: "x"}), "testserver: there is a user of that name")
	assert.EqualError(t, a.AddUser(testserver.User{Password: "x"}), "testserver: a user needs a name")
	assert.Equal(t, http.StatusBadRequest, a.control(http.MethodPost, "/_test/users", `{"name":"alice"}`).Code)
}

func TestThePasswordOfTheLatestConfigIsTheOneThatWorks(t *testing.T) {
	store := testserver.MemoryStore()
	with := func(password string) bench {
		return start(t, "strict", func(c *testserver.Config) {
			c.Store, c.Users = store, []testserver.User{{Name: "alice", Password: password}}
		})
	}
	before := with("first")
	kept := testserver.PasswordOf(store, "alice")
	with("first")
	assert.Equal(t, kept, testserver.PasswordOf(store, "alice"), "the same one is left alone")
	with("second")
	assert.Equal(t, testserver.WrongPassword, before.signIn("alice", "first")[0])
	assert.Equal(t, testserver.LoggedIn, before.signIn("alice", "second")[0])
}

// Guards the salt: equal passwords are not to be seen as such.
func TestAPasswordIsKeptSaltedAndHashed(t *testing.T) {
	store := testserver.MemoryStore()
	start(t, "strict", func(c *testserver.Config) {
		c.Store, c.Users = store, []testserver.User{{Name: "a", Password: "hunter2"}, {Name: "b", Password: "hunter2"}}
	})
	a, b := testserver.PasswordOf(store, "a"), testserver.PasswordOf(store, "b")
	assert.Len(t, a, 48)
	assert.NotEqual(t, a[:16], b[:16])
	assert.NotEqual(t, a[16:], b[16:])
	assert.NotContains(t, string(a), "hunter2")
}
