package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/transport"
)

func TestOriginsThatAreRefused(t *testing.T) {
	for origin, want := range map[string]string{
		"":                               "is not an origin",
		"api.example.com":                "is not an origin",
		"api.example.com:443":            "is not an origin",
		"https://":                       "is not an origin",
		"https://:443":                   "is not an origin",
		"https://api.example.com:x":      "is not an origin",
		"https://[::1":                   "is not an origin",
		"ftp://api.example.com":          "has a scheme other than",
		"https://api.example.com/v1":     "is more than an origin",
		"https://api.example.com?a=b":    "is more than an origin",
		"https://api.example.com#a":      "is more than an origin",
		"https://u:secret@example.com":   "is more than an origin",
		"http://api.example.com":         "Config.InsecureHTTP",
		"http://127.0.0.1.example.com":   "Config.InsecureHTTP",
		"http://localhost.example.com":   "Config.InsecureHTTP",
		"http://10.0.0.1":                "Config.InsecureHTTP",
		"http://[fe80::1]":               "Config.InsecureHTTP",
		"HTTP://api.example.com:8080":    "Config.InsecureHTTP",
		"https://u:secret@example.com:x": "is not an origin",
	} {
		_, err := transport.New(transport.Config{Source: &source{}, Origins: []string{"https://fine.example.com", origin}})
		if assert.Error(t, err, origin) {
			assert.ErrorContains(t, err, "transport: Config.Origins[1] ", origin)
			assert.ErrorContains(t, err, want, origin)
			assert.NotContains(t, err.Error(), "secret")
		}
	}
}

// attached reports whether a request to target carries the token under the
// given origins. What the base is given is what would go out.
func attached(t *testing.T, origins []string, target *url.URL, change func(*http.Request)) bool {
	t.Helper()
	var got []string
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		got = r.Header.Values("Authorization")
		return answer(200, ""), nil
	})
	tr := newTransport(t, transport.Config{Source: &source{}, Origins: origins, Base: base, InsecureHTTP: true})
	req := (&http.Request{Method: http.MethodGet, URL: target, Header: http.Header{}}).WithContext(t.Context())
	if change != nil {
		change(req)
	}
	_, err := tr.RoundTrip(req)
	require.NoError(t, err)
	return len(got) == 1 && got[0] == bearer(1)
}

func TestOriginsAreComparedInNormalForm(t *testing.T) {
	for _, c := range []struct {
		origin, target string
		same           bool
	}{
		{"https://api.example.com", "https://api.example.com/a?b#c", true},
		{"https://api.example.com", "https://api.example.com:443/", true},
		{"https://api.example.com:443", "https://api.example.com/", true},
		{"https://api.example.com", "https://API.Example.COM/", true},
		{"HTTPS://API.example.com/", "https://api.example.com/", true},
		{"https://api.example.com.", "https://api.example.com/", true},
		{"https://api.example.com", "https://api.example.com.:443/", true},
		{"https://api.example.com", "https://api.example.com:/", true},
		{"http://api.example.com", "http://api.example.com:80/", true},
		{"https://[2001:DB8::1]", "https://[2001:db8:0:0:0:0:0:1]/", true},
		{"https://[::1]:8443", "https://[0::1]:8443/", true},
		{"https://bücher.example", "https://bücher.example/", true},
		{"https://a.example.com", "https://user:pw@a.example.com/", true},

		{"https://api.example.com", "http://api.example.com/", false},
		{"https://api.example.com", "http://api.example.com:443/", false},
		{"http://api.example.com", "https://api.example.com:80/", false},
		{"https://api.example.com", "https://api.example.com:8443/", false},
		{"https://api.example.com", "https://api.example.com:80/", false},
		{"https://api.example.com", "https://api.example.com:0443/", false},
		{"https://api.example.com", "https://example.com/", false},
		{"https://api.example.com", "https://x.api.example.com/", false},
		{"https://api.example.com", "https://api.example.com.evil.com/", false},
		{"https://api.example.com", "https://api.example.com../", false},
		{"https://api.example.com", "https://api.example.com@evil.com/", false},
		{"https://api.example.com", "https://evil.com/api.example.com", false},
		{"https://api.example.com", "ftp://api.example.com/", false},
		{"https://127.0.0.1", "https://[::ffff:127.0.0.1]/", false},
		{"https://[::1]", "https://[::2]/", false},
		{"https://[fe80::1]", "https://[fe80::1%25eth0]/", false},
		// The Kelvin sign folds to k, and an IDN is left as it is written.
		{"https://kiosk.example", "https://\u212Aiosk.example/", false},
		{"https://bücher.example", "https://xn--bcher-kva.example/", false},
		{"https://bücher.example", "https://BÜCHER.example/", false},
	} {
		u, err := url.Parse(c.target)
		require.NoError(t, err)
		assert.Equal(t, c.same, attached(t, []string{c.origin}, u, nil), "%s for %s", c.target, c.origin)
		assert.Equal(t, c.same, attached(t, []string{"https://first.example.com", c.origin}, u, nil), "%s as the second", c.target)
	}
}

