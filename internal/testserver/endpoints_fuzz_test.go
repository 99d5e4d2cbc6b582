package testserver_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// logged is a server whose log is read by the test.
func logged(t testing.TB, log *bytes.Buffer, change func(*testserver.Config)) bench {
	p, err := testserver.ProfileNamed("strict")
	require.NoError(t, err)
	cfg := testserver.Config{
		Issuer: issuer, Profile: p, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Clients: []testserver.Client{{ID: "cli"}, {ID: serviceID, Secret: serviceSecret}},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := testserver.New(cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return bench{s}
}

// surface are the endpoints of this file's concern, as browsers and clients
// reach them.
func surface() []string {
	return []string{
		"GET /oauth/authorize", "POST /oauth/authorize", "POST /oauth/par", "POST /oauth/token",
		"POST /oauth/device_authorization", "POST /oauth/introspect", "POST /oauth/register",
		"GET /oauth/userinfo", "GET /oauth/end_session", "POST /oauth/end_session", "POST /oauth/revoke",
		"GET /oauth/jwks", "GET /.well-known/oauth-protected-resource/api",
	}
}

// calm asserts what every answer to whatever comes from outside must be: no
// panic, no failure of the server, and no redirect but to the client or to a
// page of the server's own.
func calm(t *testing.T, name string, a answer, log *bytes.Buffer) {
	t.Helper()
	assert.False(t, a.dropped, name)
	assert.Less(t, a.Code, 500, "%s: %s", name, log)
	if to := a.Header().Get("Location"); to != "" {
		good := strings.HasPrefix(to, "http://127.0.0.1") || strings.HasPrefix(to, "http://[::1]") ||
			strings.HasPrefix(to, "http://localhost") || strings.HasPrefix(to, "/oauth/")
		assert.True(t, good, "%s: sent to %s", name, to)
	}
}

func FuzzEndpoints(f *testing.F) {
	good := authRequest(nil).Encode()
	for i := range surface() {
		f.Add(uint8(i), good, "application/x-www-form-urlencoded", "", "")
	}
	f.Add(uint8(3), codeForm("ac_x", nil).Encode(), "application/x-www-form-urlencoded", "Basic c2VydmljZTp4", "")
	f.Add(uint8(6), `{"redirect_uris":["http://127.0.0.1/"],"jwks":{"keys":[{}]}}`, "application/json", "", "")
	f.Add(uint8(7), "", "", "Bearer a.b.c", "authtest_browser=x")
	f.Add(uint8(8), "id_token_hint=a.b.c&post_logout_redirect_uri=http://127.0.0.1/", "", "DPoP x", "authtest_browser=\"")
	f.Add(uint8(5), "client_id=service&client_secret=service-secret&token=rt_x", "application/x-www-form-urlencoded", "", "")
	var log bytes.Buffer
	b := logged(f, &log, nil)
	f.Fuzz(func(t *testing.T, which uint8, input, kind, authorization, cookie string) {
		log.Reset()
		method, path, _ := strings.Cut(surface()[int(which)%len(surface())], " ")
		r := request(method, path, kind, input)
		if method == http.MethodGet {
			r.URL.RawQuery = input
		}
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Cookie", cookie)
		calm(t, method+" "+path, b.do(r), &log)
	})
}

// A redirect URI that is accepted leads where the client said, whoever reads
// it: that is what open redirects are made of.
func FuzzRedirectURI(f *testing.F) {
	for _, uri := range []string{
		callback, "http://127.0.0.1", "http://127.0.0.1:1/a?b", "http://[::1]:1/", "http://localhost/x",
		"http://127.0.0.1@evil.example/", "http://127.0.0.1:80:80/", "http://127.0.0.1\\@evil.example/",
		"http://127.0.0.1:\t80/", "http://127.0.0.1/#x", "//evil.example", "http://127.0.0.1%2eevil.example/",
	} {
		f.Add(uri)
	}
	var log bytes.Buffer
	b := logged(f, &log, func(c *testserver.Config) { c.AutoApprove = "alice" })
	f.Fuzz(func(t *testing.T, uri string) {
		a := b.authorize(authRequest(setting("redirect_uri", uri)))
		if a.Code != http.StatusSeeOther {
			assert.Equal(t, http.StatusBadRequest, a.Code)
			return
		}
		u, err := url.Parse(a.Header().Get("Location"))
		require.NoError(t, err)
		assert.Equal(t, "http", u.Scheme)
		assert.Contains(t, []string{"127.0.0.1", "::1", "localhost"}, u.Hostname())
		assert.Nil(t, u.User)
		assert.Empty(t, u.Fragment)
		assert.NotEmpty(t, u.Query().Get("code"))
	})
}

func FuzzUserCode(f *testing.F) {
	for _, typed := range []string{"BCDF-GHJK", "bcdfghjk", " b c d f - g h j k ", "", "AEIO-UAEI", "BCDF-GHJKL", "ſſſſ-ſſſſ"} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		tidy := testserver.TidyUserCode(typed)
		if tidy != "" {
			assert.Regexp(t, `^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`, tidy)
		}
		assert.Equal(t, tidy, testserver.TidyUserCode(tidy), "tidying is done once")
	})
}

