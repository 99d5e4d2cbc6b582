package tokensource

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Source hands out a token that may be sent now.
type Source interface {
	// Token returns the current token. It is safe for concurrent use. It
	// returns when ctx ends, with the cause of that.
	Token(ctx context.Context) (Token, error)
}

// TokenID is the identity of a token set: the login it descends from and how
// many sets of that login were saved before it. Access tokens are never
// compared by their text, since servers issue byte-identical ones within a
// second.
type TokenID struct {
	// Family is drawn at random when a login is adopted.
	Family [16]byte
	// Generation counts the saved token sets of the family, from 1.
	Generation uint64
}

// Token is what callers get: the access side of a token set. It is a small
// immutable value, safe for concurrent use. The zero Token holds nothing.
type Token struct{ set *tokenSet }

// tokenSet is shared by all copies of a Token; nothing changes it after
// NewToken.
type tokenSet struct {
	id            TokenID
	accessToken   Secret // not strings: with a wrong verb, fmt prints what a
	authorization Secret // pointer to a struct points to
	tokenType     string
	issuedAt      time.Time
	expiry        time.Time
	scopes        []string
}

// NewToken returns the access side of g under the given identity. Programs
// get their tokens from a [Session]; NewToken is for Sources of their own.
func NewToken(id TokenID, g Grant) Token {
	set := &tokenSet{
		id:          id,
		accessToken: g.AccessToken,
		tokenType:   canonicalTokenType(g.TokenType),
		issuedAt:    g.IssuedAt,
		expiry:      g.Expiry,
		scopes:      slices.Clone(g.Scopes),
	}
	// Joined once here, so that attaching it costs a request no allocation.
	set.authorization = NewSecret(set.tokenType + " " + g.AccessToken.Reveal())
	return Token{set: set}
}

// canonicalTokenType returns the spelling used in the Authorization header.
// token_type is case-insensitive (RFC 6749 5.1) and, where a dialect has
// none, Bearer.
func canonicalTokenType(t string) string {
	switch {
	case t == "" || strings.EqualFold(t, "Bearer"):
		return "Bearer"
	case strings.EqualFold(t, "DPoP"):
		return "DPoP"
	}
	return t
}

// IsZero reports whether t holds no token.
func (t Token) IsZero() bool { return t.set == nil }

// ID returns the identity of the token set.
func (t Token) ID() TokenID {
	if t.set == nil {
		return TokenID{}
	}
	return t.set.id
}

// AccessToken returns the access token (RFC 6749 1.4).
func (t Token) AccessToken() Secret {
	if t.set == nil {
		return Secret{}
	}
	return t.set.accessToken
}

// Authorization returns the value of the Authorization header field that
// presents the token (RFC 6750 2.1).
func (t Token) Authorization() Secret {
	if t.set == nil {
		return Secret{}
	}
	return t.set.authorization
}

// Type returns the token type in its usual spelling, such as "Bearer".
func (t Token) Type() string {
	if t.set == nil {
		return ""
	}
	return t.set.tokenType
}

// IssuedAt returns the local time at which the token was received.
func (t Token) IssuedAt() time.Time {
	if t.set == nil {
		return time.Time{}
	}
	return t.set.issuedAt
}

// Expiry returns the local time at which the token ends, or the zero time
// where the server did not say. A server may end a token earlier.
func (t Token) Expiry() time.Time {
	if t.set == nil {
		return time.Time{}
	}
	return t.set.expiry
}

// Scopes returns a copy of the scopes that the server said it granted, nil
// where it did not say (RFC 6749 3.3).
func (t Token) Scopes() []string {
	if t.set == nil {
		return nil
	}
	return slices.Clone(t.set.scopes)
}

// String describes the token without showing it.
func (t Token) String() string {
	if t.set == nil {
		return "tokensource.Token{}"
	}
	return "tokensource.Token{type: " + t.set.tokenType +
		", generation: " + strconv.FormatUint(t.set.id.Generation, 10) + ", " + redacted + "}"
}

// GoString describes the token without showing it.
func (t Token) GoString() string { return t.String() }

// Format describes the token without showing it, for every verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// LogValue describes the token without showing it.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText describes the token without showing it.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
