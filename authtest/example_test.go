package authtest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// The lost response: the server rotates, the connection breaks, and the client
// has nothing left but the retired token. On a strict server that ends the
// session.
func Example() {
	srv, err := authtest.NewServer(authtest.Config{}) // in a test: authtest.New(t)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	tokens := srv.Login("alice", "laptop")
	srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Drop: true})

	for range 2 {
		req, _ := http.NewRequest(http.MethodPost, srv.URL()+"/oauth/token", strings.NewReader(url.Values{
			"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {tokens.RefreshToken},
		}.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := srv.Client().Do(req)
		if err != nil {
			fmt.Println("connection lost")
			continue
		}
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode, resp.Header.Get("X-Authtest-Outcome"))
	}
	fmt.Println("presented", srv.Redemptions(tokens.RefreshToken), "times, families lost:", srv.Stats().FamiliesRevoked)
	// Output:
	// connection lost
	// 400 reuse_detected
	// presented 2 times, families lost: 1
}

func ExampleServer_Gate() {
	srv, err := authtest.NewServer(authtest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	gate := srv.Gate(authtest.API, authtest.BeforeHandler)
	defer gate.ReleaseAll()
	fmt.Println(gate.ReleaseOne())
	// Output: false
}
