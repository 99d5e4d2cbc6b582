package client_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

const tokens = `{"access_token":"at-1","refresh_token":"rt-1","accessToken":"at-1","refreshToken":"rt-1"}`

func formOf(t *testing.T, req seen) url.Values {
	t.Helper()
	assert.Equal(t, "application/x-www-form-urlencoded", req.Header.Get("Content-Type"))
	form, err := url.ParseQuery(req.body)
	require.NoError(t, err)
	return form
}

func TestARefreshIsOnePlainPOST(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	_, err := refresh(t, oauth(t, srv.URL))
	require.NoError(t, err)
	req := srv.only(t)
	assert.Equal(t, http.MethodPost, req.Method)
	assert.Equal(t, "/token", req.RequestURI)
	assert.Equal(t, int64(len(req.body)), req.ContentLength, "not chunked: some servers see an empty form then")
	assert.Empty(t, req.TransferEncoding)
	assert.True(t, req.Close, "the connection is for this request alone and is not left open")
	assert.Equal(t, "application/json", req.Header.Get("Accept"))
	assert.Contains(t, req.Header.Get("User-Agent"), "pawl")
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key", "Authorization", "Cookie", "Expect", "Referer"} {
		assert.NotContains(t, req.Header, name)
	}
}

func TestARefreshSendsNothingOptional(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	_, err := refresh(t, oauth(t, srv.URL, func(c *client.OAuthConfig) { c.Scopes = []string{"a", "b"} }))
	require.NoError(t, err)
	assert.Equal(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {canary}, "client_id": {"cli"}}, formOf(t, srv.only(t)))
}

func TestAResourceIsRepeatedInEveryRequest(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	_, err := refresh(t, oauth(t, srv.URL, func(c *client.OAuthConfig) { c.Resource = "https://api.example.com/" }))
	require.NoError(t, err)
	assert.Equal(t, "https://api.example.com/", formOf(t, srv.only(t)).Get("resource"), "RFC 8707 2.2")
}

func TestTheQueryOfTheTokenURLIsKept(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	_, err := refresh(t, oauth(t, srv.URL, func(c *client.OAuthConfig) { c.TokenURL += "?tenant=a%20b&v=2" }))
	require.NoError(t, err)
	assert.Equal(t, "/token?tenant=a%20b&v=2", srv.only(t).RequestURI, "RFC 6749 3.2")
}

func TestBasicCredentialsSurviveEveryCharacter(t *testing.T) {
	for _, id := range []string{"plain", "a:b", "a+b", "100%", "a b", "ünï→", "a&b=c/?#"} {
		secret := "s-" + id
		srv := record(t, inJSON(200, tokens))
		_, err := refresh(t, oauth(t, srv.URL, func(c *client.OAuthConfig) {
			c.ClientID, c.ClientSecret = id, tokensource.NewSecret(secret)
		}))
		require.NoError(t, err)
		req := srv.only(t)
		user, pass, ok := req.BasicAuth()
		require.True(t, ok)
		// As a server does it, RFC 6749 2.3.1.
		user, err = url.QueryUnescape(user)
		require.NoError(t, err)
		pass, err = url.QueryUnescape(pass)
		require.NoError(t, err)
		assert.Equal(t, id, user)
		assert.Equal(t, secret, pass)
		form := formOf(t, req)
		assert.NotContains(t, form, "client_id", "never both: RFC 6749 2.3")
		assert.NotContains(t, form, "client_secret")
	}
}

func TestCredentialsGoIntoTheFormOnlyWhenAskedTo(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	_, err := refresh(t, oauth(t, srv.URL, func(c *client.OAuthConfig) {
		c.ClientSecret, c.ClientAuth = tokensource.NewSecret("s&=+"), client.ClientAuthPost
	}))
	require.NoError(t, err)
	req := srv.only(t)
	form := formOf(t, req)
	assert.Equal(t, "cli", form.Get("client_id"))
	assert.Equal(t, "s&=+", form.Get("client_secret"))
	assert.NotContains(t, req.Header, "Authorization")
}

func TestARefusedClientIsNotTriedAgainInAnotherWay(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", "Basic")
		inJSON(401, `{"error":"invalid_client"}`)(w, r)
	})
	_, err := refresh(t, oauth(t, srv.URL, func(c *client.OAuthConfig) { c.ClientSecret = tokensource.NewSecret("s") }))
	assertClass(t, tokensource.ErrConfig, err)
	srv.only(t)
}

