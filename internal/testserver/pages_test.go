package testserver_test

import (
	"bytes"
	"html"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// visitor is a person with a browser: it keeps cookies, and says where its forms come from.
type visitor struct {
	bench
	cookies map[string]string
	site    string // Sec-Fetch-Site of its forms
	from    string
}

func (b bench) visitor() *visitor {
	return &visitor{bench: b, cookies: map[string]string{}, site: "same-origin", from: "127.0.0.1:4711"}
}

func (b *visitor) send(r *http.Request) answer {
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Site", b.site)
	r.RemoteAddr = b.from
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	a := b.do(r)
	for _, c := range a.Result().Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return a
}

func (b *visitor) open(path string) answer {
	return b.send(request(http.MethodGet, strings.TrimPrefix(path, issuer), "", ""))
}

func (b *visitor) submit(path string, pairs ...string) answer {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.send(formRequest(path, form))
}

func (b *visitor) signIn(t *testing.T) {
	t.Helper()
	a := b.submit("/ui/login", "username", "alice", "password", "secret", "action", "login")
	require.Equal(t, http.StatusSeeOther, a.Code, a.Body)
}

// shows asserts that a page says something to a person.
func (a answer) shows(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		assert.Contains(t, html.UnescapeString(a.Body.String()), text)
	}
}

