package authtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// statuses are what each edit that comes from something in between answers.
func statuses() map[authtest.Edit]int {
	return map[authtest.Edit]int{
		authtest.Forbidden: 403, authtest.ProxyAuthentication: 407, authtest.RequestTimeout: 408, authtest.Misdirected: 421,
		authtest.TooEarly: 425, authtest.TooManyRequests: 429, authtest.ServerError: 500, authtest.BadGateway: 502,
		authtest.Unavailable: 503, authtest.GatewayTimeout: 504,
	}
}

func TestABurstFromInBetweenSpendsNothingBeforeTheHandlerAndLosesTheAnswerAfterTheCommit(t *testing.T) {
	for edit, status := range statuses() {
		t.Run(string(edit), func(t *testing.T) {
			srv := authtest.NewPipe(t, authtest.Config{Profile: authtest.Grace})
			token := srv.Login("alice", "laptop").RefreshToken
			srv.Fault(authtest.Fault{On: authtest.Refresh, Times: 2, Edit: edit})
			for range 2 {
				assert.Equal(t, status, refreshSeen(srv, token).status)
			}
			assert.Zero(t, srv.Stats().Rotations)
			srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Edit: edit})
			got := refreshSeen(srv, token)
			assert.Equal(t, status, got.status)
			assert.Equal(t, 1, srv.Stats().Rotations)
			assert.Equal(t, "replayed_same", refreshSeen(srv, token).header.Get("X-Authtest-Outcome"))
			assert.Empty(t, srv.Violations(), "what was lost on the way is no fault of the client's")
			switch status {
			case 407:
				assert.Equal(t, `Basic realm="proxy"`, got.header.Get("Proxy-Authenticate"))
			case 429, 503:
				assert.Equal(t, "1", got.header.Get("Retry-After"))
			case 502, 504:
				assert.Contains(t, got.header.Get("Content-Type"), "html")
			}
		})
	}
}

func TestInterimAnswersComeBeforeTheLastOne(t *testing.T) {
	srv := authtest.NewPipe(t, authtest.Config{})
	srv.Fault(authtest.Fault{On: authtest.API, At: authtest.Rewriting, Edit: authtest.InterimAnswers})
	var interim []int
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
		interim = append(interim, code)
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL()+"/api/me", nil)
	require.NoError(t, err)
	resp, err := srv.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	assert.Equal(t, []int{102, 103, 103}, interim)

	tb := &fakeTB{}
	authtest.NewPipe(tb, authtest.Config{}).Fault(authtest.Fault{Answer: &authtest.Answer{Interim: []int{101}}})
	assert.Equal(t, []string{"authtest: testserver: fault: Interim holds statuses from 102 to 199"}, tb.fatals)
	tb.end()
}

// net/http sends a POST again when it is told 307: whoever lets it gives the
// refresh token away, or spends it twice.
func TestARedirectOfATokenRequestIsATrap(t *testing.T) {
	srv := authtest.NewPipe(t, authtest.Config{})
	token := srv.Login("alice", "laptop").RefreshToken
	srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Edit: authtest.Redirect})
	assert.Equal(t, "reuse_detected", refreshSeen(srv, token).header.Get("X-Authtest-Outcome"))
	assert.Equal(t, 2, srv.Redemptions(token))

	abroad := authtest.NewTLS(t, authtest.Config{})
	token = abroad.Login("alice", "laptop").RefreshToken
	abroad.Fault(authtest.Fault{On: authtest.Refresh, Edit: authtest.RedirectAbroad})
	refreshSeen(abroad, token)
	require.Len(t, abroad.Violations(), 1)
	assert.Equal(t, authtest.BearerAbroad, abroad.Violations()[0].Rule)
}

func document(t *testing.T, srv *authtest.Server, path string) map[string]any {
	t.Helper()
	resp, err := srv.Client().Get(srv.URL() + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body) // to its end, or the connection is not used again
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(data, &m))
	return m
}

