package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// program is a client of an authtest server, with what it was made of.
type program struct {
	*client.Client
	srv   *authtest.Server
	store tokensource.Store
}

// alice is the one user that an authtest server knows.
var alice = client.Password{Username: "alice", Password: tokensource.NewSecret("secret")}

// over returns a Provider that reaches srv, in memory if need be.
func over(t *testing.T, srv *authtest.Server) *client.Provider {
	t.Helper()
	p, err := client.OAuthProvider(client.OAuthConfig{
		TokenURL: srv.URL() + "/oauth/token", RevocationURL: srv.URL() + "/oauth/revoke", ClientID: "cli",
		Transport: srv.Client().Transport.(*http.Transport),
	})
	require.NoError(t, err)
	return p
}

func overJSON(t *testing.T, srv *authtest.Server) *client.Provider {
	t.Helper()
	p, err := client.JSONProvider(client.JSONConfig{BaseURL: srv.URL(), Transport: srv.Client().Transport.(*http.Transport)})
	require.NoError(t, err)
	return p
}

// start returns a client of p over store.
func start(t *testing.T, srv *authtest.Server, p *client.Provider, store tokensource.Store, change ...func(*client.Config)) *program {
	t.Helper()
	cfg := client.Config{Provider: p, Origins: []string{srv.URL()}, Store: store, Base: srv.Client().Transport}
	for _, f := range change {
		f(&cfg)
	}
	c, err := client.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return &program{c, srv, store}
}

// signedIn returns a client of p that has logged in.
func signedIn(t *testing.T, srv *authtest.Server, p *client.Provider, change ...func(*client.Config)) *program {
	t.Helper()
	c := start(t, srv, p, tokensource.NewMemoryStore(), change...)
	require.NoError(t, c.Login(context.Background(), alice))
	return c
}

