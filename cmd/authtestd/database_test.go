package main_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/cmd/authtestd/internal/drivers"
)

// freshDatabase is what -db says of an empty one.
func freshDatabase(t *testing.T, kind string) string {
	t.Helper()
	if kind == "sqlite" {
		return "sqlite:" + filepath.Join(t.TempDir(), "state.db")
	}
	server := os.Getenv("PAWL_TEST_POSTGRES")
	if server == "" {
		if os.Getenv("PAWL_REQUIRE_SERVICES") == "1" {
			require.FailNow(t, "PAWL_REQUIRE_SERVICES=1, and PAWL_TEST_POSTGRES is not set: run under scripts/postgres.sh")
		}
		t.Skip("no PostgreSQL: run under scripts/postgres.sh")
	}
	db, _, err := drivers.Open("postgres:" + server)
	require.NoError(t, err)
	schema := "c" + strings.ToLower(rand.Text())
	_, err = db.Exec("CREATE SCHEMA " + schema)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, _ = db.Exec("DROP SCHEMA " + schema + " CASCADE")
		_ = db.Close()
	})
	return "postgres:" + server + " search_path=" + schema
}

// ask sends a request to one of several programs with one issuer.
func (p *program) ask(t *testing.T, want, path string, args ...string) string {
	t.Helper()
	status, body := curl(t, append([]string{p.local() + path}, args...)...)
	require.Equal(t, want, status, "%s: %s", path, body)
	return body
}

// spend refreshes, in the JSON dialect.
func (p *program) spend(t *testing.T, want, token string) (tk tokens) {
	t.Helper()
	body := p.ask(t, want, "/refresh", "--json", `{"refreshToken":"`+token+`"}`)
	if want == "200" {
		unmarshal(t, body, &tk)
	}
	return tk
}

// Guards that nothing which lasts is kept in a process: what one of them does
// is what the other finds.
func TestTwoCommandsOverOneDatabaseBehaveAsOne(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			args := []string{"-db", freshDatabase(t, kind), "-issuer", "http://auth.test"}
			one, two := run(t, args...), run(t, args...)

			first := login(t, one.local())
			second := one.spend(t, "200", first.RefreshToken)
			bearer := "Authorization: Bearer " + second.AccessToken
			two.ask(t, "200", "/api/me", "-H", bearer)
			two.spend(t, "401", first.RefreshToken) // was rotated over there
			one.spend(t, "401", second.RefreshToken)
			one.ask(t, "401", "/api/me", "-H", bearer)

			tk := login(t, two.local())
			one.ask(t, "204", "/logout", "--json", `{"refreshToken":"`+tk.RefreshToken+`"}`)
			two.spend(t, "401", tk.RefreshToken)

			tk = login(t, one.local())
			two.ask(t, "204", "/_test/users/alice/bump", "-X", "POST")
			one.spend(t, "401", tk.RefreshToken)
		})
	}
}

// A process that was killed had no time to write anything down.
func TestACommandThatWasKilledForgetsNothing(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			args := []string{"-db", freshDatabase(t, kind), "-issuer", "http://auth.test", "-auto-approve", "alice", "-profile", "grace", "-grace", "1h"}
			before := run(t, args...)
			tk := login(t, before.local())
			child := before.spend(t, "200", tk.RefreshToken)
			var client struct {
				ID     string `json:"client_id"`
				Secret string `json:"client_secret"`
			}
			unmarshal(t, before.ask(t, "201", "/oauth/register", "--json",
				`{"redirect_uris":["http://127.0.0.1/cb"],"grant_types":["client_credentials"],"token_endpoint_auth_method":"client_secret_post"}`), &client)
			device := field(t, before.ask(t, "200", "/oauth/device_authorization", "-d", "client_id=cli"), "device_code")
			code := before.code(t)
			before.stop(t, syscall.SIGKILL)

			after := run(t, args...)
			after.ask(t, "200", "/api/me", "-H", "Authorization: Bearer "+child.AccessToken) // the key
			assert.Equal(t, child.RefreshToken, after.spend(t, "200", tk.RefreshToken).RefreshToken, "told again, from its hash alone")
			after.ask(t, "200", "/oauth/token", "-d", "grant_type=client_credentials", "-d", "client_id="+client.ID, "-d", "client_secret="+client.Secret)
			after.ask(t, "200", "/oauth/token", "-d", "grant_type=urn:ietf:params:oauth:grant-type:device_code", "-d", "client_id=cli", "-d", "device_code="+device)
			redeem := []string{"-d", "grant_type=authorization_code", "-d", "client_id=cli", "-d", "code=" + code,
				"-d", "code_verifier=" + verifier, "-d", "redirect_uri=http://127.0.0.1:8000/callback"}
			after.ask(t, "200", "/oauth/token", redeem...)
			after.ask(t, "400", "/oauth/token", redeem...)
		})
	}
}
