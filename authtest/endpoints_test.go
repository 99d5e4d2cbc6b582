package authtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// rfc7636 is the pair of RFC 7636, appendix B.
const (
	rfc7636Verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	rfc7636Challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func authorizationURL(srv *authtest.Server) string {
	return srv.URL() + "/oauth/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"cli"}, "redirect_uri": {"http://127.0.0.1:7777/cb"},
		"scope": {"openid"}, "state": {"xyz"}, "code_challenge": {rfc7636Challenge}, "code_challenge_method": {"S256"},
	}.Encode()
}

// post sends a form and reads the JSON answer.
func post(srv *authtest.Server, path string, form url.Values) (status int, body map[string]any, err error) {
	resp, err := srv.Client().PostForm(srv.URL()+path, form)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, body, json.Unmarshal(data, &body)
}

func codeForm(location string) url.Values {
	u, err := url.Parse(location)
	if err != nil {
		return nil
	}
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"cli"}, "code": {u.Query().Get("code")},
		"redirect_uri": {"http://127.0.0.1:7777/cb"}, "code_verifier": {rfc7636Verifier},
	}
}

// A login with code and PKCE, without a browser: the test plays the user.
func ExampleServer_Approve() {
	srv, err := authtest.NewServer(authtest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	// What the client under test would open in a browser, and where the browser
	// would come back to.
	location := srv.Approve(authorizationURL(srv), "alice")
	fmt.Println(strings.HasPrefix(location, "http://127.0.0.1:7777/cb?code="))

	status, body, err := post(srv, "/oauth/token", codeForm(location))
	fmt.Println(status, body["token_type"], body["scope"], err)

	// The code was good once: now what it began is over.
	status, body, err = post(srv, "/oauth/token", codeForm(location))
	fmt.Println(status, body["error"], err)
	// Output:
	// true
	// 200 Bearer openid <nil>
	// 400 invalid_grant <nil>
}

// A device without a browser of its own (RFC 8628).
func ExampleServer_ApproveDevice() {
	srv, err := authtest.NewServer(authtest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	_, device, err := post(srv, "/oauth/device_authorization", url.Values{"client_id": {"cli"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	poll := func() {
		status, body, err := post(srv, "/oauth/token", url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {"cli"},
			"device_code": {fmt.Sprint(device["device_code"])},
		})
		fmt.Println(status, body["error"], err)
	}
	poll()
	poll() // at once, which is too soon
	srv.ApproveDevice(fmt.Sprint(device["user_code"]), "alice")
	srv.Advance(10 * time.Second)
	poll()
	// Output:
	// 400 authorization_pending <nil>
	// 400 slow_down <nil>
	// 200 <nil> <nil>
}

// Many tests, one process: each has an issuer of its own.
func ExampleServer_Issuer() {
	shared, err := authtest.NewServer(authtest.Config{}) // by TestMain, say
	if err != nil {
		fmt.Println(err)
		return
	}
	defer shared.Close()
	_ = func(t *testing.T) { // what a test does
		t.Parallel()
		srv := shared.Issuer(t, t.Name(), authtest.Config{Profile: authtest.Grace})
		srv.Advance(time.Hour) // nobody else's clock
	}
	fmt.Println(strings.TrimPrefix(shared.URL(), "http://127.0.0.1:") != "")
	// Output: true
}

func TestTestsThatShareAProcessDoNotMeet(t *testing.T) {
	shared := authtest.New(t)
	for _, name := range []string{"one", "two", "three"} {
		t.Run(name, func(t *testing.T) {
			srv := shared.Issuer(t, t.Name(), authtest.Config{})
			assert.Equal(t, shared.URL()+"/issuers/TestTestsThatShareAProcessDoNotMeet-"+name, srv.URL())
			tokens := srv.Login("alice", "laptop")
			srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Drop: true})
			form := url.Values{"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {tokens.RefreshToken}}
			_, _, err := post(srv, "/oauth/token", form)
			require.Error(t, err)
			_, body, err := post(srv, "/oauth/token", form)
			require.NoError(t, err)
			assert.Equal(t, "invalid_grant", body["error"])
			assert.Equal(t, 1, srv.Stats().FamiliesRevoked)
		})
	}
	assert.Zero(t, shared.Stats().RefreshRequests)
}

func TestAFaultOfAnIssuerThatNeverFiredIsAnErrorOfItsTest(t *testing.T) {
	shared := authtest.New(t)
	var tb fakeIssuerTB
	srv := shared.Issuer(&tb, "one", authtest.Config{})
	srv.Fault(authtest.Fault{On: authtest.Keys, Drop: true})
	tb.cleanup()
	assert.Len(t, tb.errors, 1)
	shared.Issuer(&tb, "one", authtest.Config{}) // the name is free again
	tb.cleanup()
	shared.Issuer(&tb, "..", authtest.Config{})
	assert.Len(t, tb.errors, 2)
}

// fakeIssuerTB notes what a test would be told.
type fakeIssuerTB struct {
	cleanup func()
	errors  []string
}

func (tb *fakeIssuerTB) Helper()           {}
func (tb *fakeIssuerTB) Cleanup(fn func()) { tb.cleanup = fn }
func (tb *fakeIssuerTB) Errorf(f string, args ...any) {
	tb.errors = append(tb.errors, fmt.Sprintf(f, args...))
}
func (tb *fakeIssuerTB) Fatalf(f string, args ...any) { tb.Errorf(f, args...) }
func (tb *fakeIssuerTB) Logf(string, ...any)          {}

func TestFaultsReachTheEndpointsOfALogin(t *testing.T) {
	srv := authtest.NewWith(t, authtest.Config{AutoApprove: "alice", SigningAlgorithm: authtest.EdDSA})
	for endpoint, path := range map[authtest.Endpoint]string{
		authtest.Authorize: "/oauth/authorize", authtest.Keys: "/oauth/jwks", authtest.UserInfo: "/oauth/userinfo",
		authtest.Discovery: "/.well-known/openid-configuration", authtest.EndSession: "/oauth/end_session",
	} {
		srv.Fault(authtest.Fault{On: endpoint, Answer: &authtest.Answer{Status: http.StatusServiceUnavailable}})
		resp, err := srv.Client().Get(srv.URL() + path)
		require.NoError(t, err)
		_ = resp.Body.Close()
		assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, path)
	}
	srv.Fault(authtest.Fault{On: authtest.RedeemCode, At: authtest.AfterCommit, Drop: true})
	location := srv.Approve(authorizationURL(srv), "alice")
	_, _, err := post(srv, "/oauth/token", codeForm(location))
	require.Error(t, err, "the answer is lost")
	_, body, err := post(srv, "/oauth/token", codeForm(location))
	require.NoError(t, err)
	assert.Equal(t, "invalid_grant", body["error"], "and the code is spent")
	srv.RotateKeys()
	assert.Contains(t, srv.Deny(authorizationURL(srv)), "error=access_denied")
}
