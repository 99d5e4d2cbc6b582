package testserver_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

const (
	issuer   = "http://auth.test"
	callback = "http://127.0.0.1:4711/callback"
	verifier = "a-verifier-that-is-long-enough-to-be-one-of-them"
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authRequest is what a good public client asks.
func authRequest(change func(url.Values)) url.Values {
	v := url.Values{
		"response_type": {"code"}, "client_id": {"cli"}, "redirect_uri": {callback},
		"scope": {"openid notes"}, "state": {"st&te"}, "nonce": {"n0nce"},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}
	if change != nil {
		change(v)
	}
	return v
}

func setting(name string, values ...string) func(url.Values) {
	return func(v url.Values) { v[name] = values }
}

func omitting(name string) func(url.Values) { return func(v url.Values) { v.Del(name) } }

func approving(c *testserver.Config) { c.AutoApprove = "alice" }

func (b bench) authorize(params url.Values) answer {
	return b.do(request(http.MethodGet, "/oauth/authorize?"+params.Encode(), "", ""))
}

// redirect reads the answer that the browser takes to the client.
func (a answer) redirect(t *testing.T) (to string, params url.Values) {
	t.Helper()
	require.Equal(t, http.StatusSeeOther, a.Code, a.Body.String())
	to, query, _ := strings.Cut(a.Header().Get("Location"), "?")
	params, err := url.ParseQuery(query)
	require.NoError(t, err)
	return to, params
}

// code is one that a user agreed to.
func (b bench) code(t *testing.T, change func(url.Values)) string {
	t.Helper()
	location, err := b.Approve(t.Context(), issuer+"/oauth/authorize?"+authRequest(change).Encode(), "alice")
	require.NoError(t, err)
	u, err := url.Parse(location)
	require.NoError(t, err)
	require.NotEmpty(t, u.Query().Get("code"), location)
	return u.Query().Get("code")
}

func codeForm(code string, change func(url.Values)) url.Values {
	v := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"cli"}, "code": {code},
		"redirect_uri": {callback}, "code_verifier": {verifier},
	}
	if change != nil {
		change(v)
	}
	return v
}

func (b bench) redeem(code string, change func(url.Values)) answer {
	return b.do(formRequest("/oauth/token", codeForm(code, change)))
}

func TestACodeBecomesASession(t *testing.T) {
	for _, profile := range profiles() {
		t.Run(profile, func(t *testing.T) {
			b := start(t, profile, approving)
			a := b.authorize(authRequest(nil))
			to, params := a.redirect(t)
			assert.Equal(t, callback, to)
			assert.Equal(t, "st&te", params.Get("state"))
			assert.Equal(t, issuer, params.Get("iss"), "RFC 9207")
			assert.Equal(t, "no-store", a.Header().Get("Cache-Control"))

			a = b.redeem(params.Get("code"), nil)
			require.Equal(t, http.StatusOK, a.Code, a.Body.String())
			access, refresh := a.tokens()
			assert.Equal(t, "openid notes", a.field("scope"))
			assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
			assert.Equal(t, http.StatusOK, b.refresh(refresh).Code)
			id := part(t, a.field("id_token").(string), 1)
			assert.Equal(t, "n0nce", id["nonce"])
			assert.Equal(t, "alice", id["sub"])
			assert.Equal(t, issuer, id["iss"])
			assert.Equal(t, []any{"cli"}, id["aud"])
			sum := sha256.Sum256([]byte(access))
			assert.Equal(t, base64.RawURLEncoding.EncodeToString(sum[:16]), id["at_hash"])
			assert.Equal(t, part(t, access, 1)["sid"], id["sid"])
		})
	}
}