func TestAPageAllowsNothingButItsStyleAndItsForms(t *testing.T) {
	b := start(t, "strict", nil).visitor()
	b.signIn(t)
	for _, path := range []string{"/ui/login", "/sessions", "/device", "/oauth/interaction?request=x", "/_test/ui/decoder", "/ui/style.css", "/ui/dashboard.js"} {
		a := b.open(path)
		assert.Equal(t, "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			a.Header().Get("Content-Security-Policy"), path)
		assert.Equal(t, "nosniff", a.Header().Get("X-Content-Type-Options"), path)
		assert.Equal(t, "same-origin", a.Header().Get("Referrer-Policy"), path)
		assert.NotContains(t, a.Body.String(), "<script", path)
		assert.NotContains(t, a.Body.String(), " style=", path)
		if !strings.HasSuffix(path, "s") || path == "/sessions" {
			assert.Equal(t, "no-store", a.Header().Get("Cache-Control"), path)
			a.shows(t, "Test server, not for production")
		}
	}
}

// withoutOurs is a page without the one script that pages may have.
func withoutOurs(body string) string {
	return strings.Replace(body, `<script src="/ui/dashboard.js" defer></script>`, "", 1)
}

// The dashboard has a script, which is a file of this server's and asks nobody
// else. A page without it does the same.
func TestTheDashboardAllowsItsOwnScriptAndNoOther(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	b.refresh(tokens.Refresh)
	u := b.visitor()
	for _, path := range []string{"/_test/", "/_test/ui/session/" + tokens.Session, "/_test/ui/request/1"} {
		a := u.open(path)
		assert.Equal(t, "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "+
			"script-src 'self'; connect-src 'self'", a.Header().Get("Content-Security-Policy"), path)
		assert.Contains(t, a.Body.String(), `<script src="/ui/dashboard.js" defer></script>`, path)
		assert.NotContains(t, withoutOurs(a.Body.String()), "<script", path)
		assert.NotRegexp(t, `(?i) (style|on[a-z]+)=`, a.Body.String(), path)
		assert.Contains(t, a.Body.String(), `data-page="`+path+`"`)
	}
	a := u.open("/ui/dashboard.js")
	assert.Equal(t, "text/javascript; charset=utf-8", a.Header().Get("Content-Type"))
	assert.NotRegexp(t, `innerHTML|outerHTML|document\.write|insertAdjacentHTML|eval\(|Function\(`, a.Body.String())
}

func TestTheCodeFlowThroughItsPages(t *testing.T) {
	b := start(t, "strict", nil)
	u := b.visitor()
	a := u.open("/oauth/authorize?" + authRequest(nil).Encode())
	require.Equal(t, http.StatusSeeOther, a.Code)
	page := a.Header().Get("Location")
	id := page[strings.LastIndex(page, "=")+1:]

	a = u.open(page)
	a.shows(t, "Sign in", "to go on to", "cli", "Go on as bob")
	assert.Contains(t, a.Header().Get("Content-Security-Policy"), "form-action 'self' http://127.0.0.1:4711;")
	a = u.submit("/oauth/interaction", "request", id, "username", "alice", "password", "wrong", "action", "login")
	assert.Equal(t, http.StatusUnauthorized, a.Code)
	a.shows(t, "The user name or the password is wrong.", `value="alice"`)
	assert.NotContains(t, a.Body.String(), "wrong\"", "the password comes back")

	a = u.submit("/oauth/interaction", "request", id, "username", "alice", "password", "secret", "action", "login")
	require.Equal(t, http.StatusSeeOther, a.Code)
	a = u.open(a.Header().Get("Location"))
	a.shows(t, "Allow", "This is a test server.", "know who you are", "notes", callback)

	a = u.submit("/oauth/interaction", "request", id, "action", "approve")
	to, params := a.redirect(t)
	assert.Equal(t, callback, to)
	code := b.do(formRequest("/oauth/token", codeForm(params.Get("code"), nil)))
	assert.Equal(t, http.StatusOK, code.Code, code.Body)

	a = u.submit("/oauth/interaction", "request", id, "action", "approve")
	assert.Equal(t, http.StatusBadRequest, a.Code, "the button was pressed twice")
	a.shows(t, "answered already")
}

func TestTheUserCanSayNo(t *testing.T) {
	u := start(t, "strict", nil).visitor()
	page := u.open("/oauth/authorize?" + authRequest(nil).Encode()).Header().Get("Location")
	to, params := u.submit("/oauth/interaction", "request", page[strings.LastIndex(page, "=")+1:], "action", "deny").redirect(t)
	assert.Equal(t, callback, to)
	assert.Equal(t, "access_denied", params.Get("error"))
}

// What the request wants of the login is asked for; a user who is signed in
// weakly signs in again.
func TestAStrongLoginAsksForAOneTimeCode(t *testing.T) {
	u := start(t, "strict", nil).visitor()
	u.signIn(t)
	page := u.open("/oauth/authorize?" + authRequest(setting("acr_values", "urn:authtest:strong")).Encode()).Header().Get("Location")
	id := page[strings.LastIndex(page, "=")+1:]
	u.open(page).shows(t, "One-time code")
	login := []string{"request", id, "username", "alice", "password", "secret", "action", "login"}
	assert.Equal(t, http.StatusUnauthorized, u.submit("/oauth/interaction", append(login, "otp", "12a456")...).Code)
	assert.Equal(t, http.StatusOK, u.submit("/oauth/interaction", "request", id, "action", "approve").Code, "shows the login again")
	assert.Equal(t, http.StatusSeeOther, u.submit("/oauth/interaction", append(login, "otp", "123456")...).Code)
	_, params := u.submit("/oauth/interaction", "request", id, "action", "approve").redirect(t)
	assert.NotEmpty(t, params.Get("code"))
}

func TestADeviceIsConnectedByItsCode(t *testing.T) {
	b := start(t, "strict", nil)
	for _, answerOf := range []struct{ action, says, poll string }{
		{"approve", "The device is signed in.", ""},
		{"deny", "The device was told no.", "access_denied"},
	} {
		u := b.visitor()
		device := b.do(formRequest("/oauth/device_authorization", url.Values{"client_id": {"cli"}, "scope": {"notes"}}))
		code := device.field("user_code").(string)
		u.open("/device").shows(t, "Type the code")
		a := u.open("/device?user_code=BBBB-BBBB")
		assert.Equal(t, http.StatusNotFound, a.Code)
		a.shows(t, "This code is unknown")

		u.open("/device?user_code="+strings.ToLower(strings.ReplaceAll(code, "-", ""))).shows(t, "Sign in")
		a = u.submit("/device", "user_code", code, "as", "alice")
		u.open(a.Header().Get("Location")).shows(t, "Connect", code, "notes", "phishing")
		u.submit("/device", "user_code", code, "action", answerOf.action).shows(t, answerOf.says)

		poll := b.do(formRequest("/oauth/token", url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {"cli"},
			"device_code": {device.field("device_code").(string)},
		}))
		if answerOf.poll == "" {
			assert.Equal(t, http.StatusOK, poll.Code, poll.Body)
		} else {
			assert.Equal(t, answerOf.poll, poll.field("error"))
		}
	}
}

