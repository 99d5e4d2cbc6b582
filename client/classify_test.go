package client_test

import (
	"cmp"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

const (
	again  = "again"
	login  = "login"
	config = "config"
)

var classes = map[string]error{
	again: tokensource.ErrTryAgain, login: tokensource.ErrLoginRequired, config: tokensource.ErrConfig,
}

// judged is an answer and what it has to mean.
type judged struct {
	name        string
	status      int
	contentType string // empty: application/json
	header      http.Header
	body        string
	class       string
	reason      tokensource.Reason
	uncertain   bool
}

const html = "<!doctype html><html><title>Nope</title></html>"

// oauthAnswers are the rows of the table in classify.go, with the servers that
// send such answers where one is known.
var oauthAnswers = []judged{
	// success is in TestEverySuccessIsRead
	{"temporarily_unavailable", 400, "", nil, `{"error":"temporarily_unavailable"}`, again, tokensource.ReasonServer, true},
	{"server_error", 400, "", nil, `{"error":"server_error"}`, again, tokensource.ReasonServer, true},
	{"server_error in a 200", 200, "", nil, `{"error":"server_error"}`, again, tokensource.ReasonServer, true},

	{"invalid_grant", 400, "", nil, `{"error":"invalid_grant"}`, login, tokensource.ReasonRejected, false},
	{"invalid_grant with 401", 401, "", nil, `{"error":"invalid_grant"}`, login, tokensource.ReasonRejected, false},
	{"invalid_grant with 403, Atlassian", 403, "", nil, `{"error":"invalid_grant"}`, login, tokensource.ReasonRejected, false},
	{"invalid_grant with 404", 404, "", nil, `{"error":"invalid_grant"}`, login, tokensource.ReasonRejected, false},
	{"invalid_grant in a 200", 200, "", nil, `{"error":"invalid_grant"}`, login, tokensource.ReasonRejected, false},
	{"invalid_grant in a form", 400, "application/x-www-form-urlencoded", nil, `error=invalid_grant&error_description=gone`, login, tokensource.ReasonRejected, false},
	{"invalid_grant sent as text", 400, "text/plain", nil, `{"error":"invalid_grant"}`, login, tokensource.ReasonRejected, false},
	{"invalid_grant after a byte order mark", 400, "", nil, "\xef\xbb\xbf" + `{"error":"invalid_grant"}`, login, tokensource.ReasonRejected, false},
	{"error twice, the last counts", 400, "", nil, `{"error":"invalid_request","error":"invalid_grant"}`, login, tokensource.ReasonRejected, false},
	{"unknown members", 400, "", nil, `{"error":"invalid_grant","error_codes":[70008],"nested":{"error":"x"}}`, login, tokensource.ReasonRejected, false},

	{"use_dpop_nonce", 400, "", http.Header{"Dpop-Nonce": {"n"}}, `{"error":"use_dpop_nonce"}`, config, tokensource.ReasonClient, false},
	{"invalid_dpop_proof", 400, "", nil, `{"error":"invalid_dpop_proof"}`, config, tokensource.ReasonClient, false},

	{"invalid_client", 401, "", nil, `{"error":"invalid_client"}`, config, tokensource.ReasonClient, false},
	{"unauthorized_client", 400, "", nil, `{"error":"unauthorized_client"}`, config, tokensource.ReasonClient, false},
	{"unsupported_grant_type", 400, "", nil, `{"error":"unsupported_grant_type"}`, config, tokensource.ReasonClient, false},
	{"invalid_scope", 400, "", nil, `{"error":"invalid_scope"}`, config, tokensource.ReasonScope, false},
	{"invalid_target", 400, "", nil, `{"error":"invalid_target"}`, config, tokensource.ReasonResource, false},

	{"invalid_request", 400, "", nil, `{"error":"invalid_request"}`, config, tokensource.ReasonRequest, false},
	{"a code that is not known", 400, "", nil, `{"error":"insufficient_authorization"}`, config, tokensource.ReasonRequest, false},
	{"a code that is not known in a 200, Slack", 200, "", nil, `{"ok":false,"error":"invalid_refresh_token"}`, config, tokensource.ReasonRequest, false},

	{"HTML with 200, a captive portal", 200, "text/html", nil, html, again, tokensource.ReasonServer, true},
	{"an empty 200", 200, "", nil, "", again, tokensource.ReasonServer, true},
	{"204", 204, "", nil, "", again, tokensource.ReasonServer, true},
	{"JSON without a token", 200, "", nil, `{"refresh_token":"x"}`, again, tokensource.ReasonServer, true},
	{"JSON that is no object", 200, "", nil, `["access_token"]`, again, tokensource.ReasonServer, true},
	{"an empty access token", 200, "", nil, `{"access_token":""}`, again, tokensource.ReasonServer, true},
	{"an access token that fits no header", 200, "", nil, `{"access_token":"a\r\nSet-Cookie: b"}`, again, tokensource.ReasonServer, true},
	{"a token of type N_A", 200, "", nil, `{"access_token":"a","token_type":"N_A"}`, again, tokensource.ReasonServer, true},
	{"a token of type DPoP", 200, "", nil, `{"access_token":"a","token_type":"DPoP"}`, again, tokensource.ReasonServer, true},
	{"a token of type mac", 200, "", nil, `{"access_token":"a","token_type":"mac"}`, again, tokensource.ReasonServer, true},
	{"JSON that ends early in a whole body", 200, "", nil, `{"access_token":"a","refresh_to`, again, tokensource.ReasonLost, true},

	{"304", 304, "", nil, "", config, tokensource.ReasonEndpoint, false},
	{"404 in HTML", 404, "text/html", nil, html, config, tokensource.ReasonEndpoint, false},
	{"404 in JSON", 404, "", nil, `{"message":"no such route"}`, config, tokensource.ReasonEndpoint, false},
	{"405", 405, "text/plain", nil, "Method Not Allowed", config, tokensource.ReasonEndpoint, false},
	{"410", 410, "", nil, "", config, tokensource.ReasonEndpoint, false},
	{"415", 415, "", nil, "", config, tokensource.ReasonEndpoint, false},
	{"501", 501, "", nil, "", config, tokensource.ReasonEndpoint, false},

	{"429", 429, "", nil, "", again, tokensource.ReasonRateLimited, false},
	{"429 in HTML", 429, "text/html", nil, html, again, tokensource.ReasonRateLimited, false},
	{"429 with a code", 429, "", nil, `{"error":"temporarily_unavailable"}`, again, tokensource.ReasonRateLimited, false},
	{"429 with a code of its own", 429, "", nil, `{"error":"slow_down"}`, again, tokensource.ReasonRateLimited, false},
	{"503 with Retry-After", 503, "", http.Header{"Retry-After": {"7"}}, "", again, tokensource.ReasonBusy, false},
	{"503 with a Retry-After that says nothing", 503, "", http.Header{"Retry-After": {"soon"}}, "", again, tokensource.ReasonServer, true},

	{"408", 408, "text/html", nil, html, again, tokensource.ReasonServer, true},
	{"425", 425, "", nil, `{"error":"too_early"}`, again, tokensource.ReasonServer, true},
	{"409, the loser of a race", 409, "", nil, `{"code":"conflict"}`, again, tokensource.ReasonServer, true},
	{"500 in HTML, django-oauth-toolkit", 500, "text/html", nil, html, again, tokensource.ReasonServer, true},
	{"500 with a code, Dex", 500, "", nil, `{"error":"invalid_request"}`, again, tokensource.ReasonServer, true},
	{"500 with invalid_grant", 500, "", nil, `{"error":"invalid_grant"}`, again, tokensource.ReasonServer, true},
	{"502", 502, "text/html", nil, html, again, tokensource.ReasonServer, true},
	{"503", 503, "", nil, "", again, tokensource.ReasonServer, true},
	{"504", 504, "", nil, "", again, tokensource.ReasonServer, true},
	{"a status that HTTP does not know", 799, "", nil, "", again, tokensource.ReasonServer, true},

	{"400 in HTML", 400, "text/html", nil, html, again, tokensource.ReasonIntercepted, false},
	{"401 as text", 401, "text/plain", nil, "unauthorized", again, tokensource.ReasonIntercepted, false},
	{"403 in HTML, a firewall", 403, "text/html", nil, html, again, tokensource.ReasonIntercepted, false},
	{"403 as text that begins like JSON", 403, "text/plain", nil, `[firewall] blocked`, again, tokensource.ReasonIntercepted, false},
	{"403 as a letter that begins like JSON", 403, "text/plain", nil, `n`, again, tokensource.ReasonIntercepted, false},
	{"403 in JSON without a code", 403, "", nil, `{"message":"blocked"}`, again, tokensource.ReasonIntercepted, false},
	{"403 empty", 403, "", nil, "", again, tokensource.ReasonIntercepted, false},
	{"407", 407, "", nil, "", again, tokensource.ReasonIntercepted, false},
	{"451 in HTML", 451, "text/html", nil, html, again, tokensource.ReasonIntercepted, false},

	{"an empty 400", 400, "", nil, "", login, tokensource.ReasonRefused, false},
	{"an empty 401", 401, "", nil, "", login, tokensource.ReasonRefused, false},
	{"400 in JSON without a code, GoTrue", 400, "", nil, `{"code":400,"error_code":"refresh_token_already_used"}`, login, tokensource.ReasonRefused, false},
	{"an error that is an object", 400, "", nil, `{"error":{"code":"invalid_grant"}}`, login, tokensource.ReasonRefused, false},
	{"422 in JSON without a code", 422, "", nil, `{"detail":[]}`, config, tokensource.ReasonRequest, false},
}

// jsonAnswers are what differs in the JSON dialect.
var jsonAnswers = []judged{
	{"401", 401, "", nil, `{"error":"Invalid refresh token"}`, login, tokensource.ReasonRejected, false},
	{"401 empty", 401, "", nil, "", login, tokensource.ReasonRejected, false},
	{"401 in HTML", 401, "text/html", nil, html, again, tokensource.ReasonIntercepted, false},
	{"403", 403, "", nil, `{"message":"Session expired. Please log in again."}`, login, tokensource.ReasonHardEnd, false},
	{"403 in HTML, a firewall", 403, "text/html", nil, html, again, tokensource.ReasonIntercepted, false},
	{"400", 400, "", nil, `{"error":"No refresh token"}`, config, tokensource.ReasonRequest, false},
	{"404", 404, "", nil, `{"error":"Not found"}`, config, tokensource.ReasonEndpoint, false},
	{"409, whose text is free", 409, "", nil, `{"error":"Please retry"}`, again, tokensource.ReasonServer, true},
	{"429", 429, "", nil, `{"error":"Too many requests"}`, again, tokensource.ReasonRateLimited, false},
	{"500", 500, "", nil, `{"error":"Oops"}`, again, tokensource.ReasonServer, true},
	{"503 with Retry-After", 503, "", http.Header{"Retry-After": {"1"}}, `{"error":"Down"}`, again, tokensource.ReasonBusy, false},
	{"an OAuth answer", 200, "", nil, `{"access_token":"a"}`, again, tokensource.ReasonServer, true},
	{"a 200 with an error", 200, "", nil, `{"error":"invalid_grant"}`, again, tokensource.ReasonServer, true},
	{"JSON that ends early", 200, "", nil, `{"accessToken":"a`, again, tokensource.ReasonLost, true},
}

// answer is j as a server sends it.
func (j judged) answer() *authtest.Answer {
	header := http.Header{"Content-Type": {cmp.Or(j.contentType, "application/json")}}
	maps.Copy(header, j.header)
	return &authtest.Answer{Status: j.status, Header: header, Body: j.body}
}

func (j judged) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a := j.answer()
	maps.Copy(w.Header(), a.Header)
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body)
}