func TestWhatTheClientGetsWrongIsToldWhereItBelongs(t *testing.T) {
	for name, c := range map[string]struct {
		change func(url.Values)
		code   string // empty: no redirect, because none can be trusted
	}{
		"an unknown client":             {setting("client_id", "nobody"), ""},
		"no client":                     {omitting("client_id"), ""},
		"two clients":                   {setting("client_id", "cli", "cli"), ""},
		"no redirect URI":               {omitting("redirect_uri"), ""},
		"a foreign redirect URI":        {setting("redirect_uri", "https://evil.example/cb"), ""},
		"two redirect URIs":             {setting("redirect_uri", callback, callback), ""},
		"a look-alike of loopback":      {setting("redirect_uri", "http://127.0.0.1.evil.example/cb"), ""},
		"a user in the redirect URI":    {setting("redirect_uri", "http://127.0.0.1:80@evil.example/cb"), ""},
		"a fragment":                    {setting("redirect_uri", callback+"#x"), ""},
		"a script":                      {setting("redirect_uri", "javascript:alert(1)"), ""},
		"no response type":              {omitting("response_type"), "invalid_request"},
		"the implicit flow":             {setting("response_type", "token"), "unsupported_response_type"},
		"a fragment answer":             {setting("response_mode", "fragment"), "invalid_request"},
		"no PKCE":                       {func(v url.Values) { v.Del("code_challenge"); v.Del("code_challenge_method") }, "invalid_request"},
		"a method without a challenge":  {omitting("code_challenge"), "invalid_request"},
		"a plain challenge":             {setting("code_challenge_method", "plain"), "invalid_request"},
		"a challenge without a method":  {omitting("code_challenge_method"), "invalid_request"},
		"a challenge of a wrong length": {setting("code_challenge", "short"), "invalid_request"},
		"a request object":              {setting("request", "eyJ"), "request_not_supported"},
		"a registration":                {setting("registration", "{}"), "registration_not_supported"},
		"a request URI of its own":      {setting("request_uri", "https://client.example/r"), ""},
		"a request URI never pushed":    {setting("request_uri", "urn:ietf:params:oauth:request_uri:x"), ""},
		"an unknown prompt":             {setting("prompt", "maybe"), "invalid_request"},
		"none and another prompt":       {setting("prompt", "none login"), "invalid_request"},
		"a negative max_age":            {setting("max_age", "-1"), "invalid_request"},
		"a max_age that is no number":   {setting("max_age", "soon"), "invalid_request"},
		"an acr that cannot be met":     {setting("acr_values", "urn:example:retina"), "unmet_authentication_requirements"},
		"a parameter given twice":       {setting("scope", "a", "b"), "invalid_request"},
		"a state given twice":           {setting("state", "a", "b"), "invalid_request"},
		"a parameter beyond measure":    {setting("nonce", strings.Repeat("n", 5000)), "invalid_request"},
		"a scope that is none":          {setting("scope", `a"b`), "invalid_scope"},
		"somebody else's resource":      {setting("resource", "https://api.example"), "invalid_target"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, "strict", approving)
			a := b.authorize(authRequest(c.change))
			if c.code == "" {
				assert.Equal(t, http.StatusBadRequest, a.Code)
				assert.Empty(t, a.Header().Get("Location"))
				return
			}
			to, params := a.redirect(t)
			assert.Equal(t, callback, to)
			assert.Equal(t, c.code, params.Get("error"))
			assert.NotEmpty(t, params.Get("error_description"))
			assert.Equal(t, issuer, params.Get("iss"))
			assert.Empty(t, params.Get("code"))
			if name != "a state given twice" {
				assert.Equal(t, "st&te", params.Get("state"))
			}
		})
	}
}

func TestRedirectURIsAreComparedExactlyButForALoopbackPort(t *testing.T) {
	registered := []string{"https://app.example/cb", "http://127.0.0.1/cb?x=1", "com.example.app:/cb"}
	for uri, good := range map[string]bool{
		"https://app.example/cb":         true,
		"https://app.example/cb/":        false,
		"https://app.example/cb?":        false,
		"https://APP.example/cb":         false,
		"https://app.example:443/cb":     false,
		"https://app.example/%63b":       false,
		"http://app.example/cb":          false,
		"http://127.0.0.1/cb?x=1":        true,
		"http://127.0.0.1:50000/cb?x=1":  true,
		"http://127.0.0.1:50000/cb":      false,
		"http://127.0.0.1:50000/cb?x=2":  false,
		"http://127.0.0.1:/cb?x=1":       false,
		"http://127.0.0.1:5a/cb?x=1":     false,
		"http://[::1]:50000/cb?x=1":      false,
		"http://localhost:50000/cb?x=1":  false,
		"https://127.0.0.1:50000/cb?x=1": false,
		"com.example.app:/cb":            true,
		"com.example.app:/cb2":           false,
	} {
		b := start(t, "strict", func(c *testserver.Config) {
			approving(c)
			c.Clients = []testserver.Client{{ID: "cli", RedirectURIs: registered}}
		})
		a := b.authorize(authRequest(setting("redirect_uri", uri)))
		assert.Equal(t, good, a.Code == http.StatusSeeOther, "%s: %d", uri, a.Code)
	}
}

