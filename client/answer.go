package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// bodyKind is what the body of an answer looks like. Its Content-Type is not
// asked, except for a form: servers send JSON as text and HTML as JSON.
type bodyKind uint8

const (
	bodyEmpty  bodyKind = iota
	bodyObject          // JSON or a form; another JSON value is an object without members
	bodyCut             // JSON that ends early
	bodyText            // HTML, text, anything
)

// answer is a complete answer of the server.
type answer struct {
	status   int
	kind     bodyKind
	members  map[string]json.RawMessage
	received time.Time
	// retryAfter is bounded; retryAfterSet tells zero from absent.
	retryAfter    time.Duration
	retryAfterSet bool
}

func readAnswer(status int, header http.Header, body []byte, now time.Time) *answer {
	a := &answer{status: status, received: now}
	a.kind, a.members = parseBody(header.Get("Content-Type"), body)
	a.retryAfter, a.retryAfterSet = retryAfter(header, now)
	return a
}

// parseBody reads the first JSON value of body. What follows it is ignored:
// refusing a rotated token over a trailing comment would end the session. Of
// a member that is there twice the last one counts.
func parseBody(contentType string, body []byte) (bodyKind, map[string]json.RawMessage) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(body) == 0 {
		return bodyEmpty, nil
	}
	var value json.RawMessage
	err := json.NewDecoder(bytes.NewReader(body)).Decode(&value)
	if err == nil {
		var members map[string]json.RawMessage
		_ = json.Unmarshal(value, &members) // not an object: no members
		return bodyObject, members
	}
	if errors.Is(err, io.ErrUnexpectedEOF) && body[0] == '{' {
		return bodyCut, nil
	}
	// RFC 6749 has no form answers; GitHub sends them unless asked not to.
	if mediaType, _, _ := mime.ParseMediaType(contentType); mediaType == "application/x-www-form-urlencoded" {
		return bodyObject, parseForm(body)
	}
	return bodyText, nil
}

func parseForm(body []byte) map[string]json.RawMessage {
	form, _ := url.ParseQuery(string(body))
	members := make(map[string]json.RawMessage, len(form))
	for name := range form {
		members[name], _ = json.Marshal(form.Get(name))
	}
	return members
}

// text returns the first of the members that is a non-empty string. A dialect
// leaves the name of a member empty that it does not have.
func (a *answer) text(names ...string) string {
	for _, name := range names {
		var s string
		if name != "" && json.Unmarshal(a.members[name], &s) == nil && s != "" {
			return s
		}
	}
	return ""
}

// list returns a member that is a space-separated string, or an array of
// strings, which RFC 6749 3.3 does not know but servers send.
func (a *answer) list(name string) []string {
	var array []string
	if json.Unmarshal(a.members[name], &array) == nil && len(array) > 0 {
		return array
	}
	if fields := strings.Fields(a.text(name)); len(fields) > 0 {
		return fields
	}
	return nil
}

// end returns the receipt plus the first of the members that is a lifetime
// in seconds: a number, whole or not, or a string that holds one. Anything
// absurd means that the lifetime is unknown.
func (a *answer) end(names ...string) time.Time {
	for _, name := range names {
		text := strings.TrimSpace(strings.Trim(string(a.members[name]), `"`))
		seconds, err := strconv.ParseFloat(text, 64)
		if err == nil && seconds > 0 && seconds <= tokensource.MaxLifetime.Seconds() {
			return a.received.Add(time.Duration(seconds * float64(time.Second)))
		}
	}
	return time.Time{}
}

// maxRetryAfter keeps a typing error at the server from stopping a program
// for a year.
const maxRetryAfter = time.Hour

// retryAfter reads both forms of Retry-After (RFC 9110 10.2.3).
func retryAfter(header http.Header, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if text == "" {
		text = strings.TrimSpace(header.Get("X-Retry-After")) // better-auth
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second)), true
	}
	if date, err := http.ParseTime(text); err == nil {
		// Judged by the server's own clock where it says it: ours may be off.
		if theirs, err := http.ParseTime(header.Get("Date")); err == nil {
			now = theirs
		}
		return min(max(date.Sub(now), 0), maxRetryAfter), true
	}
	return 0, false
}

// members are the names under which a dialect answers.
type members struct {
	accessToken, refreshToken, idToken string
	tokenType, expiresIn, scope        string
	subject                            string
	hardEnd, idleEnd                   []string
	bearerTypes                        []string // what else a Bearer token is called
}

// grant returns the token set that a holds, if it holds one that can be used.
func (m members) grant(a *answer) (tokensource.Grant, bool) {
	access, tokenType := a.text(m.accessToken), m.typeOf(a)
	if a.status/100 != 2 || !usableToken(access) || !usableType(tokenType) {
		return tokensource.Grant{}, false
	}
	return tokensource.Grant{
		AccessToken:  tokensource.NewSecret(access),
		RefreshToken: tokensource.NewSecret(a.text(m.refreshToken)),
		IDToken:      tokensource.NewSecret(a.text(m.idToken)),
		TokenType:    tokenType,
		Subject:      a.text(m.subject),
		Scopes:       a.list(m.scope),
		IssuedAt:     a.received,
		Expiry:       a.end(m.expiresIn),
		HardEnd:      a.end(m.hardEnd...),
		IdleEnd:      a.end(m.idleEnd...),
	}, true
}

// typeOf is the type of the token in a, by the name that RFC 6750 has for it.
func (m members) typeOf(a *answer) string {
	name := a.text(m.tokenType)
	if slices.ContainsFunc(m.bearerTypes, func(s string) bool { return strings.EqualFold(s, name) }) {
		return "Bearer"
	}
	return name
}

// usableToken reports whether s can be an access token (RFC 6749 A.12) and so
// be put into a header.
func usableToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// usableType reports whether a token of this type may be attached. RFC 6749
// 5.1 requires token_type, and 7.1 forbids a client to use one that it does
// not understand. A missing one is taken as Bearer all the same: the server
// has rotated by now, so refusing the set would end the session over it.
func usableType(tokenType string) bool {
	return tokenType == "" || strings.EqualFold(tokenType, "Bearer")
}
