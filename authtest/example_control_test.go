package authtest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// renew posts a refresh token and says what the server made of it.
func renew(srv *authtest.Server, token string) string {
	resp, err := srv.Client().PostForm(srv.URL()+"/oauth/token", url.Values{
		"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {token},
	})
	if err != nil {
		return "connection lost"
	}
	defer resp.Body.Close()
	return fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("X-Authtest-Outcome"))
}

// Two programs share a session and refresh at once. The test says who is first:
// on a strict server the other one ends the session for both.
func ExampleGate_ReleaseLast() {
	srv, err := authtest.NewServer(authtest.Config{}) // in a test: authtest.New(t)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	token := srv.Login("alice", "laptop").RefreshToken
	gate := srv.Gate(authtest.Refresh, authtest.BeforeCommit)
	defer gate.ReleaseAll()
	said := make(chan string)
	for n, name := range []string{"early", "late"} {
		go func() { said <- name + ": " + renew(srv, token) }()
		if err := gate.Wait(context.Background(), n+1); err != nil {
			fmt.Println(err)
			return
		}
	}
	gate.ReleaseLast()
	fmt.Println(<-said)
	gate.ReleaseOne()
	fmt.Println(<-said)
	// Output:
	// late: 200 rotated
	// early: 400 reuse_detected
}

// A session ends at its hard end, however often it was refreshed.
func ExampleServer_Advance() {
	srv, err := authtest.NewServer(authtest.Config{IdleTTL: time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	idle := srv.Login("alice", "laptop")
	srv.Advance(time.Hour)
	fmt.Println(renew(srv, idle.RefreshToken))

	old := srv.Login("alice", "laptop")
	srv.Advance(7 * 24 * time.Hour)
	fmt.Println(renew(srv, old.RefreshToken))
	// Output:
	// 400 token_expired
	// 400 session_expired
}

// A client that keeps the refresh token it has used is told of, with the
// request that used it first.
func ExampleServer_Violations() {
	srv, err := authtest.NewServer(authtest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	token := srv.Login("alice", "laptop").RefreshToken
	renew(srv, token)
	renew(srv, token)
	for _, v := range srv.Violations() {
		fmt.Printf("%s: request %d sent what request %d had used\n", v.Rule, v.Exchange, v.First)
	}
	// Output:
	// refresh-token-reused: request 2 sent what request 1 had used
}

// Inside a bubble the server is on fake time like everything else: a timeout of
// half a minute and a session of seven days pass at once.
func ExampleNewPipe() {
	_ = func(t *testing.T) { // a test: TestASessionOutlivesTheWeek
		synctest.Test(t, func(t *testing.T) {
			srv := authtest.NewPipe(t, authtest.Config{TokenDelay: 30 * time.Second})
			token := srv.Login("alice", "laptop").RefreshToken
			t.Log(renew(srv, token)) // 200 rotated, after 30 s of the bubble
			time.Sleep(7 * 24 * time.Hour)
			t.Log(renew(srv, token)) // 400 session_expired
		})
	}
}

// The next three refreshes meet a server that is down, one that answers, and
// one whose answer is lost.
func ExampleServer_Script() {
	srv, err := authtest.NewServer(authtest.Config{Profile: authtest.Grace})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	token := srv.Login("alice", "laptop").RefreshToken
	srv.Script(authtest.Refresh,
		authtest.Fault{Answer: &authtest.Answer{Status: http.StatusServiceUnavailable, RetryAfter: "1s"}},
		authtest.Fault{},
		authtest.Fault{At: authtest.AfterCommit, Drop: true},
	)
	for range 4 {
		fmt.Println(strings.TrimSpace(renew(srv, token)))
	}
	// Output:
	// 503
	// 200 rotated
	// connection lost
	// 200 replayed_same
}

// A scenario is the same in a file, at the control plane and in Go.
func ExampleReadScenario() {
	sc, err := authtest.ReadScenario(strings.NewReader(`{
		"clock":  {"skew": "5m"},
		"faults": [{"on": "refresh", "edit": "captive-portal", "times": 2}]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	srv, err := authtest.NewServer(authtest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	if err := srv.Apply(sc); err != nil {
		fmt.Println(err)
		return
	}
	token := srv.Login("alice", "laptop").RefreshToken
	for range 3 {
		fmt.Println(strings.TrimSpace(renew(srv, token)))
	}
	// Output:
	// 200
	// 200
	// 200 rotated
}