func TestWhatAURLHidesGetsNoToken(t *testing.T) {
	list := []string{"https://api.example.com"}
	home := func() *url.URL { return &url.URL{Scheme: "https", Host: "api.example.com", Path: "/"} }
	assert.True(t, attached(t, list, home(), nil))

	opaque := home()
	opaque.Opaque = "//evil.example.com/"
	assert.False(t, attached(t, list, opaque, nil), "an opaque URL")

	for host, want := range map[string]bool{
		"":                     true,
		"api.example.com":      true,
		"API.example.com:443":  true,
		"evil.example.com":     false,
		"api.example.com:8443": false,
		"api.example.com/x":    false,
		"x@api.example.com":    false,
	} {
		assert.Equal(t, want, attached(t, list, home(), func(r *http.Request) { r.Host = host }), "Host %q", host)
	}
	assert.False(t, attached(t, list, &url.URL{Scheme: "https", Host: "api.example.com/x"}, nil), "a path in the host")
	assert.False(t, attached(t, list, &url.URL{Scheme: "https", Host: "api.example.com:443:443"}, nil), "two ports")
}

func TestARequestWithoutAURLIsTheBasesProblem(t *testing.T) {
	tr := newTransport(t, transport.Config{Source: &source{}, Origins: []string{"https://api.example.com"}})
	_, err := tr.RoundTrip((&http.Request{Header: http.Header{}}).WithContext(t.Context()))
	assert.ErrorContains(t, err, "nil Request.URL")
}

func TestACallersAuthorizationIsLeftAlone(t *testing.T) {
	for name, header := range map[string]http.Header{
		"Basic":             {"Authorization": {"Basic abc"}},
		"in another case":   {"authorization": {"Basic abc"}},
		"empty, to opt out": {"Authorization": nil},
	} {
		t.Run(name, func(t *testing.T) {
			api := serve(t, plain, func(w http.ResponseWriter, _ *http.Request) { reject401(w) })
			src := &source{}
			req := get(t, api.URL)
			req.Header = header
			resp, err := api.client(t, src).Transport.RoundTrip(req)
			require.NoError(t, err)
			assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
			assert.Equal(t, "no longer good\n", bodyOf(t, resp))
			assert.NotContains(t, api.auths(), bearer(1))
			assert.Len(t, api.auths(), 1, "no replay")
			assert.Zero(t, src.tokens())
			assert.Empty(t, src.renewals())
		})
	}
}

// world is a network: it maps scheme://host:port to servers on loopback.
type world map[string]*server

// client returns a client for which origins may see the token.
func (w world) client(t *testing.T, src transport.Renewer, origins ...string) *http.Client {
	roots := x509.NewCertPool()
	for _, s := range w {
		if s.TLS != nil {
			roots.AddCert(s.Certificate())
		}
	}
	base := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, w["http://"+addr].Listener.Addr().String())
		},
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(addr)
			d := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: host}}
			return d.DialContext(ctx, network, w["https://"+addr].Listener.Addr().String())
		},
	}
	t.Cleanup(base.CloseIdleConnections)
	return &http.Client{Transport: newTransport(t, transport.Config{Source: src, Origins: origins, Base: base})}
}

func redirect(to string, status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) }
}