func (j judged) check(t *testing.T, err error) {
	t.Helper()
	e := facts(t, err)
	assert.Equal(t, j.reason.String(), e.Reason.String())
	assert.Equal(t, j.uncertain, e.Uncertain, "uncertain")
	assert.Equal(t, j.status, e.Status)
	assertClass(t, classes[j.class], err)
}

func TestEveryAnswerOfATokenEndpointIsJudgedByTheTable(t *testing.T) {
	for _, j := range oauthAnswers {
		t.Run(j.name, func(t *testing.T) {
			srv := record(t, j.ServeHTTP)
			_, err := refresh(t, oauth(t, srv.URL))
			j.check(t, err)
			srv.only(t)
		})
	}
}

func TestEveryAnswerOfAFirstPartyAPIIsJudgedByTheTable(t *testing.T) {
	for _, j := range jsonAnswers {
		t.Run(j.name, func(t *testing.T) {
			srv := record(t, j.ServeHTTP)
			_, err := refresh(t, firstParty(t, srv.URL))
			j.check(t, err)
			srv.only(t)
		})
	}
}

func TestAProviderCanSayWhatACodeMeansThere(t *testing.T) {
	reasons := map[string]tokensource.Reason{
		"invalid_request":      tokensource.ReasonRejected, // Dex
		"session_expired":      tokensource.ReasonHardEnd,  // GoTrue
		"request_unauthorized": tokensource.ReasonServer,
	}
	for body, want := range map[string]tokensource.Reason{
		`{"error":"invalid_request"}`:                 tokensource.ReasonRejected,
		`{"code":400,"error_code":"session_expired"}`: tokensource.ReasonHardEnd,
		`{"code":"session_expired"}`:                  tokensource.ReasonHardEnd,
		`{"error":"request_unauthorized"}`:            tokensource.ReasonServer,
		`{"error":"invalid_scope"}`:                   tokensource.ReasonScope, // not named: as ever
	} {
		srv := record(t, inJSON(400, body))
		_, err := refresh(t, oauth(t, srv.URL, func(c *client.OAuthConfig) { c.Reasons = reasons }))
		e := facts(t, err)
		assert.Equal(t, want.String(), e.Reason.String(), body)
		assert.Equal(t, want == tokensource.ReasonServer, e.Uncertain, body)
	}
}

