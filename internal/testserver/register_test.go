package testserver_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func (b bench) register(body map[string]any) answer {
	data, _ := json.Marshal(body) // plain values
	return b.do(request(http.MethodPost, "/oauth/register", "application/json", string(data)))
}

func TestAClientRegistersItselfAndSignsIn(t *testing.T) {
	b := start(t, "strict", nil)
	a := b.register(map[string]any{
		"redirect_uris": []string{"http://127.0.0.1/cb"}, "token_endpoint_auth_method": "none",
		"client_name": "Notes", "scope": "openid notes", "unknown": true, "client_id": "mine",
	})
	require.Equal(t, http.StatusCreated, a.Code, a.Body.String())
	assert.Equal(t, "no-store", a.Header().Get("Cache-Control"))
	id := a.field("client_id").(string)
	assert.NotEqual(t, "mine", id)
	assert.Nil(t, a.field("client_secret"))
	assert.EqualValues(t, b.Now().Unix(), a.field("client_id_issued_at"))
	assert.Equal(t, []any{"authorization_code", "refresh_token"}, a.field("grant_types"))
	assert.Equal(t, []any{"code"}, a.field("response_types"))
	assert.NotContains(t, a.members(), "unknown")

	as := func(v url.Values) { v.Set("client_id", id); v.Set("redirect_uri", "http://127.0.0.1:9/cb") }
	_, refresh := b.redeem(b.code(t, as), as).tokens()
	form := refreshForm(refresh)
	form.Set("client_id", id)
	assert.Equal(t, http.StatusOK, b.do(formRequest("/oauth/token", form)).Code)

	_, params := b.authorize(authRequest(func(v url.Values) { as(v); v.Set("scope", "openid more") })).redirect(t)
	assert.Equal(t, "invalid_scope", params.Get("error"), "not what it registered for")
	a = b.do(formRequest("/oauth/device_authorization", url.Values{"client_id": {id}}))
	assert.Equal(t, "unauthorized_client", a.field("error"))
	a = b.do(formRequest("/oauth/token", url.Values{"client_id": {id}, "grant_type": {"client_credentials"}}))
	assert.Equal(t, "unauthorized_client", a.field("error"))
}

func TestARegisteredSecretIsTheOnlyOne(t *testing.T) {
	b := start(t, "strict", nil)
	a := b.register(map[string]any{"grant_types": []string{"client_credentials"}})
	require.Equal(t, http.StatusCreated, a.Code, a.Body.String())
	id, secret := a.field("client_id").(string), a.field("client_secret").(string)
	assert.EqualValues(t, 0, a.field("client_secret_expires_at"), "RFC 7591 3.2.1: there if a secret is")
	ask := func(secret string) answer {
		r := formRequest("/oauth/token", url.Values{"grant_type": {"client_credentials"}})
		r.SetBasicAuth(id, secret)
		return b.do(r)
	}
	assert.Equal(t, http.StatusOK, ask(secret).Code)
	assert.Equal(t, http.StatusUnauthorized, ask("guess").Code)
	assert.Equal(t, http.StatusUnauthorized, ask("").Code)
	posted := b.do(formRequest("/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret},
	}))
	assert.Equal(t, http.StatusUnauthorized, posted.Code, "it registered for Basic")
}

func TestAClientThatMustPushPushes(t *testing.T) {
	b := start(t, "strict", approving)
	a := b.register(map[string]any{
		"redirect_uris": []string{callback}, "token_endpoint_auth_method": "none",
		"require_pushed_authorization_requests": true,
	})
	as := setting("client_id", a.field("client_id").(string))
	_, params := b.authorize(authRequest(as)).redirect(t)
	assert.Equal(t, "invalid_request", params.Get("error"))
	a = b.do(formRequest("/oauth/par", authRequest(as)))
	require.Equal(t, http.StatusCreated, a.Code, a.Body.String())
	short := url.Values{"request_uri": {a.field("request_uri").(string)}}
	as(short)
	_, params = b.authorize(short).redirect(t)
	assert.NotEmpty(t, params.Get("code"))
}

