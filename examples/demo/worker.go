package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const (
	thinkTime   = 10 * time.Millisecond // of a goroutine between two requests
	reportEvery = 100 * time.Millisecond
)

// work is a worker process: it uses the API until its standard input ends,
// lets a refresh under way come to its end, and prints its counts.
func work(stdin io.Reader, stdout io.Writer) int {
	// A terminal sends its interrupt to all processes; the parent decides.
	signal.Ignore(os.Interrupt)
	in := json.NewDecoder(stdin)
	var j job
	if err := in.Decode(&j); err != nil {
		fmt.Fprintln(os.Stderr, "demo: the worker got no job:", err)
		return 2
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, io.MultiReader(in.Buffered(), stdin))
	}()
	api, done, err := j.httpClient(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	load(ctx, api, j, json.NewEncoder(stdout))
	if err := done(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// httpClient returns what a program uses for its requests, and what it calls
// before it ends.
func (j job) httpClient(ctx context.Context) (api *http.Client, done func() error, err error) {
	if j.Naive != nil {
		return j.naiveClient(), func() error { return nil }, nil
	}
	c, err := j.client(ctx)
	if err != nil {
		return nil, nil, err
	}
	return c.HTTPClient(), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		return c.Close(ctx)
	}, nil
}

// naiveClient is golang.org/x/oauth2 at its best: the style of authentication
// is fixed, so that nothing is sent twice, and tokens are renewed as early as
// pawl would, since the default of 10 s suits no token of 2 s.
func (j job) naiveClient() *http.Client {
	cfg := oauth2.Config{ClientID: "cli", Endpoint: oauth2.Endpoint{TokenURL: j.Server + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams}}
	stored := &oauth2.Token{AccessToken: j.Naive.AccessToken, RefreshToken: j.Naive.RefreshToken, Expiry: j.Naive.Expiry}
	source := cfg.TokenSource(context.Background(), &oauth2.Token{RefreshToken: stored.RefreshToken})
	return &http.Client{Transport: &oauth2.Transport{
		Source: oauth2.ReuseTokenSourceWithExpiry(stored, source, accessTTL/5), Base: j.pool(),
	}}
}

// load uses the API from many goroutines and prints the counts, at intervals
// and once more at the end.
func load(ctx context.Context, api *http.Client, j job, out *json.Encoder) {
	var tally tally
	var wg sync.WaitGroup
	for range j.Goroutines {
		wg.Go(func() {
			for pause(ctx, thinkTime) {
				tally.request(api, j.Server+"/api/me")
			}
		})
	}
	for pause(ctx, reportEvery) {
		_ = out.Encode(tally.read())
	}
	wg.Wait()
	_ = out.Encode(tally.read())
}

// pause waits and reports whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
