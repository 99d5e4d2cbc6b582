package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/localstore"
)

// accessTTL makes a session renew often enough to watch.
const accessTTL = 2 * time.Second

// A job is what a worker process is told, by a pipe: it may hold a key or a
// token, and arguments and environments can be read by others.
type job struct {
	Server     string
	Goroutines int
	Dir        string
	Use        localstore.Backend // the zero value: what the first process has chosen
	Key        []byte             // of the sealed file
	Naive      *storedTokens      // instead of a store
}

// storedTokens is the token that every naive process has read from disk.
type storedTokens struct {
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token"`
	Expiry       time.Time `json:"expiry"`
}

// openStore opens the store that all processes share, and says which it is.
func (j job) openStore(ctx context.Context) (tokensource.Store, localstore.Choice, error) {
	return localstore.Open(ctx, localstore.Config{
		Service: "pawl-demo", Dir: j.Dir, Use: j.Use,
		Key: func(context.Context) ([]byte, error) { return j.Key, nil },
	})
}

// client returns the pawl client that the parent and the workers use alike.
func (j job) client(ctx context.Context) (*client.Client, error) {
	provider, err := client.OAuthProvider(client.OAuthConfig{
		TokenURL:      j.Server + "/oauth/token",
		RevocationURL: j.Server + "/oauth/revoke",
		Issuer:        "https://pawl-demo.invalid", // not the port, which changes with every run
		ClientID:      "cli",
	})
	if err != nil {
		return nil, err
	}
	store, _, err := j.openStore(ctx)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Provider: provider, Origins: []string{j.Server}, Store: store, Base: j.pool()})
}

// pool keeps a connection for every goroutine; the default keeps two.
func (j job) pool() *http.Transport {
	pool := http.DefaultTransport.(*http.Transport).Clone()
	pool.MaxIdleConnsPerHost = j.Goroutines
	return pool
}

// stage is what the parent process runs: the server, and a place for the
// session.
type stage struct {
	server *authtest.Server
	job    job
	naive  bool
	store  string         // what to call it
	client *client.Client // nil where naive
}

func newStage(o options) (*stage, error) {
	server, err := authtest.NewServer(authtest.Config{
		Profile: authtest.Strict, AccessTTL: accessTTL, TokenDelay: 100 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pawl-demo-")
	if err != nil {
		server.Close()
		return nil, err
	}
	s := &stage{server: server, naive: o.naive, job: job{Server: server.URL(), Goroutines: o.goroutines, Dir: dir}}
	if o.naive {
		s.store = "memory of each process"
		return s, nil
	}
	s.job.Key = make([]byte, 32)
	_, _ = rand.Read(s.job.Key) // never fails
	return s, nil
}

// chooseStore takes the keyring if it can be used. A program that keeps its
// sessions would tell its user of a keyring that is locked; this one has a
// session for some seconds, and takes a sealed file then, too.
func (s *stage) chooseStore(ctx context.Context) error {
	_, choice, err := s.job.openStore(ctx)
	if err != nil {
		s.job.Use = localstore.Sealed
		_, choice, err = s.job.openStore(ctx)
	}
	s.store = choice.Backend.String()
	return err
}

// login logs in once, as a person would before the fleet starts.
func (s *stage) login(ctx context.Context) error {
	if s.naive {
		tokens, err := naiveLogin(ctx, s.job.Server)
		s.job.Naive = tokens
		return err
	}
	if err := s.chooseStore(ctx); err != nil {
		return err
	}
	c, err := s.job.client(ctx)
	if err != nil {
		return err
	}
	s.client = c
	return c.Login(ctx, client.Password{Username: "alice", Password: tokensource.NewSecret("secret")})
}

// naiveLogin logs in without pawl.
func naiveLogin(ctx context.Context, server string) (*storedTokens, error) {
	form := url.Values{"grant_type": {"password"}, "client_id": {"cli"}, "username": {"alice"}, "password": {"secret"}}
	resp, err := http.PostForm(server+"/oauth/token", form)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		storedTokens
		ExpiresIn int `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		return nil, errors.Join(fmt.Errorf("demo: the login failed with HTTP status %d", resp.StatusCode), err)
	}
	answer.Expiry = time.Now().Add(time.Duration(answer.ExpiresIn) * time.Second)
	return &answer.storedTokens, ctx.Err()
}

// watch shows the progress until the time is over, and halfway has the server
// revoke every access token there is.
func (s *stage) watch(ctx context.Context, o options, fleet *fleet, screen *screen) {
	start := time.Now()
	halfway := time.After(o.duration / 2)
	end := time.After(o.duration)
	tick := time.NewTicker(screen.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			screen.progress(time.Since(start), fleet.total(), s.server.Stats())
		case <-halfway:
			s.server.RevokeAccessTokens()
			screen.line("the server has revoked every access token")
		case <-ctx.Done():
			screen.line("interrupted: the processes finish what they are at")
			return
		case <-end:
			return
		case <-fleet.died:
			return
		}
	}
}

// report asks the server, whose word counts, what happened, and tries the
// session once more.
func (s *stage) report(total counts) report {
	stats := s.server.Stats()
	r := report{
		counts: total, APIUnauthorized: stats.APIUnauthorized, Rotations: stats.Rotations,
		MaxRedemptions: s.server.MaxRedemptions(), FamiliesRevoked: stats.FamiliesRevoked,
		Store: s.store, naive: s.naive,
	}
	if s.client != nil {
		r.Alive = s.stillSignedIn()
	}
	return r
}

func (s *stage) stillSignedIn() bool {
	resp, err := s.client.HTTPClient().Get(s.job.Server + "/api/me")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// close logs out, so that nothing stays in the keyring but a record without
// tokens.
func (s *stage) close() {
	if s.client != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		_ = s.client.Logout(ctx)
		_ = s.client.Close(ctx)
	}
	s.server.Close()
	_ = os.RemoveAll(s.job.Dir)
}
