package testserver_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

func (b bench) device(t *testing.T) (deviceCode, userCode string) {
	t.Helper()
	a := b.do(formRequest("/oauth/device_authorization", url.Values{"client_id": {"cli"}, "scope": {"openid notes"}}))
	require.Equal(t, http.StatusOK, a.Code, a.Body.String())
	return a.field("device_code").(string), a.field("user_code").(string)
}

func (b bench) poll(deviceCode string) answer {
	return b.do(formRequest("/oauth/token", url.Values{
		"grant_type": {deviceGrant}, "client_id": {"cli"}, "device_code": {deviceCode},
	}))
}

func TestADeviceIsToldWhatItNeeds(t *testing.T) {
	b := start(t, "strict", func(c *testserver.Config) { c.DeviceInterval = 2 * time.Second })
	a := b.do(formRequest("/oauth/device_authorization", url.Values{"client_id": {"cli"}}))
	require.Equal(t, http.StatusOK, a.Code)
	assert.Equal(t, "no-store", a.Header().Get("Cache-Control"))
	user := a.field("user_code").(string)
	assert.Regexp(t, regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`), user)
	assert.Equal(t, issuer+"/device", a.field("verification_uri"))
	assert.Equal(t, issuer+"/device?user_code="+user, a.field("verification_uri_complete"))
	assert.EqualValues(t, 600, a.field("expires_in"))
	assert.EqualValues(t, 2, a.field("interval"))
}

func TestADevicePollsUntilItsUserDecides(t *testing.T) {
	b := start(t, "strict", nil)
	code, user := b.device(t)
	assert.Equal(t, "authorization_pending", b.poll(code).field("error"))
	b.Advance(5 * time.Second)
	assert.Equal(t, "authorization_pending", b.poll(code).field("error"))
	require.NoError(t, b.ApproveDevice(t.Context(), strings.ToLower(strings.ReplaceAll(user, "-", " ")), "alice"))
	b.Advance(5 * time.Second)
	a := b.poll(code)
	require.Equal(t, http.StatusOK, a.Code, a.Body.String())
	access, refresh := a.tokens()
	assert.Equal(t, "openid notes", a.field("scope"))
	assert.Equal(t, "alice", part(t, a.field("id_token").(string), 1)["sub"])
	assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
	assert.Equal(t, http.StatusOK, b.refresh(refresh).Code)

	b.Advance(5 * time.Second)
	assert.Equal(t, "invalid_grant", b.poll(code).field("error"), "good for one session")
}

func TestADeviceThatPollsTooSoonIsSlowedDownEachTime(t *testing.T) {
	b := start(t, "strict", nil)
	code, user := b.device(t)
	require.NoError(t, b.ApproveDevice(t.Context(), user, "alice"))
	require.Equal(t, http.StatusOK, b.poll(code).Code, "the first poll is never too soon")

	code, user = b.device(t)
	b.poll(code)
	require.NoError(t, b.ApproveDevice(t.Context(), user, "alice"))
	for _, wait := range []time.Duration{4 * time.Second, 9 * time.Second, 14 * time.Second} {
		b.Advance(wait)
		a := b.poll(code)
		assert.Equal(t, http.StatusBadRequest, a.Code)
		assert.Equal(t, "slow_down", a.field("error"), "after %v", wait)
	}
	b.Advance(20 * time.Second)
	assert.Equal(t, http.StatusOK, b.poll(code).Code)
}

func TestADeviceIsToldOfANo(t *testing.T) {
	b := start(t, "strict", nil)
	code, user := b.device(t)
	require.NoError(t, b.DenyDevice(t.Context(), user))
	assert.Equal(t, "access_denied", b.poll(code).field("error"))
	assert.Error(t, b.ApproveDevice(t.Context(), user, "alice"), "a no is final")
}

func TestADeviceCodeExpires(t *testing.T) {
	b := start(t, "strict", nil)
	code, user := b.device(t)
	b.Advance(10 * time.Minute)
	assert.Equal(t, "expired_token", b.poll(code).field("error"))
	assert.Error(t, b.ApproveDevice(t.Context(), user, "alice"))
}

func TestADeviceIsApprovedAtOnceForTests(t *testing.T) {
	b := start(t, "strict", approving)
	code, _ := b.device(t)
	assert.Equal(t, http.StatusOK, b.poll(code).Code)
}

func TestOfTwoPollsAtOnceOneGetsTheSession(t *testing.T) {
	b := start(t, "strict", approving)
	for range 10 {
		code, _ := b.device(t)
		assert.EqualValues(t, 1, tellWinners(func() bool { return b.poll(code).Code == http.StatusOK }))
	}
}

func TestADeviceCodeIsItsClientsAlone(t *testing.T) {
	b := start(t, "strict", approving)
	code, _ := b.device(t)
	a := b.do(formRequest("/oauth/token", url.Values{"grant_type": {deviceGrant}, "client_id": {"other"}, "device_code": {code}}))
	assert.Equal(t, "invalid_grant", a.field("error"))
	assert.Equal(t, http.StatusOK, b.poll(code).Code, "and still good")
}

func TestABadDeviceRequestIsRefused(t *testing.T) {
	b := start(t, "strict", nil)
	for want, form := range map[string]url.Values{
		"invalid_client": {"client_id": {"nobody"}},
		"invalid_scope":  {"client_id": {"cli"}, "scope": {`"`}},
		"invalid_target": {"client_id": {"cli"}, "resource": {"https://elsewhere.example"}},
	} {
		assert.Equal(t, want, b.do(formRequest("/oauth/device_authorization", form)).field("error"))
	}
	assert.Equal(t, "invalid_request", b.poll("").field("error"))
	assert.Equal(t, "invalid_grant", b.poll("dc_forged").field("error"))
	for _, typed := range []string{"", "BBBB", "AAAA-AAAA", "BBBB-BBBB", strings.Repeat("B", 99), "BBBB-BBB\x00"} {
		assert.Error(t, b.ApproveDevice(t.Context(), typed, "alice"), typed)
	}
	_, user := b.device(t)
	assert.ErrorIs(t, b.ApproveDevice(t.Context(), user, "nobody"), testserver.ErrLoginNeeded)
}

func TestALockedOutUserGetsNoDeviceSession(t *testing.T) {
	b := start(t, "strict", nil)
	code, user := b.device(t)
	require.NoError(t, b.ApproveDevice(t.Context(), user, "alice"))
	require.NoError(t, b.DisableUser("alice"))
	assert.Equal(t, "invalid_grant", b.poll(code).field("error"))
}