func TestAReasonOfAProviderDoesNotMakeAServerErrorDefinitive(t *testing.T) {
	srv := record(t, inJSON(500, `{"error":"invalid_request"}`)) // Dex: store trouble
	reasons := map[string]tokensource.Reason{"invalid_request": tokensource.ReasonRejected}
	_, err := refresh(t, oauth(t, srv.URL, func(c *client.OAuthConfig) { c.Reasons = reasons }))
	assertClass(t, tokensource.ErrTryAgain, err)
}

func TestTheFactsOfARefusalAreKept(t *testing.T) {
	srv := record(t, inJSON(400, `{"error":"invalid_grant","error_description":"Session not active"}`))
	_, err := refresh(t, oauth(t, srv.URL))
	e := facts(t, err)
	assert.Equal(t, 400, e.Status)
	assert.Equal(t, "invalid_grant", e.Code)
	assert.Equal(t, "Session not active", e.Description)
}

func TestADescriptionIsShortAndPrintable(t *testing.T) {
	long := strings.Repeat("ä", 5000)
	srv := record(t, inJSON(400, `{"error":"invalid_grant","error_description":"a\u0000\u001b[31mb\n`+long+`"}`))
	_, err := refresh(t, oauth(t, srv.URL))
	e := facts(t, err)
	assert.Equal(t, "a[31mb"+strings.Repeat("ä", 200-len("a[31mb")), e.Description)
}