func TestKeysAndMetadataAreSpoiledOverTheWire(t *testing.T) {
	srv := authtest.NewPipe(t, authtest.Config{})
	spoiled := func(on authtest.Endpoint, edit authtest.Edit, path string) map[string]any {
		srv.Fault(authtest.Fault{On: on, At: authtest.Rewriting, Edit: edit})
		return document(t, srv, path)
	}
	const meta, keys = "/.well-known/openid-configuration", "/oauth/jwks"
	assert.Empty(t, spoiled(authtest.Keys, authtest.NoKeys, keys)["keys"])
	unknown := spoiled(authtest.Keys, authtest.UnknownKeyIDs, keys)["keys"].([]any)
	assert.Equal(t, "unknown", unknown[0].(map[string]any)["kid"])
	assert.NotEqual(t, "unknown", document(t, srv, keys)["keys"].([]any)[0].(map[string]any)["kid"])

	wrong := spoiled(authtest.Discovery, authtest.WrongIssuer, meta)
	assert.Equal(t, "https://evil.example.com", wrong["issuer"])
	assert.Equal(t, srv.URL()+"/oauth/token", wrong["token_endpoint"])
	foreign := spoiled(authtest.Discovery, authtest.ForeignEndpoints, meta)
	assert.Equal(t, srv.URL(), foreign["issuer"])
	assert.Equal(t, "https://evil.example.com/oauth/token", foreign["token_endpoint"])
	assert.Equal(t, "https://evil.example.com/oauth/jwks", foreign["jwks_uri"])

	srv.Fault(authtest.Fault{On: authtest.Keys, Drop: true, Times: 2}) // net/http sends a GET once more
	_, err := srv.Client().Get(srv.URL() + keys)
	if err == nil {
		_, err = srv.Client().Get(srv.URL() + keys)
	}
	assert.Error(t, err, "the key set is down")
	srv.Fault(authtest.Fault{On: authtest.Keys, At: authtest.BeforeCommit, Incident: authtest.KeysAreRotated})
	assert.Len(t, document(t, srv, keys)["keys"], 2, "rotated under the client")
}

func TestAnUploadIsRefusedWhenHalfOfItWasRead(t *testing.T) {
	srv := authtest.NewPipe(t, authtest.Config{})
	access := srv.Login("alice", "laptop").AccessToken
	srv.Fault(authtest.Fault{On: authtest.API, Path: "/api/echo", Edit: authtest.UnauthorizedHalfway})
	sent := &counting{Reader: strings.NewReader(strings.Repeat("x", 4<<20))}
	put := func() *http.Response {
		req, err := http.NewRequest(http.MethodPut, srv.URL()+"/api/echo", sent)
		require.NoError(t, err)
		req.ContentLength = 4 << 20
		req.Header.Set("Authorization", "Bearer "+access)
		resp, err := srv.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp
	}
	resp := put()
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	assert.Contains(t, resp.Header.Get("WWW-Authenticate"), `error="invalid_token"`)
	assert.GreaterOrEqual(t, sent.n.Load(), int64(2<<20))
	assert.Less(t, sent.n.Load(), int64(4<<20))
	sent = &counting{Reader: strings.NewReader(strings.Repeat("x", 4<<20))}
	assert.Equal(t, http.StatusOK, put().StatusCode)
}

func TestAWipedServerKnowsNobodysTokens(t *testing.T) {
	srv := authtest.New(t)
	tokens := srv.Login("alice", "laptop")
	kid := document(t, srv, "/oauth/jwks")["keys"].([]any)[0].(map[string]any)["kid"]
	srv.Fault(authtest.Fault{On: authtest.API, At: authtest.AfterCommit, Incident: authtest.StoreIsWiped})
	assert.Equal(t, http.StatusOK, call(t, srv, srv.URL()+"/api/me", tokens.AccessToken).StatusCode, "let in before it")
	assert.Equal(t, http.StatusUnauthorized, call(t, srv, srv.URL()+"/api/me", tokens.AccessToken).StatusCode)
	assert.Equal(t, "unknown_token", refreshSeen(srv, tokens.RefreshToken).header.Get("X-Authtest-Outcome"))
	assert.NotEqual(t, kid, document(t, srv, "/oauth/jwks")["keys"].([]any)[0].(map[string]any)["kid"])
	assert.Empty(t, srv.Sessions("alice"))
	assert.Equal(t, http.StatusOK, refreshSeen(srv, srv.Login("alice", "laptop").RefreshToken).status, "and takes new logins")

	last := srv.Login("alice", "laptop")
	srv.Wipe()
	assert.Equal(t, 400, refreshSeen(srv, last.RefreshToken).status)
}