// Whatever stands in a URL, one reading of it decides whose request it is.
func FuzzIssuerPath(f *testing.F) {
	for _, path := range []string{
		"/issuers/red/api/me", "/issuers/red%2fapi/me", "/issuers/%72ed/api/me", "/issuers//red/api/me",
		"/.well-known/openid-configuration/issuers/red", "/issuers/red", "/issuers/red/../../api/me", "/%69ssuers/red/",
	} {
		f.Add(path)
	}
	var log bytes.Buffer
	b := logged(f, &log, nil)
	p, err := testserver.ProfileNamed("strict")
	require.NoError(f, err)
	red, err := b.Issuer("red", testserver.Config{Profile: p})
	require.NoError(f, err)
	tokens, err := red.Login("alice", "laptop")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || !strings.HasPrefix(path, "/") {
			return
		}
		r := httptest.NewRequest(http.MethodGet, issuer+"/", nil)
		r.URL.Path, r.URL.RawPath, r.RequestURI = u.Path, u.RawPath, path
		r.Header.Set("Authorization", "Bearer "+tokens.Access)
		a := b.do(r)
		assert.Less(t, a.Code, 500)
		if a.Code == http.StatusOK && strings.Contains(a.Body.String(), tokens.Session) {
			assert.True(t, strings.HasPrefix(path, "/issuers/red/"), path)
		}
	})
}

// No answer to a bad request, and no line of the log, holds what a good one
// was given.
func TestNothingSecretIsEverLogged(t *testing.T) {
	var log bytes.Buffer
	b := logged(t, &log, func(c *testserver.Config) { c.AutoApprove = "alice" })
	_, params := b.authorize(authRequest(nil)).redirect(t)
	code := params.Get("code")
	a := b.redeem(code, nil)
	access, refresh := a.tokens()
	device, user := b.device(t)
	pushed := b.do(formRequest("/oauth/par", authRequest(nil))).field("request_uri").(string)
	registered := b.register(map[string]any{"grant_types": []string{"client_credentials"}})
	b.introspect(access)
	b.introspect(refresh)
	b.poll(device)
	b.get("/oauth/userinfo", access)
	b.do(request(http.MethodGet, "/oauth/end_session?id_token_hint="+a.field("id_token").(string), "", ""))
	b.redeem(code, nil)
	secrets := []string{
		code, access, refresh, device, user, pushed, a.field("id_token").(string), verifier,
		registered.field("client_secret").(string), serviceSecret,
	}
	for _, input := range secrets { // as what they are not
		for _, endpoint := range surface() {
			method, path, _ := strings.Cut(endpoint, " ")
			v := url.Values{
				"client_id": {input}, "token": {input}, "code": {input}, "id_token_hint": {input}, "request_uri": {input},
				"grant_type": {"authorization_code"},
			}
			r := formRequest(path, v)
			if method == http.MethodGet {
				r = request(method, path+"?"+v.Encode(), "", "")
			}
			r.Header.Set("Authorization", "Bearer "+input)
			calm(t, endpoint, b.do(r), &log)
		}
	}
	require.NotZero(t, log.Len())
	for _, secret := range secrets {
		assert.NotContains(t, log.String(), secret)
	}
}

func TestEveryEndpointRefusesWhatItCannotRead(t *testing.T) {
	var log bytes.Buffer
	b := logged(t, &log, nil)
	long := strings.Repeat("a", 2<<20)
	for _, endpoint := range surface() {
		method, path, _ := strings.Cut(endpoint, " ")
		for name, r := range map[string]*http.Request{
			"no body":         request(method, path, "", ""),
			"a wrong type":    request(method, path, "text/plain", "a=b"),
			"broken escapes":  request(method, path, "application/x-www-form-urlencoded", "%zz=%"),
			"a huge body":     request(method, path, "application/x-www-form-urlencoded", "client_id="+long),
			"huge JSON":       request(method, path, "application/json", `{"a":"`+long+`"}`),
			"deep JSON":       request(method, path, "application/json", strings.Repeat("[", 1<<16)),
			"NUL and newline": formRequest(path, url.Values{"client_id": {"\x00\r\n"}, "state": {"\x00\r\n"}, "token": {"\x00"}}),
			"not UTF-8":       formRequest(path, url.Values{"client_id": {"\xff\xfe"}, "scope": {"\xff"}}),
			"a bad query":     request(method, path+"?%zz", "", ""),
			"a huge header": func() *http.Request {
				r := request(method, path, "", "")
				r.Header.Set("Authorization", "Bearer "+long)
				return r
			}(),
			"a huge cookie": func() *http.Request {
				r := request(method, path, "", "")
				r.Header.Set("Cookie", "authtest_browser="+long)
				return r
			}(),
		} {
			calm(t, endpoint+": "+name, b.do(r), &log)
		}
	}
}
