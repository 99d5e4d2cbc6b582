package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/transport"
)

func TestASecond401ReachesTheCallerWithItsBodyIntact(t *testing.T) {
	api := serve(t, plain, func(w http.ResponseWriter, _ *http.Request) { reject401(w) })
	src := &source{}
	resp, err := api.client(t, src).Do(get(t, api.URL))
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	assert.Equal(t, "no longer good\n", bodyOf(t, resp))
	assert.Equal(t, []string{bearer(1), bearer(2)}, api.auths())
	assert.Equal(t, []uint64{1}, src.renewals())
}

func TestAnswersThatRejectTheTokenAndAnswersThatDoNot(t *testing.T) {
	for _, c := range []struct {
		name     string
		status   int
		header   []string // WWW-Authenticate fields
		rejected bool
	}{
		{"invalid_token", 401, []string{`Bearer realm="api", error="invalid_token"`}, true},
		{"no challenge at all", 401, nil, true},
		{"no error code", 401, []string{`Bearer realm="api"`}, true},
		{"not for tokens", 401, []string{`Basic realm="api"`}, true},
		{"unreadable", 401, []string{`= , "`}, true},
		{"a code nobody registered", 401, []string{`Bearer error="token_expired"`}, true},
		{"behind schemes that are not ours", 401, []string{`Negotiate YII=, Basic realm="a, Bearer error=\"invalid_request\""`, `Bearer error=invalid_token`}, true},
		{"one of two says so", 401, []string{`DPoP error="use_dpop_nonce"`, `Bearer error="invalid_token"`}, true},
		{"another scheme's parameter", 401, []string{`Custom error="invalid_request"`}, true},
		{"step-up", 401, []string{`Bearer error="insufficient_user_authentication", acr_values="gold"`}, false},
		{"scope as a 401", 401, []string{`bearer error="insufficient_scope", scope="a b"`}, false},
		{"invalid_request", 401, []string{`Bearer error="invalid_request"`}, false},
		{"nonce", 401, []string{`DPoP error="use_dpop_nonce"`}, false},
		{"proof", 401, []string{`DPoP error="invalid_dpop_proof"`}, false},
		{"403 that says invalid_token", 403, []string{`Bearer error="invalid_token"`}, false},
		{"403 for scope", 403, []string{`Bearer error="insufficient_scope"`}, false},
		{"400", 400, []string{`Bearer error="invalid_token"`}, false},
		{"407", 407, []string{`Bearer error="invalid_token"`}, false},
		{"success", 200, []string{`Bearer error="invalid_token"`}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent := 0
			base := roundTripper(func(*http.Request) (*http.Response, error) {
				sent++
				resp := answer(c.status, "the body")
				resp.Header["Www-Authenticate"] = c.header
				return resp, nil
			})
			src := &source{}
			tr := newTransport(t, transport.Config{Source: src, Origins: []string{"https://api.example.com"}, Base: base})
			resp, err := tr.RoundTrip(get(t, "https://api.example.com/"))
			require.NoError(t, err)
			assert.Equal(t, c.status, resp.StatusCode)
			assert.Equal(t, "the body", bodyOf(t, resp))
			if c.rejected {
				assert.Equal(t, []uint64{1}, src.renewals())
				assert.Equal(t, 2, sent)
			} else {
				assert.Empty(t, src.renewals())
				assert.Equal(t, 1, sent)
			}
		})
	}
}

func TestAPredicateAddsRejectionsOfAProvider(t *testing.T) {
	api := serve(t, plain, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != bearer(2) {
			w.Header().Set("X-Token-Expired", "yes")
			w.WriteHeader(http.StatusForbidden)
		}
	})
	src := &source{}
	client := api.client(t, src, func(c *transport.Config) {
		c.Rejected = func(resp *http.Response) bool { return resp.Header.Get("X-Token-Expired") == "yes" }
	})
	resp, err := client.Do(get(t, api.URL))
	require.NoError(t, err)
	bodyOf(t, resp)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, []uint64{1}, src.renewals())
}

func TestAFailedRenewalIsATypedErrorThatKeepsTheAnswer(t *testing.T) {
	long := strings.Repeat("x", 20<<10)
	api := serve(t, plain, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="house", error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, long)
	})
	src := &source{renew: func(context.Context) error { return &tokensource.Error{Reason: tokensource.ReasonRejected} }}
	_, err := api.client(t, src).Do(get(t, api.URL))
	var urlErr *url.Error
	require.ErrorAs(t, err, &urlErr)
	assert.ErrorIs(t, err, tokensource.ErrLoginRequired)
	rejected, ok := errors.AsType[*transport.RejectedError](err)
	require.True(t, ok)
	assert.Equal(t, "transport: the token was rejected (HTTP status 401) and not renewed: "+
		"tokensource: the server rejected the refresh token; log in again", rejected.Error())
	assert.Equal(t, http.StatusUnauthorized, rejected.Response.StatusCode)
	assert.Equal(t, long[:8<<10], bodyOf(t, rejected.Response))
	challenge, ok := transport.ChallengeOf(rejected.Response)
	require.True(t, ok)
	assert.Equal(t, "house", challenge.Realm)
}

func TestARejectedErrorShowsNothingOfTheAnswer(t *testing.T) {
	base := roundTripper(func(*http.Request) (*http.Response, error) { return answer(401, "canary", "Set-Cookie", "canary"), nil })
	src := &source{renew: func(context.Context) error { return errors.New("no") }}
	tr := newTransport(t, transport.Config{Source: src, Origins: []string{"https://api.example.com"}, Base: base})
	_, err := tr.RoundTrip(get(t, "https://api.example.com/"))
	rejected, ok := errors.AsType[*transport.RejectedError](err)
	require.True(t, ok)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		assert.NotContains(t, fmt.Sprintf(verb, rejected), "canary", verb)
		assert.NotContains(t, fmt.Sprintf(verb, struct{ inner any }{rejected}), "canary", verb)
	}
}
