package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// server stands for the API that a program talks to.
func server() *authtest.Server {
	srv, err := authtest.NewServer(authtest.Config{})
	if err != nil {
		panic(err)
	}
	return srv
}

// A program logs in once and then uses an http.Client. Its tokens are renewed
// and saved without a further line of code.
func Example() {
	srv := server() // https://api.example.com
	defer srv.Close()
	ctx := context.Background()

	provider, err := client.JSONProvider(client.JSONConfig{BaseURL: srv.URL()})
	if err != nil {
		panic(err)
	}
	c, err := client.New(client.Config{
		Provider: provider,
		Origins:  []string{srv.URL()},
		Store:    tokensource.NewMemoryStore(), // or a keyringstore, which outlives the process
	})
	if err != nil {
		panic(err)
	}
	if err := c.Login(ctx, client.Password{Username: "alice", Password: tokensource.NewSecret("secret")}); err != nil {
		panic(err)
	}
	resp, err := c.HTTPClient().Get(srv.URL() + "/api/me")
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// What a program can do about a failure is one of three things.
func ExampleClient_HTTPClient() {
	srv := server()
	defer srv.Close()
	provider, err := client.OAuthProvider(client.OAuthConfig{TokenURL: srv.URL() + "/oauth/token", ClientID: "cli"})
	if err != nil {
		panic(err)
	}
	c, err := client.New(client.Config{Provider: provider, Origins: []string{srv.URL()}, Store: tokensource.NewMemoryStore()})
	if err != nil {
		panic(err)
	}

	_, err = c.HTTPClient().Get(srv.URL() + "/api/me")
	switch {
	case errors.Is(err, tokensource.ErrLoginRequired):
		fmt.Println("log in, please")
	case errors.Is(err, tokensource.ErrTryAgain):
		fmt.Println("later, perhaps")
	case errors.Is(err, tokensource.ErrConfig):
		fmt.Println("somebody has to mend the configuration")
	}
	// Output: log in, please
}

// The client secret of a program at an OAuth 2.0 server, and what is known of
// the server's rotation.
func ExampleOAuthProvider() {
	_, err := client.OAuthProvider(client.OAuthConfig{
		TokenURL:      "https://id.example.com/oauth/token",
		RevocationURL: "https://id.example.com/oauth/revoke",
		ClientID:      "reports",
		ClientSecret:  tokensource.NewSecret(os.Getenv("REPORTS_SECRET")),
		Scopes:        []string{"offline_access", "api:read"},
		Rotation:      tokensource.Rotation{Replay: tokensource.ReplayAnswered},
		Reasons:       map[string]tokensource.Reason{"invalid_request": tokensource.ReasonRejected}, // it is a Dex
	})
	fmt.Println(err)
	// Output: <nil>
}

// A service acts for itself: nobody logs in.
func ExampleOAuthProvider_clientCredentials() {
	srv := server()
	defer srv.Close()
	provider, err := client.OAuthProvider(client.OAuthConfig{
		TokenURL: srv.URL() + "/oauth/token",
		ClientID: "service", ClientSecret: tokensource.NewSecret("service-secret"),
		ClientCredentials: true,
	})
	if err != nil {
		panic(err)
	}
	c, err := client.New(client.Config{Provider: provider, Origins: []string{srv.URL()}, Store: tokensource.NewMemoryStore()})
	if err != nil {
		panic(err)
	}
	resp, err := c.HTTPClient().Get(srv.URL() + "/api/me")
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode == http.StatusOK)
	// Output: true
}

// An API of one's own may have other paths and other names.
func ExampleJSONProvider() {
	_, err := client.JSONProvider(client.JSONConfig{
		BaseURL:     "https://api.example.com/v1",
		RefreshPath: "/refresh-token",
		Members:     client.JSONMembers{AccessToken: "token", RefreshToken: "refresh"},
	})
	fmt.Println(err)
	// Output: <nil>
}

// A logout holds even if the server cannot be told.
func ExampleClient_Logout() {
	srv := server()
	defer srv.Close()
	provider, err := client.JSONProvider(client.JSONConfig{BaseURL: srv.URL()})
	if err != nil {
		panic(err)
	}
	c, err := client.New(client.Config{Provider: provider, Origins: []string{srv.URL()}, Store: tokensource.NewMemoryStore()})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	if err := c.Login(ctx, client.Password{Username: "alice", Password: tokensource.NewSecret("secret")}); err != nil {
		panic(err)
	}
	fmt.Println(c.Logout(ctx))
	_, err = c.HTTPClient().Get(srv.URL() + "/api/me")
	fmt.Println(errors.Is(err, tokensource.ErrLoginRequired))
	// Output:
	// <nil>
	// true
}
