package transport

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Challenge is what a server asks for in a WWW-Authenticate header field
// (RFC 9110 11.6.1). All of it is the server's text: show it as such.
type Challenge struct {
	// Scheme is "Bearer" or "DPoP", as the server spells it.
	Scheme string
	// Realm is the protection space, empty where the server names none.
	Realm string
	// Error is the error code (RFC 6750 3.1, RFC 9470 3), such as
	// "insufficient_scope" or "insufficient_user_authentication". Empty: the
	// request lacked a token.
	Error string
	// Description is error_description, for developers.
	Description string
	// Scopes are needed for the request (RFC 6750 3). Nil: not said.
	Scopes []string
	// ACRValues are the acceptable authentication contexts, in order of
	// preference (RFC 9470 3). Nil: not said.
	ACRValues []string
	// MaxAge is how long ago the user may have authenticated at most
	// (RFC 9470 3), if HasMaxAge. Zero then means: now.
	MaxAge time.Duration
	// HasMaxAge says that the server set a MaxAge.
	HasMaxAge bool
	// ResourceMetadata is the address of the resource's metadata (RFC 9728
	// 5.1), which name its authorization servers.
	ResourceMetadata string

	params []authParam
}

// Param returns another parameter of the challenge, empty where it is absent.
// The case of its name is no matter.
func (c Challenge) Param(name string) string { return paramOf(c.params, name) }

// ChallengeOf returns the challenge of a response that has to do with tokens:
// the first one with an error code, else the first. It is meant for the 401s
// and 403s that pass through a [Transport], because another token of the same
// session would not help: hand the Scopes, ACRValues and MaxAge to a login.
func ChallengeOf(resp *http.Response) (Challenge, bool) {
	if resp == nil {
		return Challenge{}, false
	}
	var best *authChallenge
	for _, c := range parseChallenges(resp.Header.Values("WWW-Authenticate")) {
		if c.forTokens() && (best == nil || best.param("error") == "" && c.param("error") != "") {
			best = &c
		}
	}
	if best == nil {
		return Challenge{}, false
	}
	c := Challenge{
		Scheme:           best.scheme,
		Realm:            best.param("realm"),
		Error:            best.param("error"),
		Description:      best.param("error_description"),
		Scopes:           words(best.param("scope")),
		ACRValues:        words(best.param("acr_values")),
		ResourceMetadata: best.param("resource_metadata"),
		params:           best.params,
	}
	if seconds, err := strconv.ParseUint(best.param("max_age"), 10, 32); err == nil {
		c.MaxAge, c.HasMaxAge = time.Duration(seconds)*time.Second, true
	}
	return c, true
}

// words splits at spaces, and knows nothing from none.
func words(s string) []string {
	if list := strings.Fields(s); len(list) > 0 {
		return list
	}
	return nil
}
