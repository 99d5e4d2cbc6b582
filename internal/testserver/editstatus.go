package testserver

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
)

// The edits that put something in between into the place of the answer: a
// proxy, a gateway, a server that is busy. A burst of them is Fault.Times.
const (
	Forbidden           Edit = "forbidden"            // 403 insufficient_scope: no refresh helps
	ProxyAuthentication Edit = "proxy-authentication" // 407 of a proxy that wants a password
	RequestTimeout      Edit = "request-timeout"      // 408, and the connection ends
	Misdirected         Edit = "misdirected"          // 421: another connection, please
	TooEarly            Edit = "too-early"            // 425 (RFC 8470 5.2)
	TooManyRequests     Edit = "too-many-requests"    // 429 with Retry-After
	ServerError         Edit = "server-error"         // 500 of no kind that RFC 6749 knows
	BadGateway          Edit = "bad-gateway"          // 502 with a page in HTML
	Unavailable         Edit = "unavailable"          // 503 with Retry-After
	GatewayTimeout      Edit = "gateway-timeout"      // 504 with a page in HTML
	InterimAnswers      Edit = "interim-answers"      // a 102 and two 103 before the answer
	Redirect            Edit = "redirect"             // 307 to the same place: whoever follows sends its token twice
	RedirectAbroad      Edit = "redirect-abroad"      // 307 to another origin: whoever follows gives its token away
	UnauthorizedHalfway Edit = "unauthorized-halfway" // 401 when half of the request's body was read. BeforeHandler
	HandshakeFailure    Edit = "handshake-failure"    // a TLS alert. OnAccept
)

// The edits of the key set and of metadata. They leave any other answer as it
// is.
const (
	NoKeys           Edit = "no-keys"           // an empty key set
	UnknownKeyIDs    Edit = "unknown-key-ids"   // the keys under other names
	WrongIssuer      Edit = "wrong-issuer"      // metadata of another issuer: RFC 8414 3.3
	ForeignEndpoints Edit = "foreign-endpoints" // all endpoints at another host
)

// abroad is where a client must not go: test clients send it here.
const abroad = "evil.example.com"

// handshakeAlert is a fatal handshake_failure (RFC 8446 6).
const handshakeAlert = "\x15\x03\x03\x00\x02\x02\x28"

// gateways are the edits that need nothing of the answer.
func gateways() map[Edit]func() Answer {
	page := func(status int) func() Answer {
		return func() Answer {
			return htmlAnswer(status, "<!doctype html><title>"+http.StatusText(status)+"</title><p>The server is not there.")
		}
	}
	bare := func(status int, header ...string) func() Answer {
		return func() Answer {
			a := Answer{Status: status, Header: http.Header{}}
			for pair := range slices.Chunk(header, 2) {
				a.Header.Set(pair[0], pair[1])
			}
			return a
		}
	}
	return map[Edit]func() Answer{
		Forbidden:           func() Answer { return challenge(ScopeMissing, `, error="insufficient_scope", scope="admin"`).Answer },
		ProxyAuthentication: bare(http.StatusProxyAuthRequired, "Proxy-Authenticate", `Basic realm="proxy"`),
		RequestTimeout:      bare(http.StatusRequestTimeout, "Connection", "close"),
		Misdirected:         bare(http.StatusMisdirectedRequest),
		TooEarly:            bare(http.StatusTooEarly),
		TooManyRequests:     bare(http.StatusTooManyRequests, "Retry-After", "1"),
		ServerError:         bare(http.StatusInternalServerError),
		BadGateway:          page(http.StatusBadGateway),
		Unavailable:         bare(http.StatusServiceUnavailable, "Retry-After", "1"),
		GatewayTimeout:      page(http.StatusGatewayTimeout),
	}
}

// routed are the edits that need the request.
func routed() []Edit { return []Edit{Redirect, RedirectAbroad, UnauthorizedHalfway, HandshakeFailure} }

func (s *Server) route(e Edit, x *exchange) Answer {
	where := s.path + x.r.URL.RequestURI()
	switch e {
	case UnauthorizedHalfway:
		_, _ = io.CopyN(io.Discard, x.r.Body, max(0, x.r.ContentLength/2)) // shorter is well, too
		return refused().Answer
	case RedirectAbroad:
		where = s.base.Scheme + "://" + abroad + where
	}
	return Answer{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {where}}}
}

// published are the edits of documents that anybody may read.
func published() map[Edit]func(map[string]any) {
	const other = "https://" + abroad
	return map[Edit]func(map[string]any){
		NoKeys: func(m map[string]any) {
			if m["keys"] != nil {
				m["keys"] = []any{}
			}
		},
		UnknownKeyIDs: func(m map[string]any) {
			keys, _ := m["keys"].([]any)
			for _, k := range keys {
				if key, ok := k.(map[string]any); ok {
					key["kid"] = "unknown"
				}
			}
		},
		WrongIssuer: func(m map[string]any) {
			if m["issuer"] != nil {
				m["issuer"] = other
			}
		},
		ForeignEndpoints: func(m map[string]any) {
			for name, v := range m {
				at, _ := v.(string)
				if _, rest, ok := strings.Cut(at, "://"); ok && (strings.HasSuffix(name, "_endpoint") || name == "jwks_uri") {
					_, path, _ := strings.Cut(rest, "/")
					m[name] = other + "/" + path
				}
			}
		},
	}
}

// editPublished leaves everything alone that is no JSON object.
func editPublished(a Answer, change func(map[string]any)) Answer {
	var m map[string]any
	if json.Unmarshal([]byte(a.Body), &m) != nil {
		return a
	}
	change(m)
	if body, err := json.Marshal(m); err == nil {
		a.Body = string(body)
	}
	return a
}
