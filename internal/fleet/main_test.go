package fleet_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

var (
	soak   = flag.Duration("fleet.soak", 0, "go on killing for so long, and rotate in full")
	update = flag.Bool("fleet.update", false, "write the figures into docs/crashes.md")
)

// memberVar makes the test binary one of the processes.
const memberVar = "PAWL_FLEET_MEMBER"

// memberLife ends a process that everyone has forgotten.
const memberLife = 15 * time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(memberVar) == "" {
		// These tests wait more than they compute: for a lock, for a mark, for a
		// time-out.
		flag.Parse()
		_ = flag.Set("test.parallel", "12")
		os.Exit(m.Run())
	}
	time.AfterFunc(memberLife, func() { os.Exit(3) })
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
	if err := j.become(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if err := deeds[j.Deed](ctx, j); err != nil {
		fmt.Fprintln(os.Stderr, j.Deed+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// job is what a process is told to do, by a pipe.
type job struct {
	Deed     string
	Name     string // its User-Agent, by which the server tells it from others
	User     int    // the user to become; 0: whoever runs the test
	Server   string
	Store    string // keyring, sealed (its key in the keyring), file (sealed) or plain
	Dir      string
	Profile  string
	Key      []byte
	Rotation tokensource.Rotation
	Rest     time.Duration // at most so long between two renewals
	Held     bool          // a save waits, or fails, until the process is told to stop
	Where    bool          // tell where each record was saved
	Env      []string      // of the process, beside the test's own
	Access   string        // the tokens of a login, which is what "adopt" is for
	Refresh  string
}

func (j job) store() (tokensource.Store, error) {
	switch j.Store {
	case "file":
		return filestore.New(filestore.Config{Dir: j.Dir, Key: func(context.Context) ([]byte, error) { return j.Key, nil }})
	case "plain":
		return filestore.New(filestore.Config{Dir: j.Dir, Plain: true})
	}
	return keyringstore.New(keyringstore.Config{Service: "pawl-test", Dir: j.Dir, Sealed: j.Store == "sealed"})
}

// client opens the job's store and a client over it.
func (j job) client() (*client.Client, error) {
	store, err := j.store()
	if err != nil {
		return nil, err
	}
	return j.clientOver(store, tokensource.Hooks{})
}

func (j job) clientOver(store tokensource.Store, hooks tokensource.Hooks) (*client.Client, error) {
	provider, err := client.OAuthProvider(client.OAuthConfig{
		TokenURL: j.Server + "/oauth/token", ClientID: "cli", Rotation: j.Rotation, UserAgent: j.Name,
	})
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{
		Provider: provider, Origins: []string{j.Server}, Store: store, Profile: j.Profile, Hooks: hooks,
	})
}

// report is what a process tells by its standard output: a line of JSON, which
// arrives whole, also if the process is killed right after.
type report struct {
	Event      string
	Family     string        `json:",omitempty"`
	Generation uint64        `json:",omitempty"`
	Parent     string        `json:",omitempty"` // a mark of the refresh token that was spent, as the server has it
	Err        string        `json:",omitempty"`
	Where      string        `json:",omitempty"`
	Took       time.Duration `json:",omitempty"`
}

func tell(r report) {
	line, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.Write(append(line, '\n'))
}