func TestClientCredentialsAreMintedAndBringNoRefreshToken(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	p := oauth(t, srv.URL, func(c *client.OAuthConfig) {
		c.ClientSecret, c.ClientCredentials, c.Scopes = tokensource.NewSecret("s"), true, []string{"a", "b"}
	})
	g, err := p.Mint(context.Background())
	require.NoError(t, err)
	assert.Equal(t, "at-1", g.AccessToken.Reveal())
	assert.True(t, g.RefreshToken.IsZero(), "RFC 6749 4.4.3")
	assert.Equal(t, url.Values{"grant_type": {"client_credentials"}, "scope": {"a b"}}, formOf(t, srv.only(t)))
}

func TestAMintThatFailsSpendsNothing(t *testing.T) {
	srv := record(t, inJSON(500, ""))
	p := oauth(t, srv.URL, func(c *client.OAuthConfig) {
		c.ClientSecret, c.ClientCredentials = tokensource.NewSecret("s"), true
	})
	_, err := p.Mint(context.Background())
	assertClass(t, tokensource.ErrTryAgain, err)
	assert.False(t, facts(t, err).Uncertain)
}

func TestMintNeedsClientCredentials(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	for _, p := range []*client.Provider{oauth(t, srv.URL), firstParty(t, srv.URL)} {
		_, err := p.Mint(context.Background())
		assertClass(t, tokensource.ErrConfig, err)
	}
	assert.Empty(t, srv.requests())
}

func TestARefreshWithoutATokenSendsNothing(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	_, err := oauth(t, srv.URL).Refresh(context.Background(), tokensource.Grant{})
	assertClass(t, tokensource.ErrLoginRequired, err)
	assert.Empty(t, srv.requests())
}

func TestARevocationNamesTheRefreshTokenOrElseTheAccessToken(t *testing.T) {
	for want, g := range map[string]tokensource.Grant{
		"refresh_token": withRefreshToken(canary),
		"access_token":  {AccessToken: tokensource.NewSecret(canary)},
	} {
		srv := record(t, answering(200, "", ""))
		require.NoError(t, oauth(t, srv.URL).Revoke(context.Background(), g))
		req := srv.only(t)
		assert.Equal(t, "/revoke", req.RequestURI)
		assert.Equal(t, url.Values{"token": {canary}, "token_type_hint": {want}, "client_id": {"cli"}}, formOf(t, req))
	}
}

func TestARevocationThatFailsSaysSo(t *testing.T) {
	for status, want := range map[int]error{503: tokensource.ErrTryAgain, 401: tokensource.ErrConfig} {
		srv := record(t, inJSON(status, `{"error":"invalid_client"}`))
		err := oauth(t, srv.URL).Revoke(context.Background(), withRefreshToken(canary))
		assertClass(t, want, err)
		assert.False(t, facts(t, err).Uncertain)
	}
}

func TestATokenThatTheServerDoesNotKnowIsRevoked(t *testing.T) {
	srv := record(t, inJSON(400, `{"error":"invalid_token"}`))
	assert.NoError(t, oauth(t, srv.URL).Revoke(context.Background(), withRefreshToken(canary)))
}

func TestAServerWithoutRevocationIsNotAsked(t *testing.T) {
	srv := record(t, answering(200, "", ""))
	p := oauth(t, srv.URL, func(c *client.OAuthConfig) { c.RevocationURL = "" })
	require.NoError(t, p.Revoke(context.Background(), withRefreshToken(canary)))
	p = firstParty(t, srv.URL, func(c *client.JSONConfig) { c.NoLogout = true })
	require.NoError(t, p.Revoke(context.Background(), withRefreshToken(canary)))
	assert.Empty(t, srv.requests())
}

func objectOf(t *testing.T, req seen) map[string]string {
	t.Helper()
	assert.Equal(t, "application/json", req.Header.Get("Content-Type"))
	var object map[string]string
	require.NoError(t, json.Unmarshal([]byte(req.body), &object))
	return object
}

