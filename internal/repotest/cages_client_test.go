package repotest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/transport"
)

const origin = "https://api.example.com"

var clientCages = map[string]cage{
	"transport.Config": func(t *testing.T) []any {
		_, session := liveSession(t)
		return in(transport.Config{Source: session, Origins: []string{origin}})
	},
	"transport.Transport": func(t *testing.T) []any {
		_, session := liveSession(t)
		tr, err := transport.New(transport.Config{Source: session, Origins: []string{origin}})
		require.NoError(t, err)
		return in(tr)
	},
	"transport.RejectedError": func(t *testing.T) []any {
		err := rejected(t)
		return append(in(err), err.Response.Header, box[error]{err}, errors.Join(err))
	},
	"client.Password":    func(*testing.T) []any { return in(client.Password{Username: "ada", Password: secret()}) },
	"client.OAuthConfig": func(*testing.T) []any { return in(oauthConfig("")) },
	"client.Provider":    func(t *testing.T) []any { return in(provider(t, "")) },
	"client.Config":      func(t *testing.T) []any { return in(clientConfig(t)) },
	"client.Client": func(t *testing.T) []any {
		c, err := client.New(clientConfig(t))
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, c.Close(context.WithoutCancel(t.Context()))) })
		require.NoError(t, c.Session().Adopt(t.Context(), grant()))
		return append(in(c), in(c.HTTPClient())...)
	},
	"the error of a server that repeats what it was sent": func(t *testing.T) []any {
		var values []any
		for _, answer := range repeating {
			_, err := provider(t, answer).Refresh(t.Context(), grant())
			require.Error(t, err)
			values = append(values, in(err)...)
		}
		return values
	},
}

// repeating are answers of a token endpoint with the refresh token in them.
var repeating = []string{
	"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n" +
		`{"error": "invalid_grant", "error_description": "unknown token ` + canary + `"}`,
	"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n" + `{"error": "` + canary + `"}`,
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + `{"access_token": "` + canary + `", "token_type": "` + canary + `"}`,
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + `{"access_token": "` + canary,
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n" + `{"access_token": "` + canary + `"}`,
	"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<p>" + canary,
	"HTTP/1.1 307 Temporary Redirect\r\nLocation: https://elsewhere.example.com/?t=" + canary + "\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 429 " + canary + "\r\nRetry-After: " + canary + "\r\nContent-Length: 0\r\n\r\n",
	canary + " is no HTTP\r\n\r\n",
}

func secret() tokensource.Secret { return tokensource.NewSecret(canary) }

func oauthConfig(answer string) client.OAuthConfig {
	return client.OAuthConfig{
		TokenURL: "http://id.example.com/token", ClientID: "cli", ClientSecret: secret(),
		InsecureHTTP: true,
		Transport:    &http.Transport{DialContext: answering(answer)},
	}
}

// answering dials a server in memory that gives one answer to whatever it is
// sent.
func answering(answer string) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			req, err := http.ReadRequest(bufio.NewReader(far))
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(far, answer)
		}()
		return near, nil
	}
}

func provider(t *testing.T, answer string) *client.Provider {
	t.Helper()
	p, err := client.OAuthProvider(oauthConfig(answer))
	require.NoError(t, err)
	return p
}

func clientConfig(t *testing.T) client.Config {
	t.Helper()
	return client.Config{Provider: provider(t, ""), Origins: []string{origin}, Store: tokensource.NewMemoryStore()}
}

// stuck is a source whose token cannot be renewed.
type stuck struct{}

func (stuck) Token(context.Context) (tokensource.Token, error) { return token(), nil }

func (stuck) Renew(context.Context, tokensource.Token) (tokensource.Token, error) {
	return tokensource.Token{}, &tokensource.Error{Reason: tokensource.ReasonRejected}
}

// refusing is an API that knows no token.
type refusing struct{}

func (refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusUnauthorized, Request: req, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader("")),
	}, nil
}

// rejected returns the error of a request whose token is refused for good.
func rejected(t *testing.T) *transport.RejectedError {
	t.Helper()
	tr, err := transport.New(transport.Config{Source: stuck{}, Origins: []string{origin}, Base: refusing{}})
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, origin, nil)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	if resp != nil {
		require.NoError(t, resp.Body.Close())
	}
	var rejection *transport.RejectedError
	require.ErrorAs(t, err, &rejection)
	return rejection
}