func TestACodeIsShortAndNeverASentence(t *testing.T) {
	for _, code := range []string{strings.Repeat("x", 500), "two words", "a\nb"} {
		srv := record(t, inJSON(400, `{"error":"`+strings.ReplaceAll(code, "\n", `\n`)+`"}`))
		_, err := refresh(t, oauth(t, srv.URL))
		e := facts(t, err)
		assert.LessOrEqual(t, len(e.Code), 64)
		assert.NotContains(t, e.Code, " ")
		assert.NotContains(t, err.Error(), "\n")
	}
}

func TestRetryAfterIsReadInBothFormsAndBounded(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"7":           7 * time.Second,
		"0":           0,
		"1.5":         1500 * time.Millisecond,
		"99999999999": time.Hour,
		"-3":          0,
		"soon":        0,
		now.Add(time.Minute).Format(http.TimeFormat):     time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat):    0,
		now.Add(100 * time.Hour).Format(http.TimeFormat): time.Hour,
		now.Add(90 * time.Second).Format(time.RFC850):    90 * time.Second,
	} {
		srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", now.Format(http.TimeFormat)) // the server's clock, which is not ours
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		_, err := refresh(t, oauth(t, srv.URL))
		assert.Equal(t, want, facts(t, err).RetryAfter, "Retry-After: %s", value)
	}
}

