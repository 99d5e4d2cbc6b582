package authtest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// postAs sends a form and decodes the answer.
func postAs(t *testing.T, c *http.Client, target string, form url.Values) (int, map[string]any) {
	t.Helper()
	resp, err := c.PostForm(target, form)
	require.NoError(t, err)
	defer resp.Body.Close()
	var body map[string]any
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&body))
	return resp.StatusCode, body
}

func me(t *testing.T, c *http.Client, base, access string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/me", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+access)
	resp, err := c.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// withCertificate makes a client of the server that holds a certificate.
func withCertificate(t *testing.T) (open func(*authtest.Server) *http.Client, thumbprint string) {
	t.Helper()
	certificate, err := authtest.NewCertificate("client")
	require.NoError(t, err)
	return func(srv *authtest.Server) *http.Client {
		c := srv.ClientWithCertificate(certificate)
		t.Cleanup(c.CloseIdleConnections)
		return c
	}, authtest.Thumbprint(certificate.Leaf)
}

func TestAClientProvesItselfInTheHandshake(t *testing.T) {
	mine, thumbprint := withCertificate(t)
	stranger, _ := withCertificate(t)
	srv := authtest.NewTLS(t, authtest.Config{Clients: []authtest.Client{
		{ID: "machine", Certificate: thumbprint, Auth: authtest.SelfSignedTLS},
	}})
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"machine"}}
	token := srv.URL() + "/oauth/token"
	assert.True(t, strings.HasPrefix(token, "https://"))

	for name, c := range map[string]*http.Client{"no certificate": srv.Client(), "another one": stranger(srv)} {
		status, body := postAs(t, c, token, form)
		assert.Equal(t, http.StatusUnauthorized, status, name)
		assert.Equal(t, "invalid_client", body["error"], name)
	}
	owner := mine(srv)
	status, body := postAs(t, owner, token, form)
	require.Equal(t, http.StatusOK, status)
	access, _ := body["access_token"].(string)

	// RFC 8705 3: the token works over connections of that certificate alone.
	assert.Equal(t, http.StatusOK, me(t, owner, srv.URL(), access))
	assert.Equal(t, http.StatusUnauthorized, me(t, srv.Client(), srv.URL(), access))
	assert.Equal(t, http.StatusUnauthorized, me(t, stranger(srv), srv.URL(), access))
}

func TestAPublicClientsSessionIsBoundInTheHandshake(t *testing.T) {
	mine, _ := withCertificate(t)
	stranger, _ := withCertificate(t)
	srv := authtest.NewTLS(t, authtest.Config{Clients: []authtest.Client{{ID: "cli", CertificateBound: true}}})
	owner, token := mine(srv), srv.URL()+"/oauth/token"
	_, body := postAs(t, owner, token, url.Values{
		"grant_type": {"password"}, "client_id": {"cli"}, "username": {"alice"}, "password": {"secret"},
	})
	refresh, _ := body["refresh_token"].(string)
	require.NotEmpty(t, refresh)
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {refresh}}

	status, body := postAs(t, stranger(srv), token, form)
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Equal(t, "invalid_grant", body["error"])
	status, _ = postAs(t, owner, token, form)
	assert.Equal(t, http.StatusOK, status, "the stranger has spent nothing")
	assert.Zero(t, srv.Stats().FamiliesRevoked)
}

func TestTheTLSServerSpeaksHTTP2AndIsTrustedByItsClient(t *testing.T) {
	srv := authtest.NewTLS(t, authtest.Config{})
	resp, err := srv.Client().Get(srv.URL() + "/api/me")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 2, resp.ProtoMajor)
	require.NotNil(t, srv.Certificate())
	assert.Nil(t, authtest.New(t).Certificate())

	// The hosts below example.com are this server, over TLS as well.
	resp, err = srv.Client().Get("https://evil.example.com/api/echo")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusOK, resp.StatusCode)

	_, err = http.Get(srv.URL())
	assert.ErrorContains(t, err, "certificate")
}
