package authtest_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

func refreshing(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {token}}
}

func TestTheLimitsOfTheConfigAreKept(t *testing.T) {
	srv := authtest.NewPipe(t, authtest.Config{RateLimits: authtest.RateLimits{
		Session: authtest.Rate{Every: time.Minute}, RetryAfterDate: true, Body: "slow down", ContentType: "text/plain",
	}})
	tokens := srv.Login("alice", "laptop")
	status, body := postAs(t, srv.Client(), srv.URL()+"/oauth/token", refreshing(tokens.RefreshToken))
	require.Equal(t, http.StatusOK, status)
	resp, err := srv.Client().PostForm(srv.URL()+"/oauth/token", refreshing(body["refresh_token"].(string)))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	assert.Equal(t, "text/plain", resp.Header.Get("Content-Type"))
	_, err = http.ParseTime(resp.Header.Get("Retry-After"))
	require.NoError(t, err)
	srv.Advance(time.Minute)
	status, _ = postAs(t, srv.Client(), srv.URL()+"/oauth/token", refreshing(body["refresh_token"].(string)))
	assert.Equal(t, http.StatusOK, status)
}

func TestAnOpaqueTokenCanBeRevokedByHand(t *testing.T) {
	srv := authtest.NewPipe(t, authtest.Config{Access: authtest.OpaqueAccess})
	tokens := srv.Login("alice", "laptop")
	assert.True(t, strings.HasPrefix(tokens.AccessToken, "at_"))
	require.Equal(t, http.StatusOK, me(t, srv.Client(), srv.URL(), tokens.AccessToken))
	srv.RevokeAccessToken(tokens.AccessToken)
	assert.Equal(t, http.StatusUnauthorized, me(t, srv.Client(), srv.URL(), tokens.AccessToken))
}

func TestASuspiciousUseIsLoggedWithoutItsToken(t *testing.T) {
	var log bytes.Buffer // written before the answer, and no answer is awaited at once with another
	srv := authtest.NewPipe(t, authtest.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	tokens := srv.Login("alice", "laptop")
	for range 2 {
		postAs(t, srv.Client(), srv.URL()+"/oauth/token", refreshing(tokens.RefreshToken))
	}
	srv.Close() // nothing writes any more
	assert.Contains(t, log.String(), authtest.LogRefused)
	assert.Contains(t, log.String(), authtest.LogSuspicious)
	assert.Contains(t, log.String(), "reason="+string(authtest.SuspectReuse))
	assert.NotContains(t, log.String(), tokens.RefreshToken)
}

func TestASecurityConfigThatMakesNoSenseIsAnError(t *testing.T) {
	for name, cfg := range map[string]authtest.Config{
		"a method without what it needs": {Clients: []authtest.Client{{ID: "cli", Auth: authtest.PrivateKeyJWT}}},
		"a burst without a rate":         {RateLimits: authtest.RateLimits{IP: authtest.Rate{Burst: 3}}},
		"a mode that there is not":       {DPoPNonces: 9},
		"an issuer without keys":         {AssertionIssuers: []authtest.AssertionIssuer{{Issuer: "https://idp.test"}}},
		"a negative age":                 {SensitiveMaxAge: -time.Second},
	} {
		srv, err := authtest.NewServer(cfg)
		if assert.Error(t, err, name) {
			continue
		}
		srv.Close()
	}
}
