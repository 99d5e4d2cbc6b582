package testserver_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// A limit refuses a request without spending anything: who waits as long as it
// was told gets through, on the server's clock.
func ExampleRateLimits() {
	srv, err := testserver.New(testserver.Config{
		Issuer:     "http://auth.test",
		RateLimits: testserver.RateLimits{Session: testserver.Rate{Every: 30 * time.Second}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	tokens, _ := srv.Login("alice", "laptop")
	refresh := func(token string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		srv.Handler().ServeHTTP(w, formRequest("/oauth/token", refreshForm(token)))
		return w
	}
	_, next := answer{ResponseRecorder: refresh(tokens.Refresh)}.tokens()
	refused := refresh(next)
	fmt.Println(refused.Code, "try again in", refused.Header().Get("Retry-After"))
	srv.Advance(30 * time.Second)
	fmt.Println(http.StatusText(refresh(next).Code))
	// Output:
	// 429 try again in 30
	// OK
}
