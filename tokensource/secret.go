package tokensource

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret holds a token, a password or another text that must not be printed.
// Every way in which fmt, log/slog and encoding/json can show a value yields
// a placeholder; Reveal is the only way out. The zero Secret is empty.
//
// A Secret cannot be compared with ==, because tokens have no identity of
// their own: some servers issue the same bytes twice. Use [Secret.Equal]
// where the bytes themselves are meant. A Secret is immutable and safe for
// concurrent use.
type Secret struct {
	_ [0]func() // not comparable
	// A pointer, because fmt prints the fields of a struct that it reached
	// through an unexported field without calling any method. It prints an
	// address for a pointer.
	p *string
}

// NewSecret wraps s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{p: &s}
}

// Reveal returns the text. Call it where the text leaves for its one proper
// receiver, and nowhere else.
func (s Secret) Reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// IsZero reports whether the Secret is empty.
func (s Secret) IsZero() bool { return s.p == nil || *s.p == "" }

// Equal reports whether both hold the same text, in constant time for texts
// of one length.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String returns a placeholder.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// GoString returns a placeholder.
func (s Secret) GoString() string { return "tokensource.Secret(" + s.String() + ")" }

// Format prints a placeholder for every verb.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	_, _ = f.Write([]byte(text))
}

// LogValue returns a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns a placeholder, so that a Secret inside any marshaled
// structure stays unreadable. There is deliberately no UnmarshalText.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