func TestPatienceIsAskedOnlyOfThoseWhoMayTryAgain(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		inJSON(400, `{"error":"invalid_grant"}`)(w, r)
	})
	_, err := refresh(t, oauth(t, srv.URL))
	assert.Zero(t, facts(t, err).RetryAfter)
}

func TestARedirectIsNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		target := record(t, inJSON(200, `{"access_token":"stolen"}`))
		srv := record(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target.URL+"/token", status)
		})
		_, err := refresh(t, oauth(t, srv.URL))
		e := facts(t, err)
		assert.Equal(t, tokensource.ReasonEndpoint, e.Reason)
		assert.Equal(t, status, e.Status)
		srv.only(t)
		assert.Empty(t, target.requests(), "the target of a %d", status)
	}
}

func TestEverySuccessIsRead(t *testing.T) {
	srv := record(t, inJSON(200, `{"access_token":"at-1","refresh_token":"rt-1","id_token":"id-1","token_type":"bEARER",
		"expires_in":60,"scope":"a b","sub":"alice","authorization_expires_in":3600,"refresh_token_timeout":600,"unknown":[{}]}`))
	before := time.Now()
	g, err := refresh(t, oauth(t, srv.URL))
	after := time.Now()
	require.NoError(t, err)
	assert.Equal(t, "at-1", g.AccessToken.Reveal())
	assert.Equal(t, "rt-1", g.RefreshToken.Reveal())
	assert.Equal(t, "id-1", g.IDToken.Reveal())
	assert.Equal(t, "bEARER", g.TokenType)
	assert.Equal(t, []string{"a", "b"}, g.Scopes)
	assert.Equal(t, "alice", g.Subject)
	assert.False(t, g.IssuedAt.Before(before) || g.IssuedAt.After(after), "issued at the local time of receipt")
	assert.Equal(t, g.IssuedAt.Add(time.Minute), g.Expiry)
	assert.Equal(t, g.IssuedAt.Add(time.Hour), g.HardEnd)
	assert.Equal(t, g.IssuedAt.Add(10*time.Minute), g.IdleEnd)
	srv.only(t)
}

