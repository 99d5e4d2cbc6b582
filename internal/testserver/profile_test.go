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

// conduct is what a profile does in the situations that tell servers apart, and
// how its token endpoint words the refusal of a retired token.
type conduct struct {
	profile string
	// retry: a retired token at once; late: after 61 s; loser: of a race;
	// grandparent: two rotations later, within 5 s.
	first, retry, late, loser, grandparent testserver.Outcome
	status                                 int // of a refusal; zero: retired tokens are never refused
	body                                   string
}

func grant(description string) string {
	return `{"error":"invalid_grant","error_description":"` + description + `"}`
}

const bareGrant = `{"error":"invalid_grant"}`

func conducts() []conduct {
	const (
		rotated, reuse, refused = testserver.Rotated, testserver.ReuseDetected, testserver.ReplayRefused
		same, fork, replaced    = testserver.ReplayedSame, testserver.Forked, testserver.Replaced
		access, bad             = testserver.OnlyAccess, http.StatusBadRequest
	)
	ours := grant("refresh token already used")
	fosite := grant("The provided authorization grant (e.g., authorization code, resource owner credentials) " +
		"or refresh token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client. " +
		"The refresh token was already used. Refresh token re-use was detected. All related tokens have been revoked.")
	return []conduct{
		{"strict", rotated, reuse, reuse, reuse, reuse, bad, ours},
		{"grace", rotated, same, reuse, same, reuse, bad, ours},
		{"fapi2", rotated, same, same, same, reuse, bad, ours},
		{"firstparty", rotated, reuse, reuse, reuse, reuse, bad, ours},
		{"firstparty-no-rotation", access, access, access, access, access, 0, ""},
		{"non-rotating", access, access, access, access, access, 0, ""},
		{"hydra", rotated, reuse, reuse, testserver.RaceRetry, reuse, bad, fosite},
		{"hydra-grace", rotated, fork, reuse, fork, fork, bad, fosite},
		{"dex", rotated, same, reuse, same, reuse, bad,
			`{"error":"invalid_request","error_description":"Refresh token is invalid or has already been claimed by another client."}`},
		{"supabase", rotated, same, same, same, same, bad,
			`{"code":400,"error_code":"refresh_token_already_used","msg":"Invalid Refresh Token: Already Used"}`},
		{"better-auth", rotated, reuse, reuse, refused, reuse, bad, grant("invalid refresh token")},
		{"keycloak", rotated, reuse, reuse, reuse, reuse, bad, grant("Maximum allowed refresh token reuse exceeded")},
		{"auth0", rotated, fork, reuse, fork, reuse, http.StatusForbidden, grant("Unknown or invalid refresh token.")},
		{"okta", rotated, fork, reuse, fork, reuse, bad, grant("The refresh token is invalid or expired.")},
		{"cognito", rotated, fork, reuse, fork, reuse, bad, bareGrant},
		{"duende", rotated, refused, refused, refused, refused, bad, bareGrant},
		{"spring", rotated, refused, refused, replaced, refused, bad, bareGrant},
		{"mas", rotated, replaced, replaced, replaced, reuse, bad, bareGrant},
		{"wso2", rotated, replaced, reuse, replaced, reuse, bad, grant("Persisted access token data not found")},
		{"flowfuse", rotated, access, reuse, access, reuse, bad, ours},
		{"github", rotated, refused, refused, refused, refused, http.StatusOK,
			`{"error":"bad_refresh_token","error_description":"The refresh token passed is incorrect or expired."}`},
		{"entra-like", rotated, fork, fork, fork, fork, 0, ""},
		{"slack", rotated, refused, refused, refused, refused, http.StatusOK, `{"ok":false,"error":"invalid_refresh_token"}`},
	}
}

// present is a refresh as the profile's server wants it; JSON is asked for.
func present(p testserver.Profile) dialect {
	path := p.Wire.Path
	if path == "" {
		path = "/oauth/token"
	}
	return dialect{p.Name, func(token string) *http.Request {
		r := formRequest(path, refreshForm(token))
		if p.Wire.Body == testserver.BodyGoTrue {
			r = jsonRequest(path+"?grant_type=refresh_token", map[string]string{"refresh_token": token})
		}
		r.Header.Set("Accept", "application/json")
		return r
	}}
}

func TestEveryProfileDoesWhatItsServerIsKnownFor(t *testing.T) {
	for _, h := range conducts() {
		t.Run(h.profile, func(t *testing.T) {
			p, err := testserver.ProfileNamed(h.profile)
			require.NoError(t, err)
			d := present(p)
			h.situation(t, "a retry at once", d, h.retry, func(b bench, token string) answer {
				b.do(d.request(token))
				return b.do(d.request(token))
			})
			h.situation(t, "a late retry", d, h.late, func(b bench, token string) answer {
				b.do(d.request(token))
				b.Advance(61 * time.Second)
				return b.do(d.request(token))
			})
			h.situation(t, "the loser of a race", d, h.loser, func(b bench, token string) answer {
				winner, loser := inOrderBy(t, b, d, token, nil)
				assert.Equal(t, h.first, winner.outcome())
				return loser
			})
			h.situation(t, "a grandparent", d, h.grandparent, func(b bench, token string) answer {
				_, child := b.do(d.request(token)).tokens()
				b.Advance(4 * time.Second) // some hold a token that is younger
				if child != "" {
					require.Equal(t, testserver.Rotated, b.do(d.request(child)).outcome())
				}
				return b.do(d.request(token))
			})
		})
	}
}