// get asks the API, and returns the status.
func (p *program) get(path string) (int, error) {
	resp, err := p.HTTPClient().Get(p.srv.URL() + path)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// assertServed: the API answers the program.
func (p *program) assertServed(t *testing.T) {
	t.Helper()
	status, err := p.get("/api/me")
	require.NoError(t, err)
	assert.Equal(t, 200, status)
}

func TestAConfigIsCheckedAsAWhole(t *testing.T) {
	_, err := client.New(client.Config{KeepAlive: time.Second})
	require.Error(t, err)
	for _, want := range []string{
		"Config.Provider is required: make one with OAuthProvider or JSONProvider",
		"Config.Store is required: ", "Config.Origins is required: ", "Config.KeepAlive is under a minute",
	} {
		assert.ErrorContains(t, err, want)
	}
	_, err = client.New(client.Config{Provider: &client.Provider{}, Store: tokensource.NewMemoryStore(), Origins: []string{"https://api.example.com"}})
	assert.ErrorContains(t, err, "Config.Provider")
}

func TestNewSendsAndReadsNothing(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	_, err := client.New(client.Config{Provider: oauth(t, srv.URL), Origins: []string{srv.URL}, Store: brokenStore{}})
	require.NoError(t, err)
	assert.Empty(t, srv.requests())
}

// brokenStore fails.
type brokenStore struct{ tokensource.Store }

var errBroken = errors.New("the disk is full")

func (brokenStore) Load(context.Context, tokensource.Key) (tokensource.Version, []byte, error) {
	return tokensource.Version{}, nil, errBroken
}

func (brokenStore) Swap(context.Context, tokensource.Key, tokensource.Version, tokensource.Version, []byte) error {
	return errBroken
}

func (brokenStore) Lock(context.Context, tokensource.Key) (tokensource.Lease, error) {
	return nil, errBroken
}

func TestAProgramLogsInAndReachesTheAPI(t *testing.T) {
	for name, provider := range map[string]func(*testing.T, *authtest.Server) *client.Provider{"OAuth": over, "JSON": overJSON} {
		t.Run(name, func(t *testing.T) {
			srv := authtest.New(t)
			c := signedIn(t, srv, provider(t, srv))
			c.assertServed(t)
			assert.Equal(t, 1, srv.Stats().Logins)
			assert.Zero(t, srv.Stats().RefreshRequests)
			assert.True(t, c.Session().Status().LoggedIn)
		})
	}
}

func TestALoginIsSavedBeforeItIsUsed(t *testing.T) {
	srv := authtest.New(t)
	p := over(t, srv)
	first := signedIn(t, srv, p)
	second := start(t, srv, p, first.store)
	second.assertServed(t)
	assert.Equal(t, 1, srv.Stats().Logins)
}

func TestProfilesOfOneProgramAreApart(t *testing.T) {
	srv := authtest.New(t)
	p := over(t, srv)
	work := signedIn(t, srv, p, func(c *client.Config) { c.Profile = "work" })
	home := start(t, srv, p, work.store, func(c *client.Config) { c.Profile = "home" })
	_, err := home.get("/api/me")
	assertClass(t, tokensource.ErrLoginRequired, err)
	work.assertServed(t)
}

func TestHowAnAddressIsSpelledDoesNotLogOut(t *testing.T) {
	store := tokensource.NewMemoryStore()
	adopt := func(tokenURL string) *client.Client {
		p, err := client.OAuthProvider(client.OAuthConfig{TokenURL: tokenURL, ClientID: "cli"})
		require.NoError(t, err)
		c, err := client.New(client.Config{Provider: p, Origins: []string{"https://api.example.com"}, Store: store})
		require.NoError(t, err)
		return c
	}
	ctx := context.Background()
	require.NoError(t, adopt("https://id.example.com/token").Session().Adopt(ctx, withRefreshToken("rt")))
	for tokenURL, same := range map[string]bool{
		"https://ID.example.com:443/token/": true, "https://id.example.com/token?x=1": true,
		"https://id.example.com/other": false, "https://id.example.com:444/token": false, "http://127.0.0.1/token": false,
	} {
		_, err := adopt(tokenURL).Session().Token(ctx)
		assert.Equal(t, same, err == nil, "%s: %v", tokenURL, err)
	}
}

func TestAWrongPasswordLeavesTheSessionAsItWas(t *testing.T) {
	for name, provider := range map[string]func(*testing.T, *authtest.Server) *client.Provider{"OAuth": over, "JSON": overJSON} {
		t.Run(name, func(t *testing.T) {
			srv := authtest.New(t)
			c := signedIn(t, srv, provider(t, srv))
			err := c.Login(context.Background(), client.Password{Username: "alice", Password: tokensource.NewSecret("wrong-canary")})
			assertClass(t, tokensource.ErrLoginRequired, err)
			assert.Equal(t, tokensource.ReasonRefused, facts(t, err).Reason)
			assert.ErrorContains(t, err, "client: login: ")
			assert.ErrorContains(t, err, "user name and password")
			assert.NotContains(t, err.Error(), "canary")
			c.assertServed(t)
			assert.Equal(t, 1, srv.Stats().Logins)
		})
	}
}

func TestALoginThatADexRefusesAsksForALogin(t *testing.T) {
	srv := record(t, realAnswerNamed(t, "dex/03-password-grant-wrong").ServeHTTP)
	_, err := alice.Login(context.Background(), oauth(t, srv.URL))
	assertClass(t, tokensource.ErrLoginRequired, err)
}

func TestALoginWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	srv := authtest.New(t)
	rule := srv.Fault(authtest.Fault{On: authtest.Authenticate, At: authtest.AfterCommit, Drop: true, Times: authtest.Forever})
	c := start(t, srv, over(t, srv), tokensource.NewMemoryStore())
	err := c.Login(context.Background(), alice)
	assertClass(t, tokensource.ErrTryAgain, err)
	assert.Equal(t, tokensource.ReasonLost, facts(t, err).Reason)
	assert.False(t, facts(t, err).Uncertain, "there is no refresh token that could be spent")
	assert.Equal(t, 1, rule.Fired())
	assert.Equal(t, 1, srv.Stats().Logins)
}

func TestALoginThatCannotBeSavedIsTakenBack(t *testing.T) {
	srv := authtest.New(t)
	c := start(t, srv, over(t, srv), brokenStore{})
	err := c.Login(context.Background(), alice)
	assertClass(t, tokensource.ErrTryAgain, err)
	assert.ErrorIs(t, err, errBroken)
	assert.ErrorContains(t, err, "client: the login could not be saved")
	sessions := srv.Sessions("alice")
	require.Len(t, sessions, 1)
	assert.NotEmpty(t, sessions[0].Ended, "nobody holds its tokens")
}

