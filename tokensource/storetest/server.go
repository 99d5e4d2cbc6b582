package storetest

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// server is a token endpoint in miniature, of the strictest kind: a refresh
// token is good once, and the session is over when it comes back.
type server struct {
	mu      sync.Mutex // guards all below; not held while an answer is
	live    tokensource.Secret
	reused  bool
	asked   uint64
	revoked []tokensource.Secret
	// granted, while not nil, is closed by the next refresh, whose answer
	// then waits for let.
	granted, let chan struct{}
}

func newServer() *server { return &server{} }

func (v *server) login() tokensource.Grant {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.issue()
}

// issue makes the next token set; the caller holds mu. It looks an hour old, so
// that a Session which is told to renew it does not take the API for broken.
func (v *server) issue() tokensource.Grant {
	v.live = tokensource.NewSecret("refresh-" + rand.Text())
	now := time.Now()
	return tokensource.Grant{
		AccessToken:  tokensource.NewSecret("access-" + rand.Text()),
		RefreshToken: v.live,
		IssuedAt:     now.Add(-time.Hour),
		Expiry:       now.Add(time.Hour),
	}
}

// Refresh rotates.
func (v *server) Refresh(ctx context.Context, old tokensource.Grant) (tokensource.Grant, error) {
	v.mu.Lock()
	v.asked++
	if v.reused || !old.RefreshToken.Equal(v.live) {
		v.reused = true
		v.mu.Unlock()
		return tokensource.Grant{}, &tokensource.Error{Reason: tokensource.ReasonRejected, Status: 400, Code: "invalid_grant"}
	}
	g, granted, let := v.issue(), v.granted, v.let
	v.granted = nil
	v.mu.Unlock()
	if granted == nil {
		return g, nil
	}
	close(granted)
	select {
	case <-let:
		return g, nil
	case <-ctx.Done():
		return tokensource.Grant{}, &tokensource.Error{Reason: tokensource.ReasonLost, Uncertain: true}
	}
}

// Revoke remembers what it was told.
func (v *server) Revoke(_ context.Context, g tokensource.Grant) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revoked = append(v.revoked, g.RefreshToken)
	return nil
}

// hold makes the answer to the next refresh wait for release.
func (v *server) hold() (granted <-chan struct{}, release func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	let := make(chan struct{})
	v.granted, v.let = make(chan struct{}), let
	return v.granted, sync.OnceFunc(func() { close(let) })
}

// child is the refresh token that was issued last.
func (v *server) child() tokensource.Secret {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.live
}

func (v *server) wasRevoked(s tokensource.Secret) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.ContainsFunc(v.revoked, s.Equal)
}

func (v *server) seen() (asked uint64, reused bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked, v.reused
}