func TestOneDeviceIsSignedOutAndTheOthersStay(t *testing.T) {
	b := start(t, "strict", nil)
	laptop, phone := b.loginOn(t, "alice", "laptop"), b.loginOn(t, "alice", "phone")
	stranger := b.loginOn(t, "bob", "tablet")
	u := b.visitor()
	assert.Equal(t, "/ui/login?to=%2Fsessions", u.open("/sessions").Header().Get("Location"))
	u.signIn(t)
	a := u.open("/sessions")
	a.shows(t, "This browser", "Current", "laptop", "phone", "ends in 7 d")
	assert.NotContains(t, a.Body.String(), "tablet")

	u.submit("/ui/sessions", "action", "one", "id", phone.Session).shows(t, "phone is signed out.")
	assert.Equal(t, http.StatusNotFound, u.submit("/ui/sessions", "action", "one", "id", stranger.Session).Code)
	assert.Equal(t, http.StatusNotFound, u.submit("/ui/sessions", "action", "one", "id", "ses_none").Code)
	assert.Equal(t, http.StatusBadRequest, u.submit("/ui/sessions", "action", "nonesuch").Code)
	assert.Equal(t, testserver.SessionRevoked, b.refresh(phone.Refresh).outcome())
	assert.Equal(t, testserver.Rotated, b.refresh(laptop.Refresh).outcome())
	assert.Equal(t, testserver.Rotated, b.refresh(stranger.Refresh).outcome())
}

func TestAllOthersAreSignedOutAtOnce(t *testing.T) {
	b := start(t, "strict", nil)
	laptop, stranger := b.loginOn(t, "alice", "laptop"), b.loginOn(t, "bob", "tablet")
	u := b.visitor()
	u.signIn(t)
	u.submit("/ui/sessions", "action", "others").shows(t, "All other devices are signed out.", "No other device is signed in.")
	assert.Equal(t, testserver.SessionRevoked, b.refresh(laptop.Refresh).outcome())
	assert.Equal(t, testserver.Rotated, b.refresh(stranger.Refresh).outcome())
	u.open("/sessions").shows(t, "This browser")
}

// Whoever finds the browser open must not be able to lock its owner out.
func TestSigningOutEverywhereAsksForThePassword(t *testing.T) {
	b := start(t, "strict", nil)
	laptop := b.loginOn(t, "alice", "laptop")
	u, elsewhere := b.visitor(), b.visitor()
	u.signIn(t)
	elsewhere.signIn(t)
	u.submit("/ui/sessions", "action", "all").shows(t, "Sign out everywhere?", "Your password, once more")
	a := u.submit("/ui/sessions", "action", "all", "password", "guess")
	assert.Equal(t, http.StatusUnauthorized, a.Code)
	rotated := b.refresh(laptop.Refresh)
	require.Equal(t, testserver.Rotated, rotated.outcome())

	u.submit("/ui/sessions", "action", "all", "password", "secret").shows(t, "You are signed out everywhere.")
	_, refresh := rotated.tokens()
	assert.NotEqual(t, http.StatusOK, b.refresh(refresh).Code)
	assert.Equal(t, http.StatusSeeOther, u.open("/sessions").Code, "the browser is still signed in")
	assert.Equal(t, http.StatusSeeOther, elsewhere.open("/sessions").Code, "so is another one")
}

func TestAProgramStillGetsItsSessionsAsJSON(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	r := request(http.MethodGet, "/sessions", "", "")
	r.Header.Set("Authorization", "Bearer "+tokens.Access)
	r.Header.Set("Accept", "text/html, application/json")
	assert.Equal(t, "application/json", b.do(r).Header().Get("Content-Type"))
	assert.Equal(t, http.StatusUnauthorized, b.get("/sessions", "").Code)
}

