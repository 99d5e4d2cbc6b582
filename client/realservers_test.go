package client_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// realAnswer is an answer of the token endpoint of a real server, recorded
// with placeholders for its tokens.
type realAnswer struct {
	Name   string
	Status int
	Header [][2]string
	Body   string
}

func (a realAnswer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	for _, field := range a.Header {
		w.Header().Add(field[0], field[1])
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write([]byte(a.Body))
}

func realAnswers(t testing.TB) []realAnswer {
	t.Helper()
	f, err := os.Open("testdata/answers.jsonl")
	require.NoError(t, err)
	defer f.Close()
	var all []realAnswer
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var a realAnswer
		require.NoError(t, json.Unmarshal(lines.Bytes(), &a))
		all = append(all, a)
	}
	require.NotEmpty(t, all)
	return all
}

func realAnswerNamed(t *testing.T, name string) realAnswer {
	t.Helper()
	all := realAnswers(t)
	i := slices.IndexFunc(all, func(a realAnswer) bool { return a.Name == name })
	require.GreaterOrEqual(t, i, 0, "no recorded answer %s", name)
	return all[i]
}

// refusals is what the recorded refusals mean; whatever is not here is a
// success.
var refusals = map[tokensource.Reason][]string{
	tokensource.ReasonRejected: {
		"better-auth-reuse-3s/12-reuse-after-grace", "dex/27-refresh-by-other-client", "django-oauth-toolkit-grace-3s/01-password-wrong",
		"fosite-grace-3s/13-newest-after-late-reuse", "node-oauth2-server/05-reuse-old-rt", "oidc-provider-dpop-nonce/13-dpop-refresh-without-proof",
	},
	tokensource.ReasonRefused: { // codes of their own, in members of their own
		"gotrue-apiversion/04-reuse-late", "gotrue-apiversion/05-newest-4s-after-late-reuse", "gotrue-apiversion/07-login-wrong",
		"gotrue-rtv2/42-refresh-<TOK1>", "gotrue-rtv2/44-refresh-form-encoded", "gotrue-session-timebox/03-refresh-past-hard-session-expiry",
		"oauth2-mock-server/36-unsupported-grant",
	},
	tokensource.ReasonClient: {
		"better-auth-dpop/13-refresh-no-proof", "oidc-provider-default-rotation/05-dpop-skew-3600",
		"better-auth-reuse-3s/42-unsupported-grant", "better-auth-reuse-3s/43-bad-client-secret", "better-auth-reuse-3s/44-cc-basic",
		"dex/38-unsupported-grant", "dex/39-bad-client-secret", "django-oauth-toolkit-grace-3s/41-unsupported-grant",
		"django-oauth-toolkit-grace-3s/42-bad-client-secret", "fosite-grace-3s/45-bad-client-secret", "mockoidc/26-bad-client-secret",
		"node-oauth2-server/25-unsupported-grant", "node-oauth2-server/26-bad-client-secret",
		"oidc-provider/35-cc-basic-wrong-secret", "oidc-provider/47-unsupported-grant",
	},
	tokensource.ReasonScope: {
		"better-auth-reuse-3s/34-refresh-scope-beyond-grant", "django-oauth-toolkit-grace-3s/33-refresh-scope-beyond-grant",
		"node-oauth2-server/17-refresh-scope-beyond-grant", "oidc-provider/21-refresh-up-scope",
	},
	tokensource.ReasonRequest: {
		"better-auth-reuse-3s/29-refresh-missing-token", "dex-device/02-pending", "dex-device/03-too-fast", "dex/03-password-grant-wrong",
		"dex/15-reuse-after-grace", // see OAuthConfig.Reasons
		"django-oauth-toolkit-grace-3s/28-refresh-missing-token", "fosite-grace-3s/44-unsupported-grant", "mockoidc/16-refresh-garbage",
		"mockoidc/17-refresh-missing-token", "node-oauth2-server/14-refresh-missing-token", "oidc-provider/48-missing-grant",
		"oidc-provider/52-device-poll-pending",
	},
	tokensource.ReasonRateLimited: {"better-auth-ratelimit/01-token-rate-limited", "gotrue-ratelimit/01-refresh-rate-limited"},
	tokensource.ReasonServer: {
		"django-oauth-toolkit-grace-3s/15-concurrent-0",                                    // the loser of a race
		"better-auth-dpop/01-dpop-code", "oidc-provider-default-rotation/07-dpop-skew-290", // token_type DPoP
	},
}

func TestAnswersOfRealServersAreJudgedAsWhatTheyAre(t *testing.T) {
	want := map[string]tokensource.Reason{}
	for reason, names := range refusals {
		for _, name := range names {
			want[name] = reason
		}
	}
	for _, a := range realAnswers(t) {
		t.Run(a.Name, func(t *testing.T) {
			srv := record(t, a.ServeHTTP)
			g, err := refresh(t, oauth(t, srv.URL))
			srv.only(t)
			reason, refused := want[a.Name]
			delete(want, a.Name)
			if !refused {
				require.NoError(t, err)
				assert.Contains(t, g.AccessToken.Reveal(), "<AT")
				return
			}
			e := facts(t, err)
			assert.Equal(t, reason.String(), e.Reason.String())
			assert.Equal(t, reason == tokensource.ReasonServer, e.Uncertain)
		})
	}
	assert.Empty(t, want, "expected, and not in testdata")
}

func TestALifetimeInNanosecondsIsNotBelieved(t *testing.T) {
	srv := record(t, realAnswerNamed(t, "mockoidc/02-tokens-1").ServeHTTP)
	g, err := refresh(t, oauth(t, srv.URL))
	require.NoError(t, err)
	assert.True(t, g.Expiry.IsZero(), "%v", g.Expiry)
}

func TestThePatienceThatBetterAuthAsksForInAHeaderOfItsOwnIsKept(t *testing.T) {
	srv := record(t, realAnswerNamed(t, "better-auth-ratelimit/01-token-rate-limited").ServeHTTP)
	_, err := refresh(t, oauth(t, srv.URL))
	assert.Greater(t, facts(t, err).RetryAfter, time.Duration(0))
}

func TestTheCodeOfAServerWithMembersOfItsOwnIsKept(t *testing.T) {
	srv := record(t, realAnswerNamed(t, "gotrue-session-timebox/03-refresh-past-hard-session-expiry").ServeHTTP)
	_, err := refresh(t, oauth(t, srv.URL))
	e := facts(t, err)
	assert.Equal(t, "session_expired", e.Code)
	assert.Equal(t, "Invalid Refresh Token: Session Expired", e.Description)
}