func TestAFirstPartyAPIIsSpokenToInJSON(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	p := firstParty(t, srv.URL)
	g, err := p.Refresh(context.Background(), withRefreshToken(canary))
	require.NoError(t, err)
	assert.Equal(t, "at-1", g.AccessToken.Reveal())
	assert.Equal(t, "rt-1", g.RefreshToken.Reveal())
	require.NoError(t, p.Revoke(context.Background(), withRefreshToken(canary)))
	reqs := srv.requests()
	require.Len(t, reqs, 2)

	assert.Equal(t, "/refresh", reqs[0].RequestURI)
	assert.Equal(t, map[string]string{"refreshToken": canary}, objectOf(t, reqs[0]))
	assert.NotContains(t, reqs[0].Header, "Authorization", "the access token may have expired")
	assert.Equal(t, int64(len(reqs[0].body)), reqs[0].ContentLength)

	assert.Equal(t, "/logout", reqs[1].RequestURI)
	assert.Equal(t, map[string]string{"refreshToken": canary}, objectOf(t, reqs[1]))
	assert.Equal(t, "Bearer at-old", reqs[1].Header.Get("Authorization"))
}

func TestPathsAndMembersOfAFirstPartyAPICanBeNamed(t *testing.T) {
	srv := record(t, inJSON(200, `{"token":"at-1","renewal":"rt-1","ttl":60,"kind":"bearer","user":"alice"}`))
	p := firstParty(t, srv.URL, func(c *client.JSONConfig) {
		c.BaseURL += "/v1/"
		c.RefreshPath = "/refresh-token?x=1"
		c.Members = client.JSONMembers{AccessToken: "token", RefreshToken: "renewal", ExpiresIn: "ttl", TokenType: "kind", Subject: "user"}
	})
	g, err := refresh(t, p)
	require.NoError(t, err)
	assert.Equal(t, "rt-1", g.RefreshToken.Reveal())
	assert.Equal(t, "alice", g.Subject)
	assert.False(t, g.Expiry.IsZero())
	req := srv.only(t)
	assert.Equal(t, "/v1/refresh-token?x=1", req.RequestURI)
	assert.Equal(t, map[string]string{"renewal": canary}, objectOf(t, req))
}

func TestTheTransportOfTheProgramIsUsedAndLeftAlone(t *testing.T) {
	srv := &recorder{}
	srv.Server = httptest.NewUnstartedServer(srv.keep(inJSON(200, tokens)))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	// Its roots of trust are the only ones that know the server. It is used
	// once, so that it has set itself up for HTTP/2.
	base := srv.Client().Transport.(*http.Transport)
	resp, err := srv.Client().Get(srv.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 2, resp.ProtoMajor)

	p := oauth(t, srv.URL, func(c *client.OAuthConfig) { c.Transport = base })
	for range 2 {
		_, err := refresh(t, p)
		require.NoError(t, err)
	}
	reqs := srv.requests()
	require.Len(t, reqs, 3)
	assert.Equal(t, 1, reqs[1].ProtoMajor, "HTTP/2 sends a request again without a word")
	assert.NotEqual(t, reqs[1].RemoteAddr, reqs[2].RemoteAddr, "a fresh connection each")
	assert.False(t, base.DisableKeepAlives)
	assert.Contains(t, base.TLSClientConfig.NextProtos, "h2")
}

func TestAConnectionIsNeverReused(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	p := oauth(t, srv.URL)
	addresses := map[string]bool{}
	for range 3 {
		_, err := refresh(t, p)
		require.NoError(t, err)
	}
	for _, req := range srv.requests() {
		addresses[req.RemoteAddr] = true
	}
	assert.Len(t, addresses, 3, "on a reused one net/http may send a request again")
}

func TestTheCallersTraceSeesNothingOfATokenRequest(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		WroteHeaderField: func(name string, values []string) { t.Errorf("the trace saw %s: %s", name, values) },
		GetConn:          func(address string) { t.Errorf("the trace saw a connection to %s", address) },
	})
	p := oauth(t, srv.URL, func(c *client.OAuthConfig) { c.ClientSecret = tokensource.NewSecret("s") })
	_, err := p.Refresh(ctx, withRefreshToken(canary))
	require.NoError(t, err)
}

func TestACustomUserAgentIsSent(t *testing.T) {
	srv := record(t, inJSON(200, tokens))
	_, err := refresh(t, oauth(t, srv.URL, func(c *client.OAuthConfig) { c.UserAgent = "tool/1" }))
	require.NoError(t, err)
	assert.Equal(t, "tool/1", srv.only(t).Header.Get("User-Agent"))
}
