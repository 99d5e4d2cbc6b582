package testserver

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxURI is longer than any redirect URI that makes sense.
const maxURI = 2048

// redirectAllowed compares exactly (RFC 9700 2.1), but for the port of a
// loopback address, which a native app learns only when it listens (RFC 8252
// 7.3). A client that registered nothing may use any path on loopback.
func redirectAllowed(registered []string, asked string) bool {
	if !redirectPossible(asked) {
		return false
	}
	_, _, isLoopback := loopback(asked)
	if len(registered) == 0 {
		return isLoopback
	}
	return slices.ContainsFunc(registered, func(known string) bool { return sameRedirect(known, asked) })
}

func sameRedirect(known, asked string) bool {
	if known == asked {
		return true
	}
	host, rest, ok := loopback(known)
	askedHost, askedRest, askedOK := loopback(asked)
	return ok && askedOK && host == askedHost && rest == askedRest
}

// redirectPossible refuses what no answer can be sent to: a relative URI, one
// with a fragment (RFC 6749 3.1.2), and what a browser would run.
func redirectPossible(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && len(uri) <= maxURI && u.Scheme != "" && !strings.Contains(uri, "#") &&
		u.User == nil && !slices.Contains([]string{"javascript", "data", "vbscript", "file"}, strings.ToLower(u.Scheme)) &&
		(u.Host != "" || u.Scheme != "http" && u.Scheme != "https")
}

// loopback splits an http URI on this machine into the host and what follows
// the port. It works on the text, as the comparison does: two readings of one
// URI are how tokens get lost.
func loopback(uri string) (host, rest string, ok bool) {
	for _, host := range []string{"127.0.0.1", "[::1]", "localhost"} {
		rest, found := strings.CutPrefix(uri, "http://"+host)
		if !found {
			continue
		}
		if port, found := strings.CutPrefix(rest, ":"); found {
			rest = strings.TrimLeft(port, "0123456789")
			if rest == port {
				return "", "", false
			}
		}
		if rest == "" || rest[0] == '/' || rest[0] == '?' {
			return host, rest, true
		}
	}
	return "", "", false
}

// withQuery adds parameters to a redirect URI, whose own it keeps (RFC 6749
// 3.1.2).
func withQuery(uri string, add url.Values) string {
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return uri + separator + add.Encode()
}

// redirectReply is 303: a 307 would send the user's password on to the client
// (RFC 9700 4.12).
func redirectReply(o Outcome, location string) reply {
	return reply{outcome: o, Answer: Answer{Status: http.StatusSeeOther, Header: http.Header{
		"Location":        {location},
		"Cache-Control":   {"no-store"},
		"Referrer-Policy": {"no-referrer"}, // RFC 9700 4.2.4: the location holds a code
	}}}
}
