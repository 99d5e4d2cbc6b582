package testserver_test

import (
	"maps"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// tableRow is a row of the table of outcomes where the session is fine and the
// request is not, or where nothing is wrong at all. Rows about dead sessions
// are in refusalRows, those about races and replays in reuse_test.go, those
// about the API in access_test.go.
type tableRow struct {
	name        string
	oauth, json func(token string) *http.Request // nil: no such cell
	wantOAuth   cell                             // an empty body is none at all, "*" any
	wantJSON    cell
	challenge   string // of the OAuth cell
	spent       bool   // the request uses the token up
}

func changedForm(change url.Values) func(string) *http.Request {
	return func(token string) *http.Request {
		form := refreshForm(token)
		maps.Copy(form, change)
		return formRequest("/oauth/token", form)
	}
}

func changedJSON(path string, change map[string]string) func(string) *http.Request {
	return func(token string) *http.Request {
		body := map[string]string{"refreshToken": token}
		maps.Copy(body, change)
		return jsonRequest(path, body)
	}
}

func authorized(value string, of func(string) *http.Request) func(string) *http.Request {
	return func(token string) *http.Request {
		r := of(token)
		r.Header.Set("Authorization", value)
		return r
	}
}

func tableRows() []tableRow {
	const unauthorized, bad = http.StatusUnauthorized, http.StatusBadRequest
	oauthErr := func(status int, code, text string) cell {
		return cell{status, `{"error":"` + code + `","error_description":"` + text + `"}`}
	}
	client := oauthErr(unauthorized, "invalid_client", "client authentication failed")
	noClient := cell{unauthorized, `{"error":"Invalid client"}`}
	notFound := cell{http.StatusNotFound, "*"}
	revoke := func(token string) *http.Request {
		return formRequest("/oauth/revoke", url.Values{"client_id": {"cli"}, "token": {token}})
	}
	return []tableRow{
		{name: "another client's token", oauth: changedForm(url.Values{"client_id": {"other"}}), wantOAuth: grantError("refresh token unknown"),
			json: changedJSON("/refresh", map[string]string{"clientId": "other"}), wantJSON: cell{unauthorized, invalidRefresh}},
		{name: "a client nobody knows", oauth: changedForm(url.Values{"client_id": {"nobody"}}), wantOAuth: client,
			json: changedJSON("/refresh", map[string]string{"clientId": "nobody"}), wantJSON: noClient},
		{name: "a client with a wrong secret", wantOAuth: client, wantJSON: noClient,
			oauth: changedForm(url.Values{"client_id": {serviceID}, "client_secret": {"x"}}),
			json:  changedJSON("/refresh", map[string]string{"clientId": serviceID, "clientSecret": "x"})},
		{name: "a client that used the header", oauth: authorized("Basic !", changedForm(nil)), wantOAuth: client, challenge: `Basic realm="authtest"`},
		{name: "a wider scope", oauth: changedForm(url.Values{"scope": {"admin"}}), wantOAuth: oauthErr(bad, "invalid_scope", "scope exceeds what was granted"),
			json: changedJSON("/refresh", map[string]string{"scope": "admin"}), wantJSON: cell{bad, `{"error":"Scope exceeds what was granted"}`}},
		{name: "a grant the client may not use", oauth: changedForm(url.Values{"grant_type": {"client_credentials"}}),
			wantOAuth: oauthErr(bad, "unauthorized_client", "client may not use this grant")},
		{name: "a grant nobody knows", oauth: changedForm(url.Values{"grant_type": {"magic"}}), wantOAuth: oauthErr(bad, "unsupported_grant_type", "grant type not supported"),
			json: changedJSON("/magic", nil), wantJSON: notFound},
		{name: "a wrong password", wantOAuth: grantError("invalid credentials"), wantJSON: cell{unauthorized, `{"error":"Invalid credentials"}`},
			oauth: changedForm(url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {"x"}}),
			json:  changedJSON("/login", map[string]string{"username": "alice", "password": "x"})},
		{name: "a stale access token beside it", spent: true, wantOAuth: cell{http.StatusOK, "*"}, wantJSON: cell{http.StatusOK, "*"},
			oauth: authorized("Bearer stale", changedForm(nil)), json: authorized("Bearer stale", changedJSON("/refresh", nil))},
		{name: "a logout", spent: true, oauth: revoke, wantOAuth: cell{status: http.StatusOK},
			json: changedJSON("/logout", nil), wantJSON: cell{status: http.StatusNoContent}},
	}
}

func TestTheTableOfOutcomes(t *testing.T) {
	for _, profile := range profiles() {
		for _, row := range tableRows() {
			t.Run(profile+"/"+row.name, func(t *testing.T) {
				row.check(t, profile, row.oauth, row.wantOAuth, row.challenge)
				row.check(t, profile, row.json, row.wantJSON, "")
			})
		}
	}
}

func (row tableRow) check(t *testing.T, profile string, request func(string) *http.Request, want cell, challenge string) {
	t.Helper()
	if request == nil {
		return
	}
	b := start(t, profile, nil)
	token := b.login(t).Refresh
	got := b.do(request(token))
	assert.Equal(t, want.status, got.Code)
	assert.Equal(t, challenge, got.Header().Get("WWW-Authenticate"))
	switch want.body {
	case "*":
	case "":
		assert.Empty(t, got.Body.String())
	default:
		assert.JSONEq(t, want.body, got.Body.String())
		assertTokenHeaders(t, got)
	}
	if !row.spent {
		assert.Equal(t, testserver.Rotated, b.refresh(token).outcome(), "the token is intact")
	}
}

func TestAServerThatIsDownSpendsNothing(t *testing.T) {
	inBoth(t, func(t *testing.T, _ bool, d dialect) {
		b := start(t, "strict", nil)
		token := b.login(t).Refresh
		b.fault(t, testserver.Fault{On: testserver.Refresh, Answer: &testserver.Answer{
			Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"1"}}, Body: `{"error":"down"}`,
		}})
		got := b.do(d.request(token))
		assert.Equal(t, http.StatusServiceUnavailable, got.Code)
		assert.Equal(t, "1", got.Header().Get("Retry-After"))
		assert.Equal(t, testserver.Rotated, b.do(d.request(token)).outcome())
	})
}

func TestAFirstPartyProgramMayNameItself(t *testing.T) {
	b := start(t, "firstparty", nil)
	as := map[string]string{"clientId": serviceID, "clientSecret": serviceSecret}
	login := maps.Clone(as)
	login["username"], login["password"] = "alice", "secret"
	_, token := b.do(jsonRequest("/login", login)).tokens()
	require.NotEmpty(t, token)
	list, err := b.Sessions("alice")
	require.NoError(t, err)
	assert.Equal(t, serviceID, list[0].Client)
	got := b.do(changedJSON("/refresh", as)(token))
	assert.Equal(t, testserver.Rotated, got.outcome())
	_, token = got.tokens()
	assert.Equal(t, testserver.WrongClient, b.do(changedJSON("/refresh", map[string]string{"clientId": "cli"})(token)).outcome())
}