func TestTheOnlyRegisteredRedirectURINeedNotBeNamed(t *testing.T) {
	b := start(t, "strict", func(c *testserver.Config) {
		approving(c)
		c.Clients = []testserver.Client{{ID: "cli", RedirectURIs: []string{"https://app.example/cb?a=b"}}}
	})
	a := b.authorize(authRequest(omitting("redirect_uri")))
	to, params := a.redirect(t)
	assert.Equal(t, "https://app.example/cb", to)
	assert.Equal(t, "b", params.Get("a"), "its own query is kept")
	a = b.redeem(params.Get("code"), omitting("redirect_uri"))
	assert.Equal(t, http.StatusOK, a.Code, a.Body.String())
}

func TestACodeIsNotSpentByWhoeverShowsItWrongly(t *testing.T) {
	for name, c := range map[string]struct {
		change func(url.Values)
		code   string
	}{
		"another client":        {setting("client_id", "other"), "invalid_grant"},
		"another redirect URI":  {setting("redirect_uri", "http://127.0.0.1:1/callback"), "invalid_grant"},
		"no redirect URI":       {omitting("redirect_uri"), "invalid_request"},
		"no verifier":           {omitting("code_verifier"), "invalid_request"},
		"another verifier":      {setting("code_verifier", strings.Repeat("x", 43)), "invalid_grant"},
		"the challenge":         {setting("code_verifier", challengeOf(verifier)), "invalid_grant"},
		"a short verifier":      {setting("code_verifier", "short"), "invalid_request"},
		"a foreign resource":    {setting("resource", "https://api.example"), "invalid_target"},
		"a client that is none": {setting("client_id", "nobody"), "invalid_client"},
		"no code":               {omitting("code"), "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, "strict", nil)
			code := b.code(t, nil)
			a := b.redeem(code, c.change)
			assert.GreaterOrEqual(t, a.Code, 400)
			assert.Equal(t, c.code, a.field("error"))
			a = b.redeem(code, nil)
			assert.Equal(t, http.StatusOK, a.Code, "the code is still good: %s", a.Body)
		})
	}
}

func TestACodeIsRefusedWhenItsTimeIsOver(t *testing.T) {
	b := start(t, "strict", nil)
	code := b.code(t, nil)
	b.Advance(time.Minute)
	a := b.redeem(code, nil)
	assert.Equal(t, http.StatusBadRequest, a.Code)
	assert.Equal(t, "invalid_grant", a.field("error"))
}

func TestACodeThatComesBackRevokesWhatItBegan(t *testing.T) {
	b := start(t, "strict", nil)
	code := b.code(t, nil)
	access, refresh := b.redeem(code, nil).tokens()
	b.Advance(2 * time.Minute) // longer than the code lives

	a := b.redeem(code, nil)
	assert.Equal(t, http.StatusBadRequest, a.Code)
	assert.Equal(t, "invalid_grant", a.field("error"))
	assert.Equal(t, testserver.CodeReplayed, a.outcome())
	assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", access).Code)
	assert.Equal(t, testserver.SessionRevoked, b.refresh(refresh).outcome())
}

// Guards redeemCode's second look: without it, the session that begins after
// the replay was noticed lives on.
func TestOfManyWhoRedeemOneCodeAtMostOneKeepsASession(t *testing.T) {
	b := start(t, "strict", nil)
	for range 20 {
		code := b.code(t, nil)
		var good []answer
		answers := make(chan answer, 8)
		tellWinners(func() bool { answers <- b.redeem(code, nil); return true })
		close(answers)
		for a := range answers {
			if a.Code == http.StatusOK {
				good = append(good, a)
			}
		}
		require.LessOrEqual(t, len(good), 1)
		for _, a := range good {
			access, _ := a.tokens()
			assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", access).Code, "a replay revoked it")
		}
	}
}

func TestAVerifierWithoutAChallengeIsADowngrade(t *testing.T) {
	b := start(t, "strict", nil)
	code := b.code(t, func(v url.Values) {
		v.Set("client_id", serviceID)
		v.Del("code_challenge")
		v.Del("code_challenge_method")
	})
	asService := func(v url.Values) {
		v.Set("client_id", serviceID)
		v.Set("client_secret", serviceSecret)
	}
	a := b.redeem(code, asService)
	assert.Equal(t, http.StatusBadRequest, a.Code)
	assert.Equal(t, "invalid_grant", a.field("error"), "RFC 9700 4.8.2")
	a = b.redeem(code, func(v url.Values) { asService(v); v.Del("code_verifier") })
	assert.Equal(t, http.StatusOK, a.Code, a.Body.String())
}