// situation checks one answer, and its words where they are those of the row.
func (h conduct) situation(t *testing.T, name string, d dialect, want testserver.Outcome, arrange func(bench, string) answer) {
	t.Helper()
	b := start(t, h.profile, nil)
	token := b.login(t).Refresh
	b.Advance(4 * time.Second)
	got := arrange(b, token)
	require.Equal(t, want, got.outcome(), name)
	switch want {
	case testserver.ReuseDetected, testserver.ReplayRefused:
		assert.Equal(t, h.status, got.Code, name)
		assert.JSONEq(t, h.body, got.Body.String(), name)
	case testserver.RaceRetry:
		assert.Equal(t, http.StatusBadRequest, got.Code)
		assert.Equal(t, "invalid_request", got.field("error"))
		assert.Contains(t, got.field("error_description"), "Please retry the request.")
	default:
		assert.Equal(t, http.StatusOK, got.Code, name)
		access, _ := got.tokens()
		assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code, name)
	}
}

func TestEveryProfileHasItsConductTestedAndItsSourceNamed(t *testing.T) {
	var tested, listed []string
	for _, h := range conducts() {
		tested = append(tested, h.profile)
	}
	for _, p := range testserver.Profiles() {
		listed = append(listed, p.Name)
		assert.NotEmpty(t, p.About, p.Name)
		if p.Approximate {
			assert.Contains(t, p.About, "Approximation", p.Name)
		}
		named, err := testserver.ProfileNamed(p.Name)
		require.NoError(t, err)
		assert.Equal(t, p, named)
	}
	assert.Equal(t, listed, tested)
}

func TestAProfileAddsTheMembersOfItsServer(t *testing.T) {
	for name, want := range map[string]map[string]any{
		"keycloak":   {"refresh_expires_in": 7200., "not-before-policy": 0., "token_type": "Bearer"},
		"github":     {"refresh_token_expires_in": 7200., "token_type": "bearer"},
		"supabase":   {"expires_at": 1767323045. + 900, "user": map[string]any{"id": "alice", "aud": "authenticated", "role": ""}},
		"slack":      {"ok": true, "token_type": "bot"},
		"entra-like": {"ext_expires_in": 900.},
	} {
		p, err := testserver.ProfileNamed(name)
		require.NoError(t, err)
		b := start(t, name, func(c *testserver.Config) { c.IdleTTL = 2 * time.Hour })
		got := b.do(present(p).request(b.login(t).Refresh))
		for member, value := range want {
			assert.Equal(t, value, got.field(member), "%s: %s", name, member)
		}
	}
	b := start(t, "keycloak", nil)
	tokens := b.login(t)
	assert.Equal(t, tokens.Session, b.refresh(tokens.Refresh).field("session_state"))
}

func TestTheEndsOfTokenAndSessionAreToldIfAskedFor(t *testing.T) {
	b := start(t, "strict", func(c *testserver.Config) { c.TellExpiry, c.IdleTTL = true, time.Hour })
	token := b.login(t).Refresh
	b.Advance(time.Minute)
	got := b.refresh(token)
	assert.EqualValues(t, 3600, got.field("refresh_token_timeout"))
	assert.EqualValues(t, 7*24*3600-60, got.field("authorization_expires_in"))
}

func TestGitHubAnswersInFormsUnlessJSONIsAskedFor(t *testing.T) {
	b := start(t, "github", nil)
	token := b.login(t).Refresh
	ask := func() answer { return b.do(formRequest("/login/oauth/access_token", refreshForm(token))) }
	got := ask()
	assert.Equal(t, "application/x-www-form-urlencoded; charset=utf-8", got.Header().Get("Content-Type"))
	values, err := url.ParseQuery(got.Body.String())
	require.NoError(t, err)
	assert.Equal(t, "900", values.Get("expires_in"))
	assert.Equal(t, http.StatusOK, b.get("/api/me", values.Get("access_token")).Code)

	got = ask()
	assert.Equal(t, http.StatusOK, got.Code)
	assert.Equal(t, testserver.ReplayRefused, got.outcome())
	assert.Equal(t, "error=bad_refresh_token&error_description=The+refresh+token+passed+is+incorrect+or+expired.", got.Body.String())
	assert.Equal(t, []string{testserver.RefreshReused}, b.rules(), "the answer counts as delivered")
}

