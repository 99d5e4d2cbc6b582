package testserver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Edit names a way to spoil an answer. Those that change a member of a token
// answer leave any other answer as it is.
type Edit string

// The edits that replace or reframe the answer.
const (
	EmptyBody       Edit = "empty-body"       // 200 and nothing
	HalfJSON        Edit = "half-json"        // half the body, well framed
	Truncated       Edit = "truncated"        // half the body under the Content-Length of the whole
	TruncatedChunks Edit = "truncated-chunks" // half the body in chunks, and no last one. HTTP/1.1
	MalformedChunk  Edit = "malformed-chunk"  // half the body, and a chunk of impossible length. HTTP/1.1
	Garbage         Edit = "garbage"          // bytes that are no HTTP. HTTP/1.1
	HugeBody        Edit = "huge-body"        // 64 MiB of spaces after the body
	GzipBomb        Edit = "gzip-bomb"        // 64 MiB of spaces in 64 KiB
	SlowHeaders     Edit = "slow-headers"     // eight bytes each 100 ms, from the first on. HTTP/1.1
	SlowBody        Edit = "slow-body"        // a byte of the body each 100 ms
	CaptivePortal   Edit = "captive-portal"   // a 200 with a page in HTML
	PlainText       Edit = "plain-text"       // the body as text/plain
	FormEncoded     Edit = "form-encoded"     // the members as a form, as GitHub does unasked
	ErrorIn200      Edit = "error-in-200"     // a 200 whose body is an error
	ByteOrderMark   Edit = "bom"              // a byte order mark first; RFC 8259 8.1 forbids it
	ConnectionClose Edit = "connection-close" // the last answer of its connection; GOAWAY on HTTP/2
	EarlyHints      Edit = "early-hints"      // a 103 before the answer
	Unauthorized    Edit = "unauthorized"     // 401 invalid_token, whatever the token was
	UnauthorizedWeb Edit = "unauthorized-web" // 401 with a page in HTML and no challenge
)

// The edits of a token answer.
const (
	NoAccessToken     Edit = "no-access-token"
	NoRefreshToken    Edit = "no-refresh-token" // though it was rotated
	SameRefreshToken  Edit = "same-refresh-token"
	NoTokenType       Edit = "no-token-type"
	TokenTypeBearer   Edit = "token-type-bearer" // in lower case
	TokenTypeDPoP     Edit = "token-type-dpop"
	TokenTypeMAC      Edit = "token-type-mac"
	ExpiresString     Edit = "expires-string"
	ExpiresFloat      Edit = "expires-float"
	ExpiresZero       Edit = "expires-zero"
	ExpiresNegative   Edit = "expires-negative"
	ExpiresMissing    Edit = "expires-missing"
	ExpiresHuge       Edit = "expires-huge"
	ExpiresNanosecond Edit = "expires-nanoseconds" // as one well-known mock has it
	DuplicateKeys     Edit = "duplicate-keys"      // the access token twice; the last is the real one
	UnknownMembers    Edit = "unknown-members"
)

// wholesale are the edits that take the answer as bytes.
func wholesale() map[Edit]func(Answer) Answer {
	return map[Edit]func(Answer) Answer{
		EmptyBody:       func(a Answer) Answer { a.Body = ""; return a },
		HalfJSON:        func(a Answer) Answer { a.Body = half(a.Body); return a },
		Truncated:       truncated,
		TruncatedChunks: func(a Answer) Answer { return broken(a, "") },
		MalformedChunk:  func(a Answer) Answer { return broken(a, "not-hex\r\n") },
		Garbage:         func(Answer) Answer { return Answer{Raw: true, Body: "\x16\x03\x01garbage\x00\xff\r\n\r\n"} },
		HugeBody:        func(a Answer) Answer { a.Pad = bombSize; return a },
		GzipBomb:        func(a Answer) Answer { return bomb(a) },
		SlowHeaders:     slowHeaders,
		SlowBody:        func(a Answer) Answer { a.PaceBytes, a.PaceEvery = 1, 100*time.Millisecond; return a },
		CaptivePortal: func(Answer) Answer {
			return htmlAnswer(http.StatusOK, "<!doctype html><title>Welcome</title><p>Accept the terms to go on.")
		},
		PlainText:       func(a Answer) Answer { return withHeader(a, "Content-Type", "text/plain; charset=utf-8") },
		FormEncoded:     formEncoded,
		ErrorIn200:      errorIn200,
		ByteOrderMark:   func(a Answer) Answer { a.Body = "\uFEFF" + a.Body; return a },
		ConnectionClose: func(a Answer) Answer { return withHeader(a, "Connection", "close") },
		EarlyHints:      func(a Answer) Answer { a.Hints = true; return a },
		InterimAnswers:  func(a Answer) Answer { a.Interim = []int{102, 103, 103}; return a },
		UnauthorizedWeb: func(Answer) Answer {
			return htmlAnswer(http.StatusUnauthorized, "<!doctype html><title>Sign in</title>")
		},
	}
}