func TestALockedOutUserGetsNoSessionForACode(t *testing.T) {
	b := start(t, "strict", nil)
	code := b.code(t, nil)
	require.NoError(t, b.DisableUser("alice"))
	assert.Equal(t, "invalid_grant", b.redeem(code, nil).field("error"))
	_, err := b.Approve(t.Context(), issuer+"/oauth/authorize?"+authRequest(nil).Encode(), "alice")
	assert.Error(t, err)
}

func TestADeniedRequestSaysSo(t *testing.T) {
	b := start(t, "strict", nil)
	location, err := b.Deny(t.Context(), issuer+"/oauth/authorize?"+authRequest(nil).Encode())
	require.NoError(t, err)
	u, err := url.Parse(location)
	require.NoError(t, err)
	assert.Equal(t, "access_denied", u.Query().Get("error"))
	assert.Equal(t, "st&te", u.Query().Get("state"))
	assert.Equal(t, issuer, u.Query().Get("iss"))
}

func TestAPushedRequestIsUsedOnce(t *testing.T) {
	b := start(t, "strict", approving)
	a := b.do(formRequest("/oauth/par", authRequest(nil)))
	require.Equal(t, http.StatusCreated, a.Code, a.Body.String())
	assert.EqualValues(t, 60, a.field("expires_in"))
	short := url.Values{"client_id": {"cli"}, "request_uri": {a.field("request_uri").(string)}, "state": {"ignored"}}

	other := b.authorize(url.Values{"client_id": {"other"}, "request_uri": short["request_uri"]})
	assert.Equal(t, http.StatusBadRequest, other.Code, "another client's")
	_, params := b.authorize(short).redirect(t)
	assert.Equal(t, "st&te", params.Get("state"), "only what was pushed counts")
	assert.Equal(t, http.StatusOK, b.redeem(params.Get("code"), nil).Code)
	assert.Equal(t, http.StatusBadRequest, b.authorize(short).Code, "used")
}

func TestAPushedRequestExpires(t *testing.T) {
	b := start(t, "strict", approving)
	a := b.do(formRequest("/oauth/par", authRequest(nil)))
	require.Equal(t, http.StatusCreated, a.Code)
	b.Advance(time.Minute)
	short := url.Values{"client_id": {"cli"}, "request_uri": {a.field("request_uri").(string)}}
	assert.Equal(t, http.StatusBadRequest, b.authorize(short).Code)
}

func TestABadPushedRequestIsRefusedAtOnce(t *testing.T) {
	b := start(t, "strict", nil)
	for name, change := range map[string]func(url.Values){
		"a foreign redirect URI":   setting("redirect_uri", "https://evil.example/"),
		"no PKCE":                  func(v url.Values) { v.Del("code_challenge"); v.Del("code_challenge_method") },
		"a request URI":            setting("request_uri", "urn:ietf:params:oauth:request_uri:x"),
		"a wrong client":           setting("client_id", "nobody"),
		"a public client's secret": setting("client_secret", "x"),
	} {
		a := b.do(formRequest("/oauth/par", authRequest(change)))
		assert.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized}, a.Code, name)
		assert.Nil(t, a.field("request_uri"), name)
	}
}

// browser keeps the cookies of one user agent.
func (b bench) withCookies(a answer, r *http.Request) *http.Request {
	for _, c := range a.Result().Cookies() {
		r.AddCookie(c)
	}
	return r
}

func (b bench) browser(t *testing.T, user, acr string) answer {
	t.Helper()
	a := answer{ResponseRecorder: httptest.NewRecorder()}
	require.NoError(t, b.SignInBrowser(a, request(http.MethodGet, "/", "", ""), user, acr))
	return a
}

