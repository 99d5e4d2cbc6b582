package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

func TestAnOAuthConfigIsCheckedAsAWhole(t *testing.T) {
	_, err := client.OAuthProvider(client.OAuthConfig{
		TokenURL: "http://id.example.com/token#top", RevocationURL: "/revoke", ClientAuth: client.ClientAuthPost,
		ClientCredentials: true, Scopes: []string{"a b"}, Resource: "api",
		Rotation: tokensource.Rotation{Grace: -1, Replay: 9}, Reasons: map[string]tokensource.Reason{"": 0},
		BearerTypes: []string{"", "dpop"},
	})
	require.Error(t, err)
	for _, want := range []string{
		"TokenURL is plain http", "TokenURL has a fragment", "RevocationURL is not an absolute URL", "ClientID is required",
		"ClientSecret is required by ClientAuth", "ClientSecret is required by ClientCredentials",
		"Scopes has", "Resource is not", "Rotation.Grace", "Rotation.Replay", "Reasons has an empty code", "Reasons[] is not one",
		"BearerTypes has an empty type", "BearerTypes has DPoP",
	} {
		assert.ErrorContains(t, err, "client: OAuthConfig."+want)
	}
}

func TestAJSONConfigIsCheckedAsAWhole(t *testing.T) {
	_, err := client.JSONProvider(client.JSONConfig{
		BaseURL: "http://api.example.com?x", LoginPath: "login", RefreshPath: "https://evil.example.com/", LogoutPath: "/#",
		Members: client.JSONMembers{Username: "x", Password: "x", AccessToken: "t", RefreshToken: "t"},
	})
	require.Error(t, err)
	for _, want := range []string{
		"BaseURL is plain http", "BaseURL has a query", "LoginPath is not", "RefreshPath is not", "LogoutPath is not",
		"Members gives the user name", "Members gives both tokens",
	} {
		assert.ErrorContains(t, err, "client: JSONConfig."+want)
	}
}

func TestATokenGoesUnencryptedOnlyToThisMachine(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://id.example.com/token": true, "http://127.0.0.1:8080/token": true, "http://[::1]/token": true, "http://localhost/token": true,
		"http://id.example.com/token": false, "http://10.0.0.1/token": false, "http://localhost.example.com/token": false,
		"ftp://127.0.0.1/token": false, "https://user:pw@id.example.com/token": false, "https:id.example.com": false, "//id.example.com/": false, "": false,
	} {
		_, err := client.OAuthProvider(client.OAuthConfig{TokenURL: address, ClientID: "cli"})
		assert.Equal(t, ok, err == nil, "%s: %v", address, err)
		if err != nil {
			assert.NotContains(t, err.Error(), "pw@", "the address may hold a password")
		}
	}
	_, err := client.OAuthProvider(client.OAuthConfig{TokenURL: "http://id.example.com/token", ClientID: "cli", InsecureHTTP: true})
	assert.NoError(t, err)
}

func TestAProviderDoesNotSeeLaterChangesOfItsConfig(t *testing.T) {
	srv := record(t, inJSON(400, `{"error":"odd"}`))
	cfg := client.OAuthConfig{
		TokenURL: srv.URL, ClientID: "cli", ClientSecret: tokensource.NewSecret("s"), ClientCredentials: true,
		Scopes: []string{"a"}, Reasons: map[string]tokensource.Reason{"odd": tokensource.ReasonScope}, Transport: &http.Transport{},
	}
	p, err := client.OAuthProvider(cfg)
	require.NoError(t, err)
	cfg.Scopes[0] = "changed"
	cfg.Reasons["odd"] = tokensource.ReasonRejected
	cfg.Transport.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("changed") }
	_, err = p.Mint(context.Background())
	assert.Equal(t, tokensource.ReasonScope, facts(t, err).Reason)
	assert.Contains(t, srv.only(t).body, "scope=a")
}

// echoes answers with all that it was sent, in every place that an error could
// quote.
func echoes(w http.ResponseWriter, r *http.Request) {
	body := r.Context().Value(bodyKey{}).(string)
	plain := body
	if strings.Contains(r.Header.Get("Content-Type"), "form") {
		plain, _ = url.QueryUnescape(body)
	}
	sent := strings.Join([]string{r.Header.Get("Authorization"), body, plain, strings.ReplaceAll(body, `"`, "")}, " ")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(400)
	_, _ = fmt.Fprintf(w, `{"error":%q,"error_description":%q,"message":%q}`, strings.ReplaceAll(plain, " ", ""), sent, sent)
}

type bodyKey struct{}

func TestNoErrorHoldsWhatWasSent(t *testing.T) {
	const secret = "s3cret+canary/7f3e=="
	password := tokensource.NewSecret("p canary&7f3e")
	srv := record(t, nil)
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		srv.keep(func(http.ResponseWriter, *http.Request) {})(w, r)
		reqs := srv.requests()
		echoes(w, r.WithContext(context.WithValue(r.Context(), bodyKey{}, reqs[len(reqs)-1].body)))
	})
	withSecret := func(auth client.ClientAuth) func(*client.OAuthConfig) {
		return func(c *client.OAuthConfig) { c.ClientSecret, c.ClientAuth = tokensource.NewSecret(secret), auth }
	}
	providers := []*client.Provider{
		oauth(t, srv.URL), oauth(t, srv.URL, withSecret(client.ClientAuthBasic)), oauth(t, srv.URL, withSecret(client.ClientAuthPost)), firstParty(t, srv.URL),
	}
	ctx := context.Background()
	for _, p := range providers {
		_, refreshErr := p.Refresh(ctx, withRefreshToken(canary))
		_, loginErr := client.Password{Username: "alice", Password: password}.Login(ctx, p)
		revokeErr := p.Revoke(ctx, withRefreshToken(canary))
		for _, err := range []error{refreshErr, loginErr, revokeErr} {
			e := facts(t, err)
			assert.NotEmpty(t, e.Description, "the server did say something")
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v %#v %v", e, *e, *e), e.Code, e.Description, e.Advice} {
				assertNoSecret(t, text)
			}
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			assertNoSecret(t, fmt.Sprintf(verb, p))
			assertNoSecret(t, fmt.Sprintf(verb, *p))
		}
		assertNoSecret(t, logged(p))
	}
}

func logged(v any) string {
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", v)
	slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", v)
	return b.String()
}

// assertNoSecret looks for the middle of every secret, which all escapings
// leave alone, and for the Basic credentials.
func assertNoSecret(t *testing.T, text string) {
	t.Helper()
	assert.NotContains(t, text, "canary")
	assert.NotContains(t, text, "Y2xpOnMzY3JldCUyQmNhbmFyeSUyRjdmM2UlM0QlM0Q=") // cli:s3cret...
}
