package testserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"time"
)

// How strongly a user can prove to be there (OpenID Connect Core 2, acr).
const (
	acrPassword = "urn:authtest:password"
	acrStrong   = "urn:authtest:strong"
)

// authentication is who proved to be there, when and how strongly.
type authentication struct {
	User string    `json:"user"`
	Time time.Time `json:"time"`
	ACR  string    `json:"acr"`
	// Device is what the user calls the device with this browser; empty: nothing.
	Device string `json:"device,omitempty"`
	// Version is the user's at the time: it moves on when they are signed out
	// everywhere, and this ends with all else.
	Version int64 `json:"version,omitempty"`
}

// methodsOf are the amr values (RFC 8176 2) that lead to an acr.
func methodsOf(acr string) []string {
	if acr == acrStrong {
		return []string{"pwd", "otp"}
	}
	return []string{"pwd"}
}

// The browser of a user who signed in holds a cookie, and the server what it
// stands for. This is the sign-on of the authorization endpoint, not a
// session: it has no tokens, and ending it ends none.
const (
	browserCookie = "authtest_browser"
	kindBrowser   = "browser"
)

// documentID is all the server keeps of a secret that finds a document.
func documentID(secret string) string {
	d := digestOf(secret)
	return hex.EncodeToString(d[:])
}

// signInBrowser remembers the user in the browser that sent r. The cookie is
// new each time: one that was planted before the login is worth nothing after.
func (s *Server) signInBrowser(w http.ResponseWriter, r *http.Request, a authentication) error {
	u, err := s.store.user(r.Context(), a.User)
	if err != nil {
		return err
	}
	a.Version = u.version
	s.forgetBrowser(r)
	now, secret := s.now(), rand.Text()
	_, err = putDocument(r.Context(), s.documents, now, kindBrowser, documentID(secret), a, now.Add(s.policy.AbsoluteTTL))
	if err == nil {
		http.SetCookie(w, s.browserCookie(secret))
	}
	return err
}

// signOutBrowser forgets the user in the browser that sent r.
func (s *Server) signOutBrowser(w http.ResponseWriter, r *http.Request) {
	s.forgetBrowser(r)
	c := s.browserCookie("")
	c.MaxAge = -1
	http.SetCookie(w, c)
}

func (s *Server) forgetBrowser(r *http.Request) {
	if c, err := r.Cookie(browserCookie); err == nil {
		_, _ = s.documents.take(r.Context(), s.now(), kindBrowser, documentID(c.Value)) // absent is as good
	}
}

// browserCookie is Lax, not Strict: the user comes here by a link of the
// client's, which is another site.
func (s *Server) browserCookie(value string) *http.Cookie {
	return &http.Cookie{
		Name: browserCookie, Value: value, Path: s.path + "/", HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: s.overTLS(),
	}
}

// signedIn says who is remembered in the browser that sent r; nil for nobody.
func (s *Server) signedIn(r *http.Request) (*authentication, error) {
	c, err := r.Cookie(browserCookie)
	if err != nil {
		return nil, nil
	}
	a, err := readDocument[authentication](r.Context(), s.documents, s.now(), kindBrowser, documentID(c.Value))
	if a == nil || err != nil {
		return nil, err
	}
	u, err := s.store.user(r.Context(), a.User)
	switch {
	case errors.Is(err, errUnknownUser):
		return nil, nil
	case err != nil:
		return nil, err
	case !u.disabled.IsZero(), u.version != a.Version:
		return nil, nil
	}
	return a, nil
}

// mayEnter reports whether there is such a user who is not locked out.
func (s *Server) mayEnter(ctx context.Context, name string) bool {
	u, err := s.store.user(ctx, name)
	return err == nil && u.disabled.IsZero()
}