func TestPromptAndAgeDecideWhetherThePageIsShown(t *testing.T) {
	const page = "/oauth/interaction"
	for name, c := range map[string]struct {
		signedIn  bool
		consented bool
		later     time.Duration
		change    func(url.Values)
		want      string // an error, "code" or "page"
	}{
		"nobody":                        {want: "page"},
		"nobody, silently":              {change: setting("prompt", "none"), want: "login_required"},
		"signed in":                     {signedIn: true, want: "page"},
		"signed in, silently":           {signedIn: true, change: setting("prompt", "none"), want: "consent_required"},
		"agreed before":                 {signedIn: true, consented: true, want: "code"},
		"agreed before, silently":       {signedIn: true, consented: true, change: setting("prompt", "none"), want: "code"},
		"agreed to less":                {signedIn: true, consented: true, change: setting("scope", "openid more"), want: "page"},
		"login asked for":               {signedIn: true, consented: true, later: time.Second, change: setting("prompt", "login"), want: "page"},
		"another account asked for":     {signedIn: true, consented: true, later: time.Second, change: setting("prompt", "select_account"), want: "page"},
		"consent asked for":             {signedIn: true, consented: true, change: setting("prompt", "consent"), want: "page"},
		"a login that is young enough":  {signedIn: true, consented: true, later: time.Minute, change: setting("max_age", "60"), want: "code"},
		"a login that is too old":       {signedIn: true, consented: true, later: 61 * time.Second, change: setting("max_age", "60"), want: "page"},
		"too old, silently":             {signedIn: true, consented: true, later: time.Hour, change: func(v url.Values) { v.Set("max_age", "60"); v.Set("prompt", "none") }, want: "login_required"},
		"a stronger login is asked for": {signedIn: true, consented: true, change: setting("acr_values", "urn:authtest:strong"), want: "page"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, "strict", nil)
			r := func(v url.Values) *http.Request {
				return request(http.MethodGet, "/oauth/authorize?"+v.Encode(), "", "")
			}
			jar := answer{ResponseRecorder: httptest.NewRecorder()}
			if c.signedIn {
				jar = b.browser(t, "alice", testserver.ACRPassword)
			}
			if c.consented {
				a := b.do(b.withCookies(jar, r(authRequest(nil))))
				_, params := a.redirect(t)
				_, err := b.ApprovePending(params.Get("request"), "alice", testserver.ACRPassword)
				require.NoError(t, err)
			}
			b.Advance(c.later)
			to, params := b.do(b.withCookies(jar, r(authRequest(c.change)))).redirect(t)
			switch c.want {
			case "page":
				assert.Equal(t, page, to)
			case "code":
				assert.NotEmpty(t, params.Get("code"))
			default:
				assert.Equal(t, c.want, params.Get("error"))
			}
		})
	}
}

func TestAPendingRequestIsAnsweredOnce(t *testing.T) {
	b := start(t, "strict", nil)
	_, params := b.authorize(authRequest(nil)).redirect(t)
	id := params.Get("request")
	location, err := b.ApprovePending(id, "alice", testserver.ACRPassword)
	require.NoError(t, err)
	assert.Contains(t, location, "code=")
	_, err = b.ApprovePending(id, "alice", testserver.ACRPassword)
	assert.Error(t, err)
	_, err = b.DenyPending(id)
	assert.Error(t, err)
}

func TestAPendingRequestWantsTheLoginItAskedFor(t *testing.T) {
	b := start(t, "strict", nil)
	_, params := b.authorize(authRequest(setting("acr_values", testserver.ACRStrong))).redirect(t)
	_, err := b.ApprovePending(params.Get("request"), "alice", testserver.ACRPassword)
	require.ErrorIs(t, err, testserver.ErrLoginNeeded)
	location, err := b.ApprovePending(params.Get("request"), "alice", testserver.ACRStrong)
	require.NoError(t, err)
	u, err := url.Parse(location)
	require.NoError(t, err)
	access, _ := b.redeem(u.Query().Get("code"), nil).tokens()
	assert.Equal(t, testserver.ACRStrong, part(t, access, 1)["acr"], "RFC 9068 2.2.1")
	assert.EqualValues(t, b.Now().Unix(), part(t, access, 1)["auth_time"])
}

func TestAPlantedBrowserCookieIsWorthNothing(t *testing.T) {
	b := start(t, "strict", nil)
	r := request(http.MethodGet, "/oauth/authorize?"+authRequest(setting("prompt", "none")).Encode(), "", "")
	r.AddCookie(&http.Cookie{Name: "authtest_browser", Value: "planted"})
	_, params := b.do(r).redirect(t)
	assert.Equal(t, "login_required", params.Get("error"))
}

func TestAnAuthorizationRequestMayBePosted(t *testing.T) {
	b := start(t, "strict", approving)
	_, params := b.do(formRequest("/oauth/authorize", authRequest(nil))).redirect(t)
	assert.NotEmpty(t, params.Get("code"))
}

func TestACodeIsLostAndFoundAtEveryStage(t *testing.T) {
	b := start(t, "strict", approving)
	_, params := b.authorize(authRequest(nil)).redirect(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the client does not wait
	a := b.do(formRequest("/oauth/token", codeForm(params.Get("code"), nil)).WithContext(ctx))
	assert.Equal(t, http.StatusOK, a.Code, "what has begun is finished")
}