// members are the edits of one member of a token answer, which is told under
// the names of either dialect.
func members() map[Edit]func(m map[string]any, name func(oauth, json string) string) {
	type edit = func(m map[string]any, name func(string, string) string)
	set := func(oauth, json string, v any) edit {
		return func(m map[string]any, name func(string, string) string) { m[name(oauth, json)] = v }
	}
	unset := func(oauth, json string) edit {
		return func(m map[string]any, name func(string, string) string) { delete(m, name(oauth, json)) }
	}
	expires := func(v any) edit { return set("expires_in", "expiresIn", v) }
	return map[Edit]edit{
		NoAccessToken: unset("access_token", "accessToken"), NoRefreshToken: unset("refresh_token", "refreshToken"),
		NoTokenType: unset("token_type", "tokenType"), ExpiresMissing: unset("expires_in", "expiresIn"),
		TokenTypeBearer: set("token_type", "tokenType", "bearer"), TokenTypeDPoP: set("token_type", "tokenType", "DPoP"),
		TokenTypeMAC: set("token_type", "tokenType", "mac"), UnknownMembers: set("x_unknown", "xUnknown", []any{1, map[string]any{"a": nil}}),
		ExpiresString: expires("900"), ExpiresFloat: expires(json.RawMessage("900.5")), ExpiresZero: expires(0),
		ExpiresNegative: expires(-1), ExpiresHuge: expires(json.RawMessage("1e18")), ExpiresNanosecond: expires(int64(15 * time.Minute)),
	}
}

func (e Edit) check() error {
	if e == "" || slices.Contains(Edits(), e) {
		return nil
	}
	return fmt.Errorf("testserver: fault: no edit %q", string(e))
}

// Edits lists the names, sorted.
func Edits() []Edit {
	all := append(routed(), Unauthorized, SameRefreshToken, DuplicateKeys)
	all = slices.AppendSeq(all, maps.Keys(gateways()))
	all = slices.AppendSeq(all, maps.Keys(published()))
	all = slices.AppendSeq(all, maps.Keys(wholesale()))
	all = slices.AppendSeq(all, maps.Keys(members()))
	return slices.Sorted(slices.Values(all))
}

// edit carries one out.
func (s *Server) edit(e Edit, a Answer, x *exchange) Answer {
	a.Header = a.Header.Clone()
	if a.Header == nil {
		a.Header = make(http.Header)
	}
	if whole := wholesale()[e]; whole != nil {
		return whole(a)
	}
	if other := gateways()[e]; other != nil {
		return other()
	}
	if change := published()[e]; change != nil {
		return editPublished(a, change)
	}
	if slices.Contains(routed(), e) {
		return s.route(e, x)
	}
	if e == NoRefreshToken {
		a.Header.Del("Set-Cookie")
	}
	if change := members()[e]; change != nil {
		return editMembers(a, change)
	}
	switch e {
	case Unauthorized:
		return challenge(RefusedByRequest, `, error="invalid_token", error_description="Invalid token"`).Answer
	case SameRefreshToken:
		return editMembers(a, func(m map[string]any, name func(string, string) string) {
			m[name("refresh_token", "refreshToken")] = x.presented
		})
	case DuplicateKeys:
		if rest, ok := strings.CutPrefix(a.Body, "{"); ok {
			a.Body = `{"access_token":"first","accessToken":"first",` + rest
		}
	}
	return a
}

// editMembers leaves everything alone that is no token answer.
func editMembers(a Answer, change func(m map[string]any, name func(oauth, json string) string)) Answer {
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(a.Body))
	d.UseNumber()
	if d.Decode(&m) != nil {
		return a
	}
	_, oauth := m["access_token"]
	_, firstParty := m["accessToken"]
	if !oauth && !firstParty {
		return a
	}
	change(m, func(forOAuth, forJSON string) string {
		if oauth {
			return forOAuth
		}
		return forJSON
	})
	if body, err := json.Marshal(m); err == nil {
		a.Body = string(body)
	}
	return a
}

const bombSize = 64 << 20

// bomb unpacks to bombSize: RFC 1952 2.2 lets members follow each other, so one
// of a mebibyte serves for all.
func bomb(a Answer) Answer {
	blank := pack(strings.Repeat(" ", 1<<20))
	a.Body = pack(a.Body) + strings.Repeat(blank, bombSize>>20)
	return withHeader(a, "Content-Encoding", "gzip")
}

func pack(plain string) string {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, plain) // into memory: cannot fail
	_ = z.Close()
	return packed.String()
}

func half(body string) string { return body[:len(body)/2] }

func truncated(a Answer) Answer {
	a = withHeader(a, "Content-Length", strconv.Itoa(len(a.Body)+1))
	a.Body = half(a.Body)
	return a
}

// broken is an answer in chunks that ends with tail instead of a last chunk.
func broken(a Answer, tail string) Answer {
	body := half(a.Body)
	a.Header.Set("Transfer-Encoding", "chunked")
	return Answer{Raw: true, Body: head(a) + fmt.Sprintf("%x\r\n%s\r\n%s", max(len(body), 1), body, tail)}
}

func slowHeaders(a Answer) Answer {
	a.Header.Set("Content-Length", strconv.Itoa(len(a.Body)))
	a.Header.Set("Connection", "close")
	return Answer{Raw: true, Body: head(a) + a.Body, PaceBytes: 8, PaceEvery: 100 * time.Millisecond}
}

// head is the beginning of an answer as HTTP/1.1 writes it.
func head(a Answer) string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.status(), http.StatusText(a.status()))
	_ = a.Header.Write(&b) // into memory: cannot fail
	return b.String() + "\r\n"
}

func withHeader(a Answer, name, value string) Answer {
	a.Header.Set(name, value)
	return a
}

func htmlAnswer(status int, html string) Answer {
	return Answer{Status: status, Body: html, Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}}
}

func formEncoded(a Answer) Answer {
	var m map[string]any
	if json.Unmarshal([]byte(a.Body), &m) != nil {
		return a
	}
	form := url.Values{}
	for name, v := range m {
		form.Set(name, fmt.Sprint(v))
	}
	a.Body = form.Encode()
	return withHeader(a, "Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
}

func errorIn200(a Answer) Answer {
	a.Status, a.Body = http.StatusOK, `{"error":"bad_refresh_token","error_description":"The refresh token passed is incorrect or expired."}`
	return withHeader(a, "Content-Type", "application/json")
}