// Sec-Fetch-Site and Origin are what http.CrossOriginProtection goes by.
func TestAFormThatAnotherSiteSentIsRefused(t *testing.T) {
	b := start(t, "strict", nil)
	laptop := b.loginOn(t, "alice", "laptop")
	u := b.visitor()
	u.signIn(t)
	u.site = "cross-site"
	for _, form := range []struct{ path, name, value string }{
		{"/ui/login", "as", "bob"}, {"/ui/logout", "", ""}, {"/ui/sessions", "action", "others"},
		{"/oauth/interaction", "action", "approve"}, {"/device", "action", "approve"},
		{"/_test/ui/clock", "action", "advance"}, {"/_test/ui/faults", "quick", "lose"},
		{"/_test/ui/sessions", "action", "access"}, {"/_test/ui/decoder", "token", "x"}, {"/_test/ui/gates", "action", "set"},
		{"/_test/ui/scripts", "action", "clear"}, {"/_test/ui/server", "action", "reset"}, {"/_test/ui/users", "action", "bump"},
	} {
		a := u.submit(form.path, form.name, form.value)
		assert.Equal(t, http.StatusForbidden, a.Code, form.path)
		a.shows(t, "This form was sent by another site.")
	}
	u.site = "same-origin"
	u.open("/sessions").shows(t, "laptop")
	assert.Equal(t, testserver.Rotated, b.refresh(laptop.Refresh).outcome())
	assert.Empty(t, b.Unfired())
}

// A login page that leads anywhere is a phisher's friend.
func TestALoginLeadsNowhereElse(t *testing.T) {
	u := start(t, "strict", nil).visitor()
	for to, want := range map[string]string{
		"/device?user_code=BCDF-GHJK": "/device?user_code=BCDF-GHJK", "/sessions": "/sessions", "": "/sessions",
		"https://evil.example.com/": "/sessions", "//evil.example.com/": "/sessions", "///evil.example.com/": "/sessions", `/\evil.example.com`: "/sessions",
		"javascript:alert(1)": "/sessions", "/\t/evil.example.com": "/sessions", "sessions": "/sessions", "http:/x": "/sessions",
	} {
		a := u.submit("/ui/login", "as", "alice", "to", to)
		assert.Equal(t, want, a.Header().Get("Location"), "%q", to)
	}
}

func TestTheLoginPageCanShowItsErrors(t *testing.T) {
	u := start(t, "strict", nil).visitor()
	for preview, says := range map[string]string{
		"expired": "Your session has expired.", "locked": "This account is locked.", "rate": "Too many attempts.",
	} {
		u.open("/ui/login?preview="+preview).shows(t, says)
	}
}

func TestAnErrorPageHasAnIdThatTheLogHas(t *testing.T) {
	var log bytes.Buffer
	u := start(t, "strict", func(c *testserver.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }).visitor()
	a := u.open("/oauth/authorize?client_id=nonesuch")
	assert.Equal(t, http.StatusBadRequest, a.Code)
	a.shows(t, "invalid_request", "client_id is not known")
	id := regexp.MustCompile(`Correlation id</dt><dd><code>([A-Z0-9]{12})<`).FindStringSubmatch(a.Body.String())
	require.NotNil(t, id)
	assert.Contains(t, log.String(), "correlation="+id[1])
}

