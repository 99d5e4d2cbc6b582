package tokensource

import (
	"context"
	"slices"
	"time"
)

// Grant is a whole token set as a token endpoint hands it out (RFC 6749 5.1).
// Only a Refresher, a Minter, a Revoker and [Session.Adopt] see one; everyone
// else gets a [Token].
type Grant struct {
	// AccessToken is required.
	AccessToken Secret
	// RefreshToken is empty where the server issued none. In the answer to
	// a refresh, empty means that the old one stays valid (RFC 6749 6).
	RefreshToken Secret
	// IDToken is the OpenID Connect ID token, if there was one. It is kept,
	// never verified or read.
	IDToken Secret
	// TokenType is token_type (RFC 6749 7.1), in any case. Empty means
	// Bearer.
	TokenType string
	// Subject names the account, where it is known. A refresh whose subject
	// differs ends the session.
	Subject string
	// Scopes is what was granted, nil where the server did not say.
	Scopes []string
	// IssuedAt is the local time at which the answer arrived. Zero means
	// now.
	IssuedAt time.Time
	// Expiry is IssuedAt plus expires_in; zero where the lifetime is
	// unknown. Keep the monotonic clock reading, it detects a sleep.
	Expiry time.Time
	// HardEnd is when the session ends whatever is refreshed, and IdleEnd
	// when it ends unless it is refreshed; zero where unknown.
	HardEnd, IdleEnd time.Time
}

func (g Grant) clone() Grant {
	g.Scopes = slices.Clone(g.Scopes)
	return g
}

// Refresher trades a refresh token for a new token set (RFC 6749 6).
type Refresher interface {
	// Refresh presents old.RefreshToken ONCE. It never retries, follows no
	// redirect, and obeys ctx; the Session decides what is repeated. It
	// must not return while a request of its own may still be written.
	//
	// A failure is an [*Error]: [ReasonNotSent] only if no byte of the
	// refresh token can have left this process, [ReasonLost] if it may have
	// and no complete answer came. Any other error is taken as an
	// uncertain [ReasonServer].
	Refresh(ctx context.Context, old Grant) (Grant, error)
}

// Minter obtains tokens without a refresh token: client credentials, JWT
// bearer (RFC 6749 4.4, RFC 7523). Calling it twice costs a request and
// nothing else.
type Minter interface {
	// Mint returns a new token set. Errors are as for a Refresher.
	Mint(ctx context.Context) (Grant, error)
}

// Revoker tells the server that a session is over (RFC 7009).
type Revoker interface {
	// Revoke ends the session that g belongs to. Revoking an unknown token
	// is no error.
	Revoke(ctx context.Context, g Grant) error
}
