package transport_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/transport"
)

// counter is a Renewer. A *tokensource.Session is the one to use.
type counter struct{ generation uint64 }

func (c *counter) Token(context.Context) (tokensource.Token, error) {
	return tokensource.NewToken(tokensource.TokenID{Generation: c.generation}, tokensource.Grant{
		AccessToken: tokensource.NewSecret(fmt.Sprint("token-", c.generation)),
	}), nil
}

func (c *counter) Renew(ctx context.Context, _ tokensource.Token) (tokensource.Token, error) {
	c.generation++
	return c.Token(ctx)
}

func ExampleNew() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token-2" {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer api.Close()

	tr, err := transport.New(transport.Config{
		Source:  &counter{generation: 1},
		Origins: []string{api.URL}, // and nowhere else, whatever redirects say
	})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: tr}

	resp, err := client.Get(api.URL) // token-1 is rejected, token-2 is not
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

func ExampleChallengeOf() {
	resp := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}}
	resp.Header.Set("WWW-Authenticate", `Bearer error="insufficient_user_authentication", acr_values="phr", max_age=300`)

	if c, ok := transport.ChallengeOf(resp); ok && c.Error == "insufficient_user_authentication" {
		fmt.Println("log in again with", c.ACRValues, "at most", c.MaxAge, "ago")
	}
	// Output: log in again with [phr] at most 5m0s ago
}

func ExampleChallenge_Param() {
	resp := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}}
	resp.Header.Set("WWW-Authenticate", `Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ"`)

	c, _ := transport.ChallengeOf(resp)
	fmt.Println(c.Param("claims"))
	// Output: eyJhY2Nlc3NfdG9rZW4iOnt9fQ
}

func ExampleRejectedError() {
	err := fmt.Errorf("get: %w", &transport.RejectedError{
		Response: &http.Response{StatusCode: http.StatusUnauthorized},
		Err:      &tokensource.Error{Reason: tokensource.ReasonRejected},
	})

	if errors.Is(err, tokensource.ErrLoginRequired) {
		fmt.Println("please log in")
	}
	if rejected, ok := errors.AsType[*transport.RejectedError](err); ok {
		fmt.Println("the API said", rejected.Response.StatusCode)
	}
	// Output:
	// please log in
	// the API said 401
}

func ExampleTransport_Close() {
	tr, err := transport.New(transport.Config{Source: &counter{}, Origins: []string{"https://api.example.com"}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println(tr.Close(ctx))
	// Output: <nil>
}