func TestASuccessMayBeSparseOrStrange(t *testing.T) {
	for name, body := range map[string]string{
		"nothing but the token":  `{"access_token":"at-1"}`,
		"no token_type":          `{"access_token":"at-1","expires_in":60}`,
		"a byte order mark":      "\xef\xbb\xbf" + `{"access_token":"at-1"}`,
		"text behind it":         `{"access_token":"at-1"}<!-- 12 ms -->`,
		"members twice":          `{"access_token":"at-0","access_token":"at-1"}`,
		"members of other types": `{"access_token":"at-1","refresh_token":7,"scope":{"a":1},"id_token":null,"expires_in":[],"sub":true}`,
		"an empty error":         `{"access_token":"at-1","error":""}`,
		"a null error":           `{"access_token":"at-1","error":null}`,
	} {
		srv := record(t, inJSON(200, body))
		g, err := refresh(t, oauth(t, srv.URL))
		require.NoError(t, err, name)
		assert.Equal(t, "at-1", g.AccessToken.Reveal(), name)
		assert.True(t, g.RefreshToken.IsZero(), "%s: no refresh token means that the old one stays", name)
	}
}

// Slack calls the tokens that its API takes as Bearer tokens "bot" and "user".
func TestATokenTypeThatIsSaidToBeBearerIsPresentedAsOne(t *testing.T) {
	for name, want := range map[string]bool{"bot": true, "Bot": true, "bearer": true, "": true, "mac": false} {
		srv := record(t, inJSON(200, `{"ok":true,"access_token":"at-1","token_type":"`+name+`"}`))
		g, err := refresh(t, oauth(t, srv.URL, func(c *client.OAuthConfig) { c.BearerTypes = []string{"bot"} }))
		if !want {
			assertClass(t, tokensource.ErrTryAgain, err)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, "Bearer at-1", tokensource.NewToken(tokensource.TokenID{}, g).Authorization().Reveal(), name)
	}
}

func TestASuccessInAFormIsRead(t *testing.T) {
	srv := record(t, answering(200, "application/x-www-form-urlencoded; charset=utf-8", "access_token=at-1&refresh_token=rt-1&expires_in=60"))
	g, err := refresh(t, oauth(t, srv.URL))
	require.NoError(t, err)
	assert.Equal(t, "rt-1", g.RefreshToken.Reveal())
	assert.Equal(t, time.Minute, g.Expiry.Sub(g.IssuedAt))
}

func TestAMemberWithoutANameIsNobodys(t *testing.T) {
	srv := record(t, inJSON(200, `{"accessToken":"at-1","":"x"}`))
	g, err := refresh(t, firstParty(t, srv.URL))
	require.NoError(t, err)
	assert.True(t, g.IDToken.IsZero())
	assert.Empty(t, g.Scopes)
}

func TestScopesMayComeAsAnArray(t *testing.T) {
	srv := record(t, inJSON(200, `{"access_token":"at-1","scope":["a","b"]}`))
	g, err := refresh(t, oauth(t, srv.URL))
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, g.Scopes)
}

func TestALifetimeIsTakenInEveryFormAndNeverBelievedIfAbsurd(t *testing.T) {
	const unknown = 0
	for value, want := range map[string]time.Duration{
		`3600`: time.Hour, `"3600"`: time.Hour, `3599.5`: 3599500 * time.Millisecond, `" 60 "`: time.Minute, `6e1`: time.Minute,
		`315360000`: 10 * 365 * 24 * time.Hour,
		`0`:         unknown, `-1`: unknown, `315360001`: unknown, `3600000000000`: unknown, `1e999`: unknown,
		`""`: unknown, `"an hour"`: unknown, `"NaN"`: unknown, `"Inf"`: unknown, `null`: unknown, `true`: unknown, `{}`: unknown,
	} {
		srv := record(t, inJSON(200, `{"access_token":"at-1","expires_in":`+value+`}`))
		g, err := refresh(t, oauth(t, srv.URL))
		require.NoError(t, err, value)
		if want == unknown {
			assert.True(t, g.Expiry.IsZero(), "expires_in %s", value)
			continue
		}
		assert.Equal(t, want, g.Expiry.Sub(g.IssuedAt), "expires_in %s", value)
	}
}