func TestARedirectOutOfTheOriginsGetsNoToken(t *testing.T) {
	for _, c := range []struct {
		name, home, stranger string
	}{
		{"another host", "https://api.example.com:443", "https://evil.example.com:443"},
		{"a subdomain", "https://example.com:443", "https://x.example.com:443"},
		{"another port", "https://api.example.com:443", "https://api.example.com:8443"},
		{"down to http", "https://api.example.com:443", "http://api.example.com:80"},
		{"down to http on the same port", "https://api.example.com:8443", "http://api.example.com:8443"},
	} {
		for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect} {
			t.Run(c.name+" "+http.StatusText(status), func(t *testing.T) {
				start := secure
				if strings.HasPrefix(c.stranger, "http:") {
					start = plain
				}
				stranger := serve(t, start, func(w http.ResponseWriter, _ *http.Request) { reject401(w) })
				api := serve(t, secure, redirect(c.stranger+"/x", status))
				src := &source{}
				resp, err := world{c.home: api, c.stranger: stranger}.client(t, src, c.home).Do(get(t, c.home+"/"))
				require.NoError(t, err)
				bodyOf(t, resp)
				assert.Equal(t, []string{bearer(1)}, api.auths())
				assert.Equal(t, []string{""}, stranger.auths(), "what the stranger received")
				assert.Empty(t, src.renewals(), "a stranger's 401 renews nothing")
			})
		}
	}
}

func TestARedirectWithinTheOriginsKeepsTheToken(t *testing.T) {
	two := serve(t, secure, from(2, nil))
	one := serve(t, secure, redirect("https://b.example.com/x", http.StatusFound))
	w := world{"https://a.example.com:443": one, "https://b.example.com:443": two}
	resp, err := w.client(t, &source{}, "https://a.example.com", "https://b.example.com").Do(get(t, "https://a.example.com/"))
	require.NoError(t, err)
	bodyOf(t, resp)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, []string{bearer(1)}, one.auths())
	assert.Equal(t, []string{bearer(1), bearer(2)}, two.auths())
}

func TestAChainThatLeftTheOriginsStaysWithoutTheTokenAtHome(t *testing.T) {
	api := serve(t, secure, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/start":
			http.Redirect(w, r, "https://evil.example.com/", http.StatusFound)
		case "/delete-everything":
			http.Redirect(w, r, "/done", http.StatusFound)
		}
	})
	evil := serve(t, secure, redirect("https://api.example.com/delete-everything", http.StatusFound))
	w := world{"https://api.example.com:443": api, "https://evil.example.com:443": evil}
	resp, err := w.client(t, &source{}, "https://api.example.com").Do(get(t, "https://api.example.com/start"))
	require.NoError(t, err)
	bodyOf(t, resp)
	assert.Equal(t, "/done", resp.Request.URL.Path)
	assert.Equal(t, []string{bearer(1), "", ""}, api.auths())
	assert.Equal(t, []string{""}, evil.auths())
}

func TestAChainThatBeganElsewhereGetsNoToken(t *testing.T) {
	api := serve(t, secure, nil)
	evil := serve(t, secure, redirect("https://api.example.com/delete-everything", http.StatusFound))
	w := world{"https://api.example.com:443": api, "https://evil.example.com:443": evil}
	resp, err := w.client(t, &source{}, "https://api.example.com").Do(get(t, "https://evil.example.com/"))
	require.NoError(t, err)
	bodyOf(t, resp)
	assert.Equal(t, []string{""}, api.auths())
}

func TestAChainThatCannotBeFollowedBackGetsNoToken(t *testing.T) {
	u := &url.URL{Scheme: "https", Host: "api.example.com"}
	assert.False(t, attached(t, []string{"https://api.example.com"}, u, func(r *http.Request) { r.Response = &http.Response{} }))
}

func TestPlainHTTPNeedsLoopbackOrItsName(t *testing.T) {
	for _, origin := range []string{"http://127.0.0.1:8080", "http://127.8.9.1", "http://[::1]:8080", "http://localhost", "http://LOCALHOST:1", "http://localhost."} {
		_, err := transport.New(transport.Config{Source: &source{}, Origins: []string{origin}})
		assert.NoError(t, err, origin)
	}
	_, err := transport.New(transport.Config{Source: &source{}, Origins: []string{"http://api.example.com"}, InsecureHTTP: true})
	assert.NoError(t, err)
}