func TestALoginIsKeptWhenTheContextEndsAsItSucceeds(t *testing.T) {
	srv := authtest.New(t)
	p := over(t, srv)
	ctx, cancel := context.WithCancel(context.Background())
	c := start(t, srv, p, tokensource.NewMemoryStore())
	require.NoError(t, c.Login(ctx, flow(func(context.Context, *client.Provider) (tokensource.Grant, error) {
		g, err := alice.Login(ctx, p)
		cancel()
		return g, err
	})))
	c.assertServed(t)
}

// flow is a Flow of a program's own.
type flow func(context.Context, *client.Provider) (tokensource.Grant, error)

func (f flow) Login(ctx context.Context, p *client.Provider) (tokensource.Grant, error) {
	return f(ctx, p)
}

func TestALoginNeedsAFlowAndAPasswordBothItsHalves(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	p := oauth(t, srv.URL)
	c, err := client.New(client.Config{Provider: p, Origins: []string{srv.URL}, Store: tokensource.NewMemoryStore()})
	require.NoError(t, err)
	ctx := context.Background()
	assert.ErrorContains(t, c.Login(ctx, nil), "client: Login was given no Flow")
	for _, half := range []client.Password{{}, {Username: "alice"}, {Password: tokensource.NewSecret("secret")}} {
		assertClass(t, tokensource.ErrConfig, c.Login(ctx, half))
	}
	assert.Empty(t, srv.requests())
}

func TestScopesAreAskedForAtALogin(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	_, err := alice.Login(context.Background(), oauth(t, srv.URL, func(c *client.OAuthConfig) { c.Scopes = []string{"a", "b"} }))
	require.NoError(t, err)
	form := formOf(t, srv.only(t))
	assert.Equal(t, "password", form.Get("grant_type"))
	assert.Equal(t, "alice", form.Get("username"))
	assert.Equal(t, "secret", form.Get("password"))
	assert.Equal(t, "a b", form.Get("scope"))
}

func TestEveryHTTPClientIsTheCallersOwn(t *testing.T) {
	srv := authtest.New(t)
	c := signedIn(t, srv, over(t, srv))
	c.HTTPClient().Transport = nil
	assert.Zero(t, c.HTTPClient().Timeout, "it would replace the errors of the session")
	c.assertServed(t)
}

func TestWithoutALoginARequestSaysSo(t *testing.T) {
	srv := authtest.New(t)
	c := start(t, srv, over(t, srv), tokensource.NewMemoryStore())
	_, err := c.get("/api/me")
	assertClass(t, tokensource.ErrLoginRequired, err)
	assert.Equal(t, tokensource.ReasonNoSession, facts(t, err).Reason)
	assert.Zero(t, srv.Stats().APIRequests)
	assert.NoError(t, c.Logout(context.Background()), "there is nothing to end")
}

func TestTokensObtainedElsewhereCanBeAdopted(t *testing.T) {
	srv := authtest.New(t)
	got := srv.Login("alice", "laptop")
	c := start(t, srv, over(t, srv), tokensource.NewMemoryStore())
	require.NoError(t, c.Session().Adopt(context.Background(), tokensource.Grant{
		AccessToken: tokensource.NewSecret(got.AccessToken), RefreshToken: tokensource.NewSecret(got.RefreshToken),
	}))
	c.assertServed(t)
	srv.RevokeAccessTokens()
	c.assertServed(t)
	assert.Equal(t, 1, srv.Redemptions(got.RefreshToken))
}

func TestAClientShowsNoToken(t *testing.T) {
	srv := authtest.NewWith(t, authtest.Config{Users: []authtest.User{{Name: "alice", Password: "canary"}}})
	c := start(t, srv, over(t, srv), tokensource.NewMemoryStore())
	flow := client.Password{Username: "alice", Password: tokensource.NewSecret("canary")}
	require.NoError(t, c.Login(context.Background(), flow))
	token, err := c.Session().Token(context.Background())
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		for _, v := range []any{flow, &flow, c.Client, []any{c.Client, flow}} {
			text := fmt.Sprintf(verb, v)
			assert.NotContains(t, text, "canary")
			assert.NotContains(t, text, token.AccessToken().Reveal())
		}
	}
	assertNoSecret(t, logged(flow))
}

