package fleet_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// memberVar makes the test binary one of the processes.
const memberVar = "PAWL_FLEET_MEMBER"

func TestMain(m *testing.M) {
	if os.Getenv(memberVar) == "" {
		os.Exit(m.Run())
	}
	var j job
	in := json.NewDecoder(os.Stdin)
	if err := in.Decode(&j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	// The parent's end of the pipe is the signal to stop.
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, io.MultiReader(in.Buffered(), os.Stdin))
		cancel()
	}()
	if err := deeds[j.Deed](ctx, j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// job is what a process is told to do, by a pipe.
type job struct {
	Deed     string
	Server   string
	Store    string // keyring, sealed (its key in the keyring) or file
	Dir      string
	Profile  string
	Key      []byte
	Rotation tokensource.Rotation
}

func (j job) store() (tokensource.Store, error) {
	if j.Store == "file" {
		return filestore.New(filestore.Config{Dir: j.Dir, Key: func(context.Context) ([]byte, error) { return j.Key, nil }})
	}
	return keyringstore.New(keyringstore.Config{Service: "pawl-test", Dir: j.Dir, Sealed: j.Store == "sealed"})
}

func (j job) client() (*client.Client, error) {
	provider, err := client.OAuthProvider(client.OAuthConfig{
		TokenURL: j.Server + "/oauth/token", ClientID: "cli", Rotation: j.Rotation,
	})
	if err != nil {
		return nil, err
	}
	store, err := j.store()
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Provider: provider, Origins: []string{j.Server}, Store: store, Profile: j.Profile})
}

// deeds are the things that a process can be told to do.
var deeds = map[string]func(context.Context, job) error{
	"get":    func(_ context.Context, j job) error { return get(j) },
	"rotate": func(ctx context.Context, j job) error { return rotate(ctx, j, 2) },
}

// get uses the API once and ends on the spot, without Close: a short-lived
// command.
func get(j job) error {
	c, err := j.client()
	if err != nil {
		return err
	}
	resp, err := c.HTTPClient().Get(j.Server + "/api/me")
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// rotate has several sessions renew, time and again, until it is told to
// stop. Each renewal has a session of its own, as in a program that is started
// anew: one that lives on would cool down after two early rejections.
func rotate(ctx context.Context, j job, sessions int) error {
	var wg sync.WaitGroup
	errs := make([]error, sessions)
	for i := range sessions {
		wg.Go(func() {
			for ctx.Err() == nil && errs[i] == nil {
				errs[i] = renewOnce(j)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func renewOnce(j job) error {
	c, err := j.client()
	if err != nil {
		return err
	}
	// Not the ctx that says when to stop: what was begun is finished.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	tok, err := c.Session().Token(ctx)
	if err == nil {
		_, err = c.Session().Renew(ctx, tok)
	}
	return errors.Join(err, c.Close(ctx))
}

// member is a running process.
type member struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

func start(t *testing.T, j job) *member {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	m := &member{cmd: exec.Command(self)}
	m.cmd.Env = append(os.Environ(), memberVar+"=1")
	m.cmd.Stderr = t.Output()
	m.stdin, err = m.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, m.cmd.Start())
	require.NoError(t, json.NewEncoder(m.stdin).Encode(j))
	t.Cleanup(func() { _ = m.cmd.Process.Kill() })
	return m
}

// finish lets the process end by itself.
func (m *member) finish() error { return m.cmd.Wait() }

// stop tells it to.
func (m *member) stop() error {
	_ = m.stdin.Close()
	return m.cmd.Wait()
}

// forEachStore runs a test over every way in which processes can share a
// session on one machine.
func forEachStore(t *testing.T, test func(t *testing.T, j job)) {
	for _, store := range []string{"keyring", "sealed", "file"} {
		t.Run(store, func(t *testing.T) {
			if store != "file" {
				needKeyring(t)
			}
			key := make([]byte, 32)
			_, _ = rand.Read(key)
			test(t, job{Store: store, Dir: t.TempDir(), Profile: rand.Text(), Key: key})
		})
	}
}

func needKeyring(t *testing.T) {
	t.Helper()
	if os.Getenv("PAWL_TEST_KEYRING") == "1" {
		return
	}
	if os.Getenv("PAWL_REQUIRE_SERVICES") == "1" {
		t.Fatal("PAWL_REQUIRE_SERVICES=1, and PAWL_TEST_KEYRING is not set: run under scripts/secret-service.sh")
	}
	t.Skip("no real keyring: run under scripts/secret-service.sh")
}

// logIn starts a session in the job's store, as if its token set were of that
// age and had that much life left.
func logIn(t *testing.T, srv *authtest.Server, j job, age, left time.Duration) *client.Client {
	t.Helper()
	c, err := j.client()
	require.NoError(t, err)
	tokens, now := srv.Login("alice", "laptop"), time.Now()
	require.NoError(t, c.Session().Adopt(t.Context(), tokensource.Grant{
		AccessToken:  tokensource.NewSecret(tokens.AccessToken),
		RefreshToken: tokensource.NewSecret(tokens.RefreshToken),
		IssuedAt:     now.Add(-age),
		Expiry:       now.Add(left),
	}))
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// stillGood has the session renew once more: nothing was lost.
func stillGood(t *testing.T, c *client.Client) {
	t.Helper()
	tok, err := c.Session().Token(t.Context())
	require.NoError(t, err)
	_, err = c.Session().Renew(t.Context(), tok)
	require.NoError(t, err)
}
