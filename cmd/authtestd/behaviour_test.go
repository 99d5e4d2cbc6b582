package main_test

import (
	"encoding/base64"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	authtestd "github.com/seed-9a12f4e2/pawl/cmd/authtestd"
	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// The pair of RFC 7636, appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// code is one that -auto-approve agreed to.
func (p *program) code(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "curl", "-sS", "-o", "/dev/null", "-w", "%{redirect_url}",
		p.local()+"/oauth/authorize?response_type=code&client_id=cli&code_challenge_method=S256&code_challenge="+challenge+
			"&redirect_uri=http://127.0.0.1:8000/callback").Output()
	require.NoError(t, err)
	to, err := url.Parse(string(out))
	require.NoError(t, err)
	require.NotEmpty(t, to.Query().Get("code"), "%s", out)
	return to.Query().Get("code")
}

func TestEveryFlagReachesTheServer(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("s", 32)
	cfg, err := authtestd.Configured("-auto-approve", "alice", "-alg", "HS256", "-access-secret", secret, "-opaque",
		"-device-interval", "1s", "-dpop-nonces", "single-use", "-rate-limit", "ip=20/100ms", "-rate-limit", "client=2/1s",
		"-rate-limit", "session=3/1m", "-step-up", "5m", "-early-refresh", "30s", "-token-delay", "10ms", "-tell-expiry", "-insecure-cookie")
	require.NoError(t, err)
	assert.Equal(t, testserver.Config{
		AutoApprove: "alice", SigningAlgorithm: testserver.HS256, AccessSecret: []byte(secret), Access: testserver.OpaqueAccess,
		DeviceInterval: time.Second, DPoPNonces: testserver.SingleUseNonces, RateLimits: testserver.RateLimits{
			IP:     testserver.Rate{Burst: 20, Every: 100 * time.Millisecond},
			Client: testserver.Rate{Burst: 2, Every: time.Second}, Session: testserver.Rate{Burst: 3, Every: time.Minute},
		},
		SensitiveMaxAge: 5 * time.Minute, EarlyRefresh: 30 * time.Second, TokenDelay: 10 * time.Millisecond,
		TellExpiry: true, InsecureCookie: true,
	}, cfg)
}

func TestTokensAreSignedAsTheFlagSays(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	for _, alg := range []string{"RS256", "EdDSA", "HS256"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			p := run(t, "-alg", alg)
			tk := p.login(t)
			header, err := base64.RawURLEncoding.DecodeString(strings.Split(tk.AccessToken, ".")[0])
			require.NoError(t, err)
			assert.Contains(t, string(header), `"`+alg+`"`)
			status, _ := p.me(t, tk)
			assert.Equal(t, "200", status)
		})
	}
	assert.True(t, strings.HasPrefix(run(t, "-opaque").login(t).AccessToken, "at_"))
}

func TestAUserCanAgreeToEverythingUnasked(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	p := run(t, "-auto-approve", "alice", "-device-interval", "1s")
	body := p.ask(t, "200", "/oauth/token", "-d", "grant_type=authorization_code", "-d", "client_id=cli", "-d", "code="+p.code(t),
		"-d", "code_verifier="+verifier, "-d", "redirect_uri=http://127.0.0.1:8000/callback")
	assert.NotEmpty(t, field(t, body, "refresh_token"))
	body = p.ask(t, "200", "/oauth/device_authorization", "-d", "client_id=cli")
	assert.Contains(t, body, `"interval":1`)
	p.ask(t, "200", "/oauth/token", "-d", "grant_type=urn:ietf:params:oauth:grant-type:device_code", "-d", "client_id=cli",
		"-d", "device_code="+field(t, body, "device_code"))
}

func TestMoreIssuersShareTheProcessAndNothingElse(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	p := run(t, "-extra-issuer", "lenient:grace", "-extra-issuer", "other")
	lenient := p.url() + "/issuers/lenient"
	_, metadata := curl(t, lenient+"/.well-known/openid-configuration")
	assert.Equal(t, lenient, field(t, metadata, "issuer"))
	for url, again := range map[string]string{p.url(): "401", lenient: "200", p.url() + "/issuers/other": "401"} {
		tk := login(t, url)
		for _, want := range []string{"200", again} {
			status, _ := curl(t, url+"/refresh", "--json", `{"refreshToken":"`+tk.RefreshToken+`"}`)
			assert.Equal(t, want, status, url)
		}
	}
}

func TestARateLimitOfTheFlagIsKept(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	p := run(t, "-rate-limit", "ip=2/1h")
	tk := p.login(t)
	for _, want := range []string{"200", "429", "429"} {
		status, body := curl(t, p.url()+"/refresh", "--json", `{"refreshToken":"`+tk.RefreshToken+`"}`)
		require.Equal(t, want, status, body)
	}
}

func TestTheControlKeyCanBeChosen(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "my key", run(t, "-addr", "0.0.0.0:0", "-unsafe-listen", "-control-key", "my key").env["AUTHTEST_KEY"])
	assert.Equal(t, "my-key", run(t, "-control-key", "my-key").env["AUTHTEST_KEY"])
}
