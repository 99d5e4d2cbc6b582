package localstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
	"github.com/seed-9a12f4e2/pawl/tokensource/localstore"
)

// childEnv holds the job of the test binary where it is one of the programs that
// keep a session.
const childEnv = "PAWL_LOCALSTORE_CHILD"

// job is what such a program does: it opens a store and, if there is a record to
// put, puts it.
type job struct {
	Dir         string
	Use         localstore.Backend
	Allow       []localstore.Backend
	KeyEnv      string
	Credential  string
	Interactive bool
	OpenOnly    bool
	Put         string
}

// report is what became of it.
type report struct {
	Backend string
	Choice  string
	Hints   []string
	Record  string
	Err     string
	Kinds   []string // of kinds, what the error is
	Took    time.Duration
}

// kinds are what an error of Open is told apart by.
var kinds = map[string]error{
	"try again": tokensource.ErrTryAgain, "config": tokensource.ErrConfig,
	"no bus": keyringstore.ErrNoBus, "no service": keyringstore.ErrNoService, "no collection": keyringstore.ErrNoCollection,
	"locked": keyringstore.ErrLocked, "hung": keyringstore.ErrHung,
}

func TestMain(m *testing.M) {
	text := os.Getenv(childEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(j.run(context.Background())); err != nil {
		os.Exit(1)
	}
}

func (j job) config() localstore.Config {
	c := localstore.Config{Service: "pawl-test", Dir: j.Dir, Use: j.Use, Allow: j.Allow, Interactive: j.Interactive}
	switch {
	case j.KeyEnv != "":
		c.Key = filestore.KeyFromEnv(j.KeyEnv)
	case j.Credential != "":
		c.Key = filestore.KeyFromCredential(j.Credential)
	}
	return c
}

func (j job) run(ctx context.Context) report {
	start := time.Now()
	s, choice, err := localstore.Open(ctx, j.config())
	r := report{Backend: choice.Backend.String(), Choice: choice.String(), Hints: choice.Hints, Took: time.Since(start)}
	if err == nil && j.OpenOnly {
		return r
	}
	if err == nil && j.Put != "" {
		err = s.Swap(ctx, session, tokensource.Version{}, tokensource.Version{1}, []byte(j.Put))
	}
	if err == nil {
		var data []byte
		_, data, err = s.Load(ctx, session)
		if errors.Is(err, tokensource.ErrNotFound) {
			err = nil
		}
		r.Record = string(data)
	}
	if err != nil {
		r.Err = err.Error()
		for name, kind := range kinds {
			if errors.Is(err, kind) {
				r.Kinds = append(r.Kinds, name)
			}
		}
	}
	return r
}