func TestSupabaseTakesItsGrantsAsJSON(t *testing.T) {
	b := start(t, "supabase", nil)
	login := func(password string) answer {
		return b.do(jsonRequest("/token?grant_type=password", map[string]string{"email": "alice", "password": password}))
	}
	got := login("secret")
	require.Equal(t, http.StatusOK, got.Code)
	_, refresh := got.tokens()
	assert.Equal(t, testserver.Rotated, b.refresh(refresh).outcome(), "it is a session like any other")

	for _, c := range []struct {
		got  answer
		code string
	}{
		{login("wrong"), "invalid_credentials"},
		{b.do(jsonRequest("/token?grant_type=magic", nil)), "invalid_credentials"},
		{b.do(request(http.MethodPost, "/token?grant_type=password", "application/json", "{")), "bad_json"},
		{b.do(request(http.MethodPost, "/token?grant_type=password", "application/json", strings.Repeat(" ", 1<<20+1))), "invalid_request"},
	} {
		assert.GreaterOrEqual(t, c.got.Code, http.StatusBadRequest)
		assert.Equal(t, c.code, c.got.field("error_code"))
		assert.Equal(t, c.code, c.got.Header().Get("X-Sb-Error-Code"))
		assert.EqualValues(t, c.got.Code, c.got.field("code"))
	}
}

func TestARefusalIsHeardInWhateverWordsItCame(t *testing.T) {
	for _, name := range []string{"strict", "supabase", "github", "slack"} {
		p, err := testserver.ProfileNamed(name)
		require.NoError(t, err)
		b := start(t, name, nil)
		for range 2 {
			r := present(p).request("rt_garbage")
			r.Header.Del("Accept")
			b.do(r)
		}
		assert.Equal(t, []string{testserver.RefreshAfterEnd}, b.rules(), name)
	}
}

func TestALoserThatWaitedTooLongIsToldSoInTheWordsOfItsServer(t *testing.T) {
	for name, want := range map[string]cell{
		"supabase": {http.StatusConflict, `{"code":409,"error_code":"conflict","msg":"Too many concurrent token refresh requests on the same session or refresh token"}`},
		"dex":      {http.StatusInternalServerError, `{"error":"invalid_request"}`},
	} {
		p, err := testserver.ProfileNamed(name)
		require.NoError(t, err)
		b := start(t, name, nil)
		token := b.login(t).Refresh
		b.Advance(4 * time.Second)
		_, loser := inOrderBy(t, b, present(p), token, func() { b.Advance(5 * time.Second) })
		assert.Equal(t, want.status, loser.Code)
		assert.JSONEq(t, want.body, loser.Body.String())
	}
}

func TestAProfilesPathIsServedByThatProfileAlone(t *testing.T) {
	path := "/realms/test/protocol/openid-connect/token"
	b := start(t, "keycloak", nil)
	assert.Equal(t, testserver.Rotated, b.do(formRequest(path, refreshForm(b.login(t).Refresh))).outcome())
	assert.Equal(t, http.StatusNotFound, b.get(path, "").Code)
	other := start(t, "strict", nil)
	assert.Equal(t, http.StatusNotFound, other.do(formRequest(path, refreshForm(other.login(t).Refresh))).Code)
}

func TestTheFirstPartyDialectKeepsItsOwnWordsUnderEveryProfile(t *testing.T) {
	for _, p := range testserver.Profiles() {
		b := start(t, p.Name, nil)
		got := b.do(firstParty("/refresh").request("garbage"))
		assert.Equal(t, http.StatusUnauthorized, got.Code, p.Name)
		assert.JSONEq(t, invalidRefresh, got.Body.String(), p.Name)
	}
}

func TestTheProfileCanBeSwitchedUnderARunningSession(t *testing.T) {
	b := start(t, "grace", nil)
	parent := b.login(t).Refresh
	_, child := b.refresh(parent).tokens()
	assert.Equal(t, testserver.ReplayedSame, b.refresh(parent).outcome())
	for _, step := range []struct {
		profile string
		outcome testserver.Outcome
		status  int
	}{
		{"okta", testserver.Forked, http.StatusOK},
		{"duende", testserver.ReplayRefused, http.StatusBadRequest},
		{"github", testserver.ReplayRefused, http.StatusOK},
		{"auth0", testserver.Forked, http.StatusOK},
		{"keycloak", testserver.ReuseDetected, http.StatusBadRequest},
	} {
		p, err := testserver.ProfileNamed(step.profile)
		require.NoError(t, err)
		b.SetProfile(p)
		assert.Equal(t, p, b.Profile())
		d := present(p)
		got := b.do(d.request(parent))
		assert.Equal(t, step.outcome, got.outcome(), step.profile)
		assert.Equal(t, step.status, got.Code, step.profile)
	}
	assert.Equal(t, testserver.SessionRevoked, b.refresh(child).outcome())
}
