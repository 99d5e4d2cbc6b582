package testserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func stepUpPath(acr, maxAge string) string {
	return "/api/stepup?" + url.Values{"acr": {acr}, "max_age": {maxAge}}.Encode()
}

func TestAStepUpIsMetByAFreshAndStrongLogin(t *testing.T) {
	for _, profile := range []string{"strict", "firstparty"} {
		b := start(t, profile, nil)
		weak, _ := b.do(jsonRequest("/login", map[string]string{"username": "alice", "password": "secret"})).tokens()
		strong, _ := b.do(jsonRequest("/login", map[string]string{"username": "alice", "password": "secret", "otp": "123456"})).tokens()
		b.Advance(30 * time.Second)
		for name, c := range map[string]struct {
			access, acr, age string
			good             bool
		}{
			"strong and fresh, as it is without parameters": {strong, "", "", true},
			"weak":                          {weak, "", "", false},
			"weak where it is enough":       {weak, testserver.ACRPassword, "", true},
			"either":                        {weak, testserver.ACRStrong + " " + testserver.ACRPassword, "", true},
			"one that nobody has":           {strong, "urn:example:iris", "", false},
			"fresh enough":                  {weak, "", "30", true},
			"a second too old":              {weak, "", "29", false},
			"strong, but too old":           {strong, testserver.ACRStrong, "10", false},
			"a login at this very moment":   {strong, "", "0", false},
			"any age where none is asked":   {strong, testserver.ACRStrong, "", true},
			"older than a client can count": {strong, "", "2147483647", true},
		} {
			got := b.get(stepUpPath(c.acr, c.age), c.access)
			switch {
			case c.good:
				assert.Equal(t, http.StatusOK, got.Code, name)
			case profile == "firstparty":
				assert.Equal(t, http.StatusForbidden, got.Code, name)
				assert.Equal(t, "Re-authentication required", got.field("message"), name)
			default:
				assert.Equal(t, http.StatusUnauthorized, got.Code, name)
			}
		}
	}
}

// RFC 9470 3: the challenge repeats what is asked for.
func TestAStepUpSaysWhatItWants(t *testing.T) {
	b := start(t, "strict", nil)
	access := b.login(t).Access
	for path, want := range map[string]string{
		"/api/stepup":                        `, acr_values="urn:authtest:strong", max_age="60"`,
		stepUpPath(testserver.ACRStrong, ""): `, acr_values="urn:authtest:strong"`,
		stepUpPath("a b", "5"):               `, acr_values="a b", max_age="5"`,
		stepUpPath(testserver.ACRStrong+"  "+"urn:example:iris", ""): `, acr_values="urn:authtest:strong urn:example:iris"`,
	} {
		got := b.get(path, access)
		require.Equal(t, http.StatusUnauthorized, got.Code)
		challenge, _, _ := strings.Cut(got.Header().Get("WWW-Authenticate"), ", resource_metadata=")
		assert.Equal(t, `Bearer realm="authtest", error="insufficient_user_authentication", error_description="Re-authentication required"`+want, challenge)
	}
	for _, path := range []string{
		stepUpPath(`a"b`, ""), stepUpPath("a\\b", ""), stepUpPath("ä", ""), stepUpPath("a\r\nb: c\x00", ""),
		stepUpPath("", "-1"), stepUpPath("", "soon"), stepUpPath("", "99999999999999999999"),
	} {
		assert.Equal(t, http.StatusBadRequest, b.get(path, access).Code, path)
	}
}

func TestARefreshIsNoLogin(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	b.Advance(time.Minute)
	access, _ := b.refresh(tokens.Refresh).tokens()
	assert.Equal(t, http.StatusUnauthorized, b.get(stepUpPath("", "30"), access).Code)
	assert.Equal(t, http.StatusOK, b.get(stepUpPath("", "60"), access).Code)
}

func TestAMachineCannotStepUp(t *testing.T) {
	b := start(t, "strict", nil)
	machine, _ := b.do(formRequest(tokenPath, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {serviceID}, "client_secret": {serviceSecret}})).tokens()
	assert.Equal(t, http.StatusUnauthorized, b.get(stepUpPath("", "1000"), machine).Code)
}

func TestReauthenticationMakesTheSessionFresh(t *testing.T) {
	b := start(t, "firstparty", nil)
	tokens := b.login(t)
	b.Advance(5 * time.Minute)
	again := func(body map[string]string) answer {
		return b.do(withBearer(jsonRequest("/reauthenticate", body), tokens.Access))
	}
	got := again(map[string]string{"password": "guess", "otp": "123456"})
	assert.Equal(t, http.StatusUnauthorized, got.Code)
	assert.Equal(t, "Invalid credentials", got.field("error"))
	assert.Equal(t, http.StatusUnauthorized, b.do(jsonRequest("/reauthenticate", map[string]string{"password": "secret"})).Code, "without a token")

	got = again(map[string]string{"password": "secret", "otp": "123456"})
	require.Equal(t, http.StatusOK, got.Code)
	access, refresh := got.tokens()
	assert.Empty(t, refresh, "the refresh token stays what it was")
	assert.Equal(t, http.StatusOK, b.get("/api/stepup", access).Code)
	assert.Equal(t, http.StatusForbidden, b.get("/api/stepup", tokens.Access).Code, "the old token is no fresher")

	// The session is: what it issues next says so.
	access, _ = b.do(firstParty("/refresh").request(tokens.Refresh)).tokens()
	assert.Equal(t, http.StatusOK, b.get("/api/stepup", access).Code)
	assert.Equal(t, http.StatusOK, b.get("/api/me", tokens.Access).Code)
}

func TestSensitiveActionsCanAskForAFreshLogin(t *testing.T) {
	b := start(t, "strict", func(c *testserver.Config) { c.SensitiveMaxAge = time.Minute })
	here, there := b.login(t), b.login(t)
	b.Advance(2 * time.Minute)
	for _, got := range []answer{
		b.as(http.MethodDelete, "/sessions/"+there.Session, here.Access),
		b.do(withBearer(jsonRequest("/logout-all", nil), here.Access)),
	} {
		assert.Equal(t, http.StatusUnauthorized, got.Code)
		assert.Contains(t, got.Header().Get("WWW-Authenticate"), `insufficient_user_authentication`)
		assert.Contains(t, got.Header().Get("WWW-Authenticate"), `max_age="60"`)
	}
	assert.Equal(t, http.StatusOK, b.get("/sessions", here.Access).Code, "looking is not sensitive")
	fresh := b.login(t)
	assert.Equal(t, http.StatusNoContent, b.as(http.MethodDelete, "/sessions/"+there.Session, fresh.Access).Code)
}