// hostile is markup in every context that a page has.
const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}`

func TestWhateverComesInIsShownAsText(t *testing.T) {
	b := start(t, "strict", func(c *testserver.Config) {
		c.Users = []testserver.User{{Name: hostile, Password: "secret"}}
		c.Clients = []testserver.Client{{ID: hostile}}
	})
	tokens, err := b.Login(hostile, hostile)
	require.NoError(t, err)
	u := b.visitor()
	r := formRequest("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {hostile}, "refresh_token": {tokens.Refresh}})
	r.Header.Set("User-Agent", hostile)
	require.Equal(t, http.StatusOK, b.do(r).Code)
	b.do(request("BREW", "/api/me/"+url.PathEscape(hostile), "", ""))

	page := u.open("/oauth/authorize?" + authRequest(func(v url.Values) {
		v.Set("client_id", hostile)
		v.Set("login_hint", hostile)
		v.Set("redirect_uri", "http://127.0.0.1:1/"+hostile)
		v.Set("scope", "<script>alert(1)</script>")
	}).Encode()).Header().Get("Location")
	id := page[strings.LastIndex(page, "=")+1:]
	answers := []answer{u.open(page), u.submit("/oauth/interaction", "request", id, "username", hostile, "password", "x", "action", "login")}
	require.Equal(t, http.StatusSeeOther, u.submit("/oauth/interaction", "request", id, "as", hostile).Code)
	answers = append(answers, u.open(page), u.open("/sessions"), u.open("/device?user_code="+url.QueryEscape(hostile)),
		u.open("/ui/login?to="+url.QueryEscape(hostile)+"&preview="+url.QueryEscape(hostile)),
		u.submit("/ui/sessions", "action", "one", "id", tokens.Session),
		u.submit("/ui/sessions", "action", "all"), u.open("/_test/"), u.open("/_test/ui/session/"+tokens.Session),
		u.open("/_test/ui/request/1"), u.open("/_test/ui/session/"+url.PathEscape(hostile)), u.submit("/_test/ui/decoder", "token", hostile),
		u.submit("/_test/ui/decoder", "token", tokens.Access), u.submit("/_test/ui/faults", "on", hostile, "does", hostile),
		u.submit("/_test/ui/clock", "action", "advance", "by", hostile))
	for i, a := range answers {
		body := a.Body.String()
		assert.Contains(t, a.Header().Get("Content-Type"), "text/html", "%d", i)
		assert.NotContains(t, withoutOurs(body), "<script", "%d", i)
		assert.NotContains(t, body, "<img", "%d", i)
		assert.NotEqual(t, http.StatusInternalServerError, a.Code, "%d", i)
	}
}

func TestNoPageShowsAToken(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	access, refresh := b.refresh(tokens.Refresh).tokens()
	b.refresh(tokens.Refresh)
	b.get("/api/me", access)
	u := b.visitor()
	u.signIn(t)
	for _, path := range []string{"/sessions", "/_test/", "/_test/ui/session/" + tokens.Session, "/_test/ui/request/1", "/_test/ui/request/3"} {
		a := u.open(path)
		require.Equal(t, http.StatusOK, a.Code, path)
		for _, token := range []string{tokens.Refresh, tokens.Access, access, refresh} {
			assert.NotContains(t, a.Body.String(), token, path)
		}
	}
}

func TestPagesAreReachedThroughFaultsLikeTheRest(t *testing.T) {
	b := start(t, "strict", nil)
	_, err := b.Fault(testserver.Fault{On: testserver.Pages, Answer: &testserver.Answer{Status: 503, Body: "down"}})
	require.NoError(t, err)
	assert.Equal(t, 503, b.visitor().open("/ui/login").Code)
}

func (b bench) loginOn(t *testing.T, user, device string) testserver.Tokens {
	t.Helper()
	tokens, err := b.Login(user, device)
	require.NoError(t, err)
	return tokens
}

// OpenID Connect RP-Initiated Logout: without a proof of who asks, the user is
// asked.
func TestALogoutIsConfirmed(t *testing.T) {
	u := start(t, "strict", nil).visitor()
	u.signIn(t)
	page := u.open("/oauth/end_session?client_id=cli&state=s&post_logout_redirect_uri=" + url.QueryEscape(callback)).Header().Get("Location")
	id := page[strings.LastIndex(page, "=")+1:]
	a := u.open(page)
	a.shows(t, "cli asks to sign you out")
	assert.Contains(t, a.Header().Get("Content-Security-Policy"), "form-action 'self' http://127.0.0.1:4711;")
	assert.Equal(t, http.StatusOK, u.open("/sessions").Code)
	to, params := u.submit("/oauth/logout", "request", id).redirect(t)
	assert.Equal(t, callback, to)
	assert.Equal(t, "s", params.Get("state"))
	assert.Equal(t, http.StatusSeeOther, u.open("/sessions").Code)
	assert.Equal(t, http.StatusBadRequest, u.submit("/oauth/logout", "request", id).Code)

	u.signIn(t)
	page = u.open("/oauth/end_session").Header().Get("Location")
	a = u.submit("/oauth/logout", "request", page[strings.LastIndex(page, "=")+1:])
	u.open(a.Header().Get("Location")).shows(t, "You are signed out of this browser.")
}
