package acceptance_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// program is a program that uses pawl as its documentation says: it asks the
// API, tries again when it is told to, and logs in again when it is told to.
type program struct {
	c     *client.Client
	api   string
	base  *http.Transport
	ended atomic.Int64 // SessionEnded
}

// result is what a wave of requests came to, for the program.
type result struct {
	OK       int            // answered with 200
	Told     int            // told to try again at least once
	Store    int            // of these, because the store failed
	Login    int            // told to log in again
	Unsure   int            // of these, that the refresh token may have been spent
	Config   int            // told to mend the configuration
	Other    int            // anything else
	What     string         // one of the texts of the last three and of Told
	Protocol map[string]int // of the answers of 200
	Ended    int            // SessionEnded so far
}

func (r result) plus(o result) result {
	sum := result{
		OK: r.OK + o.OK, Told: r.Told + o.Told, Store: r.Store + o.Store, Login: r.Login + o.Login, Unsure: r.Unsure + o.Unsure, Config: r.Config + o.Config,
		Other: r.Other + o.Other, What: cmp.Or(r.What, o.What), Ended: r.Ended + o.Ended, Protocol: map[string]int{},
	}
	for _, part := range []map[string]int{r.Protocol, o.Protocol} {
		for name, n := range part {
			sum.Protocol[name] += n
		}
	}
	return sum
}

// begin makes a program; base reaches both the API and the token endpoint.
func begin(k kind, url string, base *http.Transport, store tokensource.Store, account string, grace time.Duration) (*program, error) {
	provider, err := k.provider(url, base, grace)
	if err != nil {
		return nil, err
	}
	p := &program{api: url + "/api/me", base: base}
	// Requests that come at once on HTTP/2 dial a connection each, unless there
	// is one: 64 handshakes, of which 63 are for nothing.
	err = p.connect(url)
	for tries := 1; err != nil && tries < 5; tries++ { // a busy machine; no fault is about this
		err = p.connect(url)
	}
	if err != nil {
		return nil, err
	}
	p.c, err = client.New(client.Config{
		Provider: provider, Origins: []string{url}, Store: store, Profile: account, Base: base,
		Hooks: tokensource.Hooks{SessionEnded: func(tokensource.SessionEndedInfo) { p.ended.Add(1) }},
	})
	return p, err
}

func (p *program) connect(url string) error {
	resp, err := (&http.Client{Transport: p.base}).Get(url + "/healthz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// adopt starts a session with tokens that were issued some time ago: this
// program comes back to them.
func (p *program) adopt(access, refresh string, age, life time.Duration) error {
	issued := time.Now().Add(-age)
	return p.c.Session().Adopt(context.Background(), tokensource.Grant{
		AccessToken: tokensource.NewSecret(access), RefreshToken: tokensource.NewSecret(refresh),
		IssuedAt: issued, Expiry: issued.Add(life),
	})
}

func (p *program) login() error {
	return p.c.Login(context.Background(), client.Password{Username: "alice", Password: tokensource.NewSecret("secret")})
}

func (p *program) close() error {
	err := p.c.Close(context.Background())
	p.base.CloseIdleConnections()
	return err
}

// wave sends n requests at once.
func (p *program) wave(n int) result {
	var mu sync.Mutex // guards res
	res := result{Protocol: map[string]int{}}
	start := make(chan struct{})
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			<-start
			one := p.request()
			mu.Lock()
			defer mu.Unlock()
			res = res.plus(one)
		})
	}
	close(start)
	all.Wait()
	res.Ended = int(p.ended.Load())
	return res
}

// maxTries is more than any fault takes.
const maxTries = 20

// request asks the API, again when it is told to.
func (p *program) request() (res result) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for range maxTries {
		protocol, err := p.get(ctx)
		e, _ := errors.AsType[*tokensource.Error](err)
		switch {
		case err == nil:
			res.OK, res.Protocol = 1, map[string]int{protocol: 1}
			return res
		case errors.Is(err, tokensource.ErrTryAgain):
			res.Told, res.What = 1, err.Error()
			if e.Reason == tokensource.ReasonStore {
				res.Store = 1
			}
			<-time.After(max(e.RetryAfter, time.Millisecond))
			continue
		case errors.Is(err, tokensource.ErrLoginRequired):
			res.Login = 1
			if e.Uncertain {
				res.Unsure = 1
			}
		case errors.Is(err, tokensource.ErrConfig):
			res.Config, res.What = 1, err.Error()
		default:
			res.Other, res.What = 1, err.Error()
		}
		return res
	}
	res.Other = 1 // What says what it was told, time and again
	return res
}

func (p *program) get(ctx context.Context) (protocol string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.api, nil)
	if err != nil {
		return "", err
	}
	resp, err := p.c.HTTPClient().Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	return resp.Proto, nil
}