func TestABadRegistrationIsRefused(t *testing.T) {
	b := start(t, "strict", nil)
	for name, c := range map[string]struct {
		body map[string]any
		code string
	}{
		"no redirect URI":               {map[string]any{}, "invalid_redirect_uri"},
		"a script":                      {map[string]any{"redirect_uris": []string{"javascript:alert(1)"}}, "invalid_redirect_uri"},
		"data":                          {map[string]any{"redirect_uris": []string{"DATA:text/html,x"}}, "invalid_redirect_uri"},
		"a fragment":                    {map[string]any{"redirect_uris": []string{"https://app.example/#x"}}, "invalid_redirect_uri"},
		"plain HTTP elsewhere":          {map[string]any{"redirect_uris": []string{"http://app.example/"}}, "invalid_redirect_uri"},
		"a scheme that is nobody's":     {map[string]any{"redirect_uris": []string{"myapp:/cb"}}, "invalid_redirect_uri"},
		"a user":                        {map[string]any{"redirect_uris": []string{"https://me:pw@app.example/cb"}}, "invalid_redirect_uri"},
		"no host":                       {map[string]any{"redirect_uris": []string{"https:///cb"}}, "invalid_redirect_uri"},
		"a relative URI":                {map[string]any{"redirect_uris": []string{"/cb"}}, "invalid_redirect_uri"},
		"a bad place after the logout":  {map[string]any{"redirect_uris": []string{callback}, "post_logout_redirect_uris": []string{"http://x.example"}}, "invalid_redirect_uri"},
		"an unknown method":             {map[string]any{"redirect_uris": []string{callback}, "token_endpoint_auth_method": "tls"}, "invalid_client_metadata"},
		"a certificate without TLS":     {map[string]any{"redirect_uris": []string{callback}, "token_endpoint_auth_method": "self_signed_tls_client_auth"}, "invalid_client_metadata"},
		"keys that are missing":         {map[string]any{"redirect_uris": []string{callback}, "token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"},
		"keys that are none":            {map[string]any{"redirect_uris": []string{callback}, "jwks": map[string]any{"keys": []any{}}}, "invalid_client_metadata"},
		"keys elsewhere":                {map[string]any{"redirect_uris": []string{callback}, "jwks_uri": "https://app.example/jwks"}, "invalid_client_metadata"},
		"an unknown grant":              {map[string]any{"redirect_uris": []string{callback}, "grant_types": []string{"implicit"}}, "invalid_client_metadata"},
		"an unknown response":           {map[string]any{"redirect_uris": []string{callback}, "response_types": []string{"token"}}, "invalid_client_metadata"},
		"a response without its grant":  {map[string]any{"grant_types": []string{"client_credentials"}, "response_types": []string{"code"}}, "invalid_client_metadata"},
		"credentials of a public one":   {map[string]any{"grant_types": []string{"client_credentials"}, "token_endpoint_auth_method": "none"}, "invalid_client_metadata"},
		"a scope that is none":          {map[string]any{"redirect_uris": []string{callback}, "scope": `"`}, "invalid_client_metadata"},
		"a name beyond measure":         {map[string]any{"redirect_uris": []string{callback}, "client_name": strings.Repeat("n", 5000)}, "invalid_client_metadata"},
		"redirect URIs that are a text": {map[string]any{"redirect_uris": callback}, "invalid_client_metadata"},
	} {
		a := b.register(c.body)
		assert.Equal(t, http.StatusBadRequest, a.Code, name)
		assert.Equal(t, c.code, a.field("error"), name)
		assert.Equal(t, testserver.Refused, a.outcome(), name)
	}
	for _, r := range []*http.Request{
		request(http.MethodPost, "/oauth/register", "application/json", "{"),
		request(http.MethodPost, "/oauth/register", "text/plain", "{}"),
		request(http.MethodPost, "/oauth/register", "application/json", `{"client_name":"`+strings.Repeat("n", 1<<20)+`"}`),
		request(http.MethodPost, "/oauth/register", "application/json", "[]"),
	} {
		a := b.do(r)
		assert.Equal(t, http.StatusBadRequest, a.Code)
		assert.Equal(t, "invalid_client_metadata", a.field("error"))
	}
}
