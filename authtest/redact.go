package authtest

import (
	"fmt"
	"log/slog"
	"time"
)

// Tokens is the set of tokens of a login. The fields are plain strings, being
// test data; printing, logging or encoding the whole shows none of them.
type Tokens struct {
	AccessToken  string        // a JWT; clients must not look inside
	RefreshToken string        // good for one refresh
	ExpiresIn    time.Duration // life of the access token
	SessionID    string        // for RevokeSession and Violation.Session
}

// Format implements fmt.Formatter and shows no token, whatever the verb.
func (t Tokens) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, t.describe()) }

// LogValue implements slog.LogValuer and shows no token.
func (t Tokens) LogValue() slog.Value { return slog.StringValue(t.describe()) }

// MarshalText implements encoding.TextMarshaler and shows no token.
func (t Tokens) MarshalText() ([]byte, error) { return []byte(t.describe()), nil }

func (t Tokens) describe() string { return "authtest.Tokens(" + t.SessionID + ")" }

// Format implements fmt.Formatter and shows no password, whatever the verb.
func (u User) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, u.describe()) }

// LogValue implements slog.LogValuer and shows no password.
func (u User) LogValue() slog.Value { return slog.StringValue(u.describe()) }

// MarshalText implements encoding.TextMarshaler and shows no password.
func (u User) MarshalText() ([]byte, error) { return []byte(u.describe()), nil }

func (u User) describe() string { return "authtest.User(" + u.Name + ")" }

// Format implements fmt.Formatter and shows no secret, whatever the verb.
func (c Client) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, c.describe()) }

// LogValue implements slog.LogValuer and shows no secret.
func (c Client) LogValue() slog.Value { return slog.StringValue(c.describe()) }

// MarshalText implements encoding.TextMarshaler and shows no secret.
func (c Client) MarshalText() ([]byte, error) { return []byte(c.describe()), nil }

func (c Client) describe() string { return "authtest.Client(" + c.ID + ")" }
