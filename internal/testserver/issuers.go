package testserver

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// issuersPath is where the further issuers of a server begin.
const issuersPath = "/issuers/"

var issuerPattern = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,64}$`)

// errIssuerTaken says that a name is in use.
var errIssuerTaken = errors.New("testserver: there is an issuer of that name")

// Issuer adds an issuer of its own below this one: a server with the users,
// clients, sessions, faults, clock and book of its own Config, reached through
// this one's Handler under /issuers/name. Tests that run side by side share a
// process in this way and nothing else. Config.Issuer is filled in; a Store is
// shared only if it is given. It ends with Close, or with this server.
func (s *Server) Issuer(name string, cfg Config) (*Server, error) {
	if !issuerPattern.MatchString(name) || strings.Trim(name, ".") == "" {
		return nil, errors.New("testserver: an issuer's name is made of letters, digits and -._~")
	}
	if s.parent != nil {
		return nil, errors.New("testserver: an issuer has no issuers below it")
	}
	cfg.Issuer = s.mint.issuer + issuersPath + name
	child, err := New(cfg)
	if err != nil {
		return nil, fmt.Errorf("testserver: issuer %s: %w", name, err)
	}
	child.parent, child.name = s, name
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.children[name] != nil {
		return nil, errIssuerTaken
	}
	if s.children == nil {
		s.children = make(map[string]*Server)
	}
	s.children[name] = child
	return child, nil
}

// issuer finds one; nil if there is none.
func (s *Server) issuer(name string) *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.children[name]
}

// below lists the issuers.
func (s *Server) below() []*Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.children))
}

// leaveParent frees the name of an issuer that has ended.
func (s *Server) leaveParent() {
	if s.parent == nil {
		return
	}
	s.parent.mu.Lock()
	defer s.parent.mu.Unlock()
	if s.parent.children[s.name] == s {
		delete(s.parent.children, s.name)
	}
}

// dispatch hands a request to the issuer whose it is, and takes the path of
// the issuer away: the endpoints below know nothing of it.
func (s *Server) dispatch(own http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := withoutPrefix(r.URL.EscapedPath(), s.path)
		if !ok {
			http.NotFound(w, r)
			return
		}
		if child := s.issuer(issuerIn(path)); child != nil {
			child.handler.ServeHTTP(w, r)
			return
		}
		if s.path != "" {
			r = withPath(r, path)
		}
		own.ServeHTTP(w, r)
	})
}

// withoutPrefix also undoes what clients do to find the metadata of an issuer
// with a path: the well-known part is put before it (RFC 8414 3.1, RFC 9728
// 3.1).
func withoutPrefix(path, prefix string) (rest string, ok bool) {
	if prefix == "" {
		return path, true
	}
	for _, known := range []string{"", wellKnownServer, wellKnownOpenID, wellKnownResource} {
		rest, ok := strings.CutPrefix(path, known+prefix)
		if ok && (rest == "" && known != "" || strings.HasPrefix(rest, "/")) {
			return known + rest, true
		}
	}
	return "", false
}

// issuerIn is the name that a path leads to, directly or behind a well-known
// part.
func issuerIn(path string) string {
	for _, known := range []string{"", wellKnownServer, wellKnownOpenID, wellKnownResource} {
		if rest, ok := strings.CutPrefix(path, known+issuersPath); ok {
			name, _, _ := strings.Cut(rest, "/")
			return name
		}
	}
	return ""
}

// withPath is the request for another path. The escaped form is what was
// matched, so that one path has one reading.
func withPath(r *http.Request, escaped string) *http.Request {
	plain, err := url.PathUnescape(escaped)
	if err != nil { // it was a URL's
		plain = escaped
	}
	out := r.Clone(r.Context())
	out.URL.Path, out.URL.RawPath = plain, escaped
	return out
}
