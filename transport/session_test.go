package transport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/transport"
)

// refresher speaks to the token endpoint of authtest. Package client has the
// one to use.
type refresher struct{ srv *authtest.Server }

func (r refresher) Refresh(ctx context.Context, old tokensource.Grant) (tokensource.Grant, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {old.RefreshToken.Reveal()}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.srv.URL()+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return tokensource.Grant{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := r.srv.Client().Do(req)
	if err != nil {
		return tokensource.Grant{}, err
	}
	defer resp.Body.Close()
	var answer struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return tokensource.Grant{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return tokensource.Grant{}, &tokensource.Error{Reason: tokensource.ReasonRejected, Status: resp.StatusCode}
	}
	return tokensource.Grant{
		AccessToken: tokensource.NewSecret(answer.Access), RefreshToken: tokensource.NewSecret(answer.Refresh),
		Expiry: time.Now().Add(15 * time.Minute),
	}, nil
}

// signedIn returns a client of srv in which alice is signed in.
func signedIn(t *testing.T, srv *authtest.Server) (*http.Client, authtest.Tokens) {
	t.Helper()
	session, err := tokensource.NewSession(tokensource.Config{
		Key:       tokensource.NewKey(srv.URL(), "cli", ""),
		Store:     tokensource.NewMemoryStore(),
		Refresher: refresher{srv},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, session.Close(context.WithoutCancel(t.Context()))) })
	tokens := srv.Login("alice", "laptop")
	require.NoError(t, session.Adopt(t.Context(), tokensource.Grant{
		AccessToken: tokensource.NewSecret(tokens.AccessToken), RefreshToken: tokensource.NewSecret(tokens.RefreshToken),
		Expiry: time.Now().Add(tokens.ExpiresIn),
	}))
	tr := newTransport(t, transport.Config{Source: session, Origins: []string{srv.URL()}, Base: srv.Client().Transport})
	return &http.Client{Transport: tr}, tokens
}

func TestAHundredRejectedUploadsCostAStrictServerOneRotation(t *testing.T) {
	srv := authtest.New(t)
	client, tokens := signedIn(t, srv)
	srv.RevokeAccessTokens()
	content := bytes.Repeat([]byte("x"), 10<<10)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			var body io.Reader = bytes.NewReader(content)
			if i%2 == 0 {
				body = &oneShot{Reader: body}
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL()+"/api/echo", body)
			if !assert.NoError(t, err) {
				return
			}
			resp, err := client.Do(req)
			if !assert.NoError(t, err) {
				return
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			assert.NoError(t, err)
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			assert.Contains(t, string(text), sum(content))
		})
	}
	wg.Wait()
	assert.Equal(t, 1, srv.Redemptions(tokens.RefreshToken))
	assert.Equal(t, 1, srv.Stats().Rotations)
	assert.Empty(t, srv.Violations())
}

func TestA401ThatNoTokenEndsCostsOneRotation(t *testing.T) {
	srv := authtest.New(t)
	client, _ := signedIn(t, srv)
	resp, err := client.Do(get(t, srv.URL()+"/api/401-always"))
	require.NoError(t, err)
	bodyOf(t, resp)
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	assert.Equal(t, 1, srv.Stats().Rotations)
	assert.Equal(t, 2, srv.Stats().APIRequests)
}

func TestScopeAndStepUpPassThroughAndCostNoRotation(t *testing.T) {
	srv := authtest.New(t)
	client, _ := signedIn(t, srv)
	for path, code := range map[string]string{
		"/api/scope/unheard-of": "insufficient_scope",
		"/api/stepup":           "insufficient_user_authentication",
	} {
		resp, err := client.Do(get(t, srv.URL()+path))
		require.NoError(t, err)
		challenge, ok := transport.ChallengeOf(resp)
		require.True(t, ok)
		assert.Equal(t, code, challenge.Error)
		bodyOf(t, resp)
	}
	assert.Zero(t, srv.Stats().Rotations)
}

func TestARedirectAbroadShowsTheServerNoToken(t *testing.T) {
	srv := authtest.New(t)
	client, _ := signedIn(t, srv)
	abroad := strings.Replace(srv.URL(), "127.0.0.1", "elsewhere.example.com", 1)
	require.NotEqual(t, srv.URL(), abroad)
	srv.Fault(authtest.Fault{On: authtest.API, Path: "/api/me", Answer: &authtest.Answer{
		Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {abroad + "/api/echo"}},
	}})
	resp, err := client.Do(get(t, srv.URL()+"/api/me"))
	require.NoError(t, err)
	assert.Equal(t, abroad+"/api/echo", resp.Request.URL.String())
	assert.Contains(t, bodyOf(t, resp), `"authorization":{"present":false`, "what the other origin received")
	assert.Empty(t, srv.Violations())
	assert.Zero(t, srv.Stats().Rotations)
}

func TestASessionThatEndedIsALoginRequiredThroughEveryLayer(t *testing.T) {
	srv := authtest.New(t)
	client, tokens := signedIn(t, srv)
	srv.RevokeSession(tokens.SessionID, "test")
	srv.RevokeAccessTokens()
	_, err := client.Do(get(t, srv.URL()+"/api/me"))
	assert.ErrorIs(t, err, tokensource.ErrLoginRequired)
	var rejected *transport.RejectedError
	require.ErrorAs(t, err, &rejected)
	assert.Equal(t, http.StatusUnauthorized, rejected.Response.StatusCode)
	for _, token := range []string{tokens.AccessToken, tokens.RefreshToken} {
		assert.NotContains(t, err.Error(), token)
	}
}