func TestOldAccessTokensMayDieAtARotationAndNewOnesOnArrival(t *testing.T) {
	for at, alive := range map[authtest.Stage]int{authtest.BeforeCommit: 200, authtest.AfterCommit: 401} {
		srv := authtest.NewPipe(t, authtest.Config{})
		mine, other := srv.Login("alice", "laptop"), srv.Login("alice", "phone")
		srv.Fault(authtest.Fault{On: authtest.Refresh, At: at, Incident: authtest.SessionAccessIsRevoked})
		got := refreshSeen(srv, mine.RefreshToken)
		assert.Equal(t, 401, call(t, srv, srv.URL()+"/api/me", mine.AccessToken).StatusCode)
		assert.Equal(t, alive, call(t, srv, srv.URL()+"/api/me", fmt.Sprint(got.member("access_token"))).StatusCode, at)
		assert.Equal(t, 200, call(t, srv, srv.URL()+"/api/me", other.AccessToken).StatusCode)
		srv.RevokeAccessTokensOf(other.SessionID)
		assert.Equal(t, 401, call(t, srv, srv.URL()+"/api/me", other.AccessToken).StatusCode)
	}
}

// Guards passed: the first answer comes after the second, and each client has
// what the server decided in the order of arrival.
func TestAnAnswerIsOvertakenByALaterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{Profile: authtest.Grace})
		token := srv.Login("alice", "laptop").RefreshToken
		rule := srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Overtaken: true})
		first := make(chan seen, 1)
		go func() { first <- refreshSeen(srv, token) }()
		synctest.Wait()
		require.Equal(t, 1, rule.Fired())
		assert.Empty(t, first)
		assert.Equal(t, "replayed_same", refreshSeen(srv, token).header.Get("X-Authtest-Outcome"))
		assert.Equal(t, "rotated", (<-first).header.Get("X-Authtest-Outcome"))
	})
}

func TestARequestThatNothingOvertakesIsLeftByItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{})
		srv.Client().Timeout = time.Minute
		srv.Fault(authtest.Fault{On: authtest.Refresh, Overtaken: true})
		assert.ErrorIs(t, refreshSeen(srv, "rt_unknown").err, context.DeadlineExceeded)
	})
}

func TestADeliveryThatComesTwiceIsReuseOnAStrictServer(t *testing.T) {
	for profile, want := range map[authtest.Profile]string{authtest.Strict: "reuse_detected", authtest.Grace: "replayed_same"} {
		srv := authtest.NewPipe(t, authtest.Config{Profile: profile})
		token := srv.Login("alice", "laptop").RefreshToken
		srv.Fault(authtest.Fault{On: authtest.Refresh, Twice: true})
		assert.Equal(t, want, refreshSeen(srv, token).header.Get("X-Authtest-Outcome"))
		assert.Equal(t, 2, srv.Redemptions(token))
		assert.Empty(t, srv.Violations())
	}
}

// Whether a client that leaves takes its request back is the test's choice:
// without the fault the server finishes what it has begun.
func TestAServerMayForgetARequestWhoseClientHasLeft(t *testing.T) {
	for _, forgets := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := authtest.NewPipe(t, authtest.Config{TokenDelay: time.Minute})
			token := srv.Login("alice", "laptop").RefreshToken
			if forgets {
				srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.BeforeCommit, Drop: true,
					Match: func(r *http.Request) bool { return r.Context().Err() != nil }})
			}
			srv.Client().Timeout = time.Second
			assert.Error(t, refreshSeen(srv, token).err)
			synctest.Wait()
			assert.Equal(t, map[bool]int{false: 1, true: 0}[forgets], srv.Stats().Rotations)
		})
	}
}

// A proxy answers in the place of the server after it has rotated, and another
// one sends the client on to somebody else's host.
func ExampleFault_edit() {
	srv, err := authtest.NewServer(authtest.Config{Profile: authtest.Grace})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	token := srv.Login("alice", "laptop").RefreshToken
	srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Times: 2, Edit: authtest.BadGateway})
	srv.Fault(authtest.Fault{On: authtest.Discovery, At: authtest.Rewriting, Edit: authtest.WrongIssuer})
	fmt.Println(renew(srv, token))
	fmt.Println(renew(srv, token))
	fmt.Println(renew(srv, token))
	resp, err := srv.Client().Get(srv.URL() + "/.well-known/oauth-authorization-server")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	var metadata struct{ Issuer string }
	body, _ := io.ReadAll(resp.Body)
	_ = json.Unmarshal(body, &metadata)
	where, _ := url.Parse(metadata.Issuer)
	fmt.Println(where.Host)
	// Output:
	// 502 rotated
	// 502 replayed_same
	// 200 replayed_same
	// evil.example.com
}

// counting says how much of a body was taken.
type counting struct {
	io.Reader
	n atomic.Int64
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(int64(n))
	return n, err
}
