package transport

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// origin is a scheme, host and port: the protection space of the token, which
// RFC 9110 11.5 never extends past one server.
type origin struct {
	scheme, host, port string
	addr               netip.Addr // of host, if that is an IPv6 literal
}

type origins []origin

// parseOrigin reads a configured origin. Its errors do not repeat the text,
// which may be an address with a password in it.
func parseOrigin(text string) (origin, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Hostname() == "":
		return origin{}, errors.New(`is not an origin: write it like "https://api.example.com" or "https://api.example.com:8443"`)
	case !foldEqual(u.Scheme, "https") && !foldEqual(u.Scheme, "http"):
		return origin{}, errors.New("has a scheme other than https and http")
	case u.User != nil, u.Path != "" && u.Path != "/", u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return origin{}, errors.New("is more than an origin: leave out user, path, query and fragment")
	}
	return originOf(u.Scheme, u), nil
}

// originOf returns the origin that scheme and the authority of u name.
// It does not allocate.
func originOf(scheme string, u *url.URL) origin {
	o := origin{scheme: scheme, host: strings.TrimSuffix(u.Hostname(), "."), port: u.Port()}
	if strings.IndexByte(o.host, ':') >= 0 {
		o.addr, _ = netip.ParseAddr(o.host)
	}
	if o.port == "" {
		o.port = "443"
		if foldEqual(scheme, "http") {
			o.port = "80"
		}
	}
	return o
}

// is reports whether both are the same origin. It does not allocate.
func (o origin) is(other origin) bool {
	if !foldEqual(o.scheme, other.scheme) || o.port != other.port {
		return false
	}
	if o.addr.IsValid() || other.addr.IsValid() {
		return o.addr == other.addr
	}
	return foldEqual(o.host, other.host)
}

// loopback reports whether the origin is this machine (RFC 6761 6.3 for the
// name). No name is looked up: the answer could change before the request.
func (o origin) loopback() bool {
	if foldEqual(o.host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(o.host)
	return err == nil && addr.IsLoopback()
}

// foldEqual compares without regard to ASCII case. strings.EqualFold would
// take the Kelvin sign for a k, which is another host.
func foldEqual(a, b string) bool {
	if a == b {
		return true
	}
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// reach reports whether req as it stands goes to one of the origins.
func (list origins) reach(req *http.Request) bool {
	// An opaque URL is sent as it is, and a proxy follows it to any host.
	if req.URL == nil || req.URL.Opaque != "" {
		return false
	}
	o := originOf(req.URL.Scheme, req.URL)
	// A server that is told another Host answers for another site.
	if req.Host != "" && req.Host != req.URL.Host && !o.is(originOf(req.URL.Scheme, &url.URL{Host: req.Host})) {
		return false
	}
	return slices.ContainsFunc(list, o.is)
}

// permit reports whether req may carry the token. A redirect may, if each hop
// that led to it stayed within the origins: after any other, its URL is a
// stranger's choice.
func (list origins) permit(req *http.Request) bool {
	if !list.reach(req) {
		return false
	}
	for resp := req.Response; resp != nil; resp = resp.Request.Response {
		if resp.Request == nil || !list.reach(resp.Request) {
			return false
		}
	}
	return true
}
