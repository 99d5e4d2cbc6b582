package testserver_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// throughPages signs alice in on the page of an authorization request, says yes
// where she is asked, and redeems the code.
func (b *visitor) throughPages(t *testing.T, authorize string, login ...string) answer {
	t.Helper()
	a := b.open(authorize)
	for range 2 { // the login and the question, where they are needed
		page := a.Header().Get("Location")
		if !strings.HasPrefix(page, "/oauth/interaction") {
			break
		}
		form := []string{"request", page[strings.LastIndex(page, "=")+1:]}
		if strings.Contains(b.open(page).Body.String(), "<h1>Sign in</h1>") {
			require.Equal(t, http.StatusSeeOther, b.submit("/oauth/interaction", append(form, login...)...).Code)
		}
		a = b.submit("/oauth/interaction", append(form, "action", "approve")...)
	}
	_, params := a.redirect(t)
	got := b.redeem(params.Get("code"), setting("device", "what the client says"))
	require.Equal(t, http.StatusOK, got.Code, got.Body)
	return got
}

// deviceOf is how the API lists the session of an answer.
func (b bench) deviceOf(t *testing.T, got answer) string {
	t.Helper()
	access, _ := got.tokens()
	var rows []struct {
		Device  string
		Current bool
	}
	require.NoError(t, json.Unmarshal(b.get("/sessions", access).Body.Bytes(), &rows))
	for _, row := range rows {
		if row.Current {
			return row.Device
		}
	}
	require.Fail(t, "the session is not listed")
	return ""
}

// Guards that the name comes through the code to the session, whichever way the
// request came, and from the next login on by itself.
func TestWhatTheUserCallsTheDeviceIsTheNameOfItsSession(t *testing.T) {
	b := start(t, "strict", nil)
	direct := "/oauth/authorize?" + authRequest(nil).Encode()
	pushed := func() string {
		got := b.do(formRequest("/oauth/par", authRequest(nil)))
		return "/oauth/authorize?" + url.Values{"client_id": {"cli"}, "request_uri": {got.field("request_uri").(string)}}.Encode()
	}
	password := []string{"username", "alice", "password", "secret", "action", "login"}
	u := b.visitor()
	assert.Equal(t, "Kitchen tablet", b.deviceOf(t, u.throughPages(t, direct, append(password, "device", " Kitchen\n tablet ")...)))
	assert.Equal(t, "Kitchen tablet", b.deviceOf(t, u.throughPages(t, direct)), "signed in already")
	u.open("/sessions").shows(t, "<h3>Kitchen tablet</h3>", "This browser, on Kitchen tablet")

	assert.Equal(t, "Büro", b.deviceOf(t, b.visitor().throughPages(t, pushed(), append(password, "device", "Büro")...)))
	assert.Equal(t, "phone", b.deviceOf(t, b.visitor().throughPages(t, direct, "as", "alice", "device", "phone")), "without a password")
	assert.Equal(t, "what the client says", b.deviceOf(t, b.visitor().throughPages(t, direct, password...)))
	long := b.deviceOf(t, b.visitor().throughPages(t, direct, append(password, "device", strings.Repeat("ü", 300))...))
	assert.Equal(t, strings.Repeat("ü", 100), long)
}

func TestTheLoginPageRemembersTheNameOfTheDevice(t *testing.T) {
	u := start(t, "strict", nil).visitor()
	proposed := func() string {
		body := u.open("/ui/login").Body.String()
		_, rest, ok := strings.Cut(body, `name="device" value="`)
		require.True(t, ok)
		name, _, _ := strings.Cut(rest, `"`)
		return name
	}
	assert.Empty(t, proposed())
	u.submit("/ui/login", "username", "alice", "password", "wrong", "device", "Büro; 1", "remember", "yes").shows(t, `value="Büro; 1"`, `value="yes" checked`)
	assert.Empty(t, proposed(), "that was no login")
	u.submit("/ui/login", "as", "alice", "device", "Büro; 1", "remember", "yes")
	u.submit("/ui/logout")
	assert.Equal(t, "Büro; 1", proposed())
	u.submit("/ui/login", "as", "alice")
	assert.Equal(t, "Büro; 1", proposed(), "a login that does not ask for it does not forget it")
	u.submit("/ui/login", "as", "alice", "device", "Büro; 1")
	assert.Empty(t, proposed())
	u.cookies["authtest_device"] = "%zz"
	assert.Empty(t, proposed())
}

// The name is that of the device with the browser, and not of the one whose
// code is typed there.
func TestADeviceThatIsConnectedIsNotNamedAfterTheBrowser(t *testing.T) {
	b := start(t, "strict", nil)
	u := b.visitor()
	u.submit("/ui/login", "as", "alice", "device", "laptop")
	device := b.do(formRequest("/oauth/device_authorization", url.Values{"client_id": {"cli"}, "scope": {"notes"}}))
	code := device.field("user_code").(string)
	assert.NotContains(t, b.visitor().open("/device?user_code="+code).Body.String(), `name="device"`)
	u.submit("/device", "user_code", code, "action", "approve").shows(t, "The device is signed in.")
	got := b.do(formRequest("/oauth/token", url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {"cli"},
		"device_code": {device.field("device_code").(string)}, "device": {"television"},
	}))
	assert.Equal(t, "television", b.deviceOf(t, got))
}