// apiAndTokens is a token endpoint, whose access tokens are at-1, at-2 and so
// on, and an API that refuses the first with the given status.
func apiAndTokens(t *testing.T, refusal int) *recorder {
	var issued atomic.Int32
	return record(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			inJSON(200, fmt.Sprintf(`{"access_token":"at-%d","refresh_token":"rt"}`, issued.Add(1)))(w, r)
		case r.Header.Get("Authorization") == "Bearer at-1":
			w.WriteHeader(refusal)
		}
	})
}

func TestAnAPIMayRefuseATokenInItsOwnWay(t *testing.T) {
	for name, rejected := range map[string]func(*http.Response) bool{
		"403": nil, "200": func(r *http.Response) bool { return r.StatusCode == http.StatusForbidden },
	} {
		srv := apiAndTokens(t, http.StatusForbidden)
		c, err := client.New(client.Config{
			Provider: oauth(t, srv.URL), Origins: []string{srv.URL}, Store: tokensource.NewMemoryStore(), Rejected: rejected,
		})
		require.NoError(t, err)
		require.NoError(t, c.Login(t.Context(), alice))
		resp, err := c.HTTPClient().Get(srv.URL + "/api")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, name, strconv.Itoa(resp.StatusCode))
	}
}

func TestMaxReplayBoundsWhatIsKeptOfABody(t *testing.T) {
	for maxReplay, want := range map[int64]int{0: 200, -1: 401} {
		srv := apiAndTokens(t, http.StatusUnauthorized)
		c, err := client.New(client.Config{
			Provider: oauth(t, srv.URL), Origins: []string{srv.URL}, Store: tokensource.NewMemoryStore(), MaxReplay: maxReplay,
		})
		require.NoError(t, err)
		require.NoError(t, c.Login(t.Context(), alice))
		resp, err := c.HTTPClient().Post(srv.URL+"/api", "text/plain", io.MultiReader(strings.NewReader("one shot")))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, want, resp.StatusCode, "MaxReplay %d", maxReplay)
		require.NoError(t, c.Close(t.Context()))
	}
}

func TestOriginsInTheClearAreAskedForByName(t *testing.T) {
	cfg := client.Config{
		Provider: oauth(t, "https://id.example.com"), Origins: []string{"http://api.example.com"}, Store: tokensource.NewMemoryStore(),
	}
	_, err := client.New(cfg)
	assert.ErrorContains(t, err, "InsecureHTTP")
	cfg.InsecureHTTP = true
	_, err = client.New(cfg)
	assert.NoError(t, err)
}

func TestASessionIsForOneResource(t *testing.T) {
	store := tokensource.NewMemoryStore()
	session := func(resource string) *tokensource.Session {
		p := oauth(t, "https://id.example.com", func(c *client.OAuthConfig) { c.Resource = resource })
		c, err := client.New(client.Config{Provider: p, Origins: []string{"https://api.example.com"}, Store: store})
		require.NoError(t, err)
		return c.Session()
	}
	require.NoError(t, session("https://api.example.com/a").Adopt(t.Context(), withRefreshToken("rt")))
	_, err := session("https://api.example.com/a").Token(t.Context())
	assert.NoError(t, err)
	_, err = session("https://api.example.com/b").Token(t.Context())
	assertClass(t, tokensource.ErrConfig, err)
	assert.Equal(t, tokensource.ReasonResource, facts(t, err).Reason)
}

func TestHooksAreToldWhatTheSessionDoes(t *testing.T) {
	srv := authtest.New(t)
	refreshed := 0
	c := signedIn(t, srv, over(t, srv), func(c *client.Config) {
		c.Hooks.RefreshDone = func(tokensource.RefreshDoneInfo) { refreshed++ }
	})
	srv.RevokeAccessTokens()
	c.assertServed(t)
	assert.Equal(t, 1, refreshed)
}
