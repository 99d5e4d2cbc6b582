package testserver

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Resign signs an access token's claims again with the server's key, as
// another type or of another issuer: what a check of the signature alone would
// let pass.
func (s *Server) Resign(token, typ, issuer string) string {
	var c claims
	t, _, err := jwt.NewParser().ParseUnverified(token, &c)
	if err != nil {
		panic(err)
	}
	t.Header["typ"], c.Issuer = typ, issuer
	signed, err := t.SignedString(s.mint.access.current().signing())
	if err != nil {
		panic(err)
	}
	return signed
}

// SignedElsewhere are an access token's claims under the server's other keys,
// as its own access tokens name theirs: that of the ID tokens, and the secret of
// the refresh tokens.
func (s *Server) SignedElsewhere(token string) (byIDKey, byRefreshSecret string) {
	var c claims
	t, _, err := jwt.NewParser().ParseUnverified(token, &c)
	if err != nil {
		panic(err)
	}
	under := func(alg Algorithm, id string, key any) string {
		j := jwt.NewWithClaims(alg.method(), c)
		j.Header["typ"], j.Header["kid"] = accessType, id
		signed, err := j.SignedString(key)
		if err != nil {
			panic(err)
		}
		return signed
	}
	pair := s.mint.ring.current()
	return under(pair.Algorithm, pair.ID, pair.signing()), under(HS256, t.Header["kid"].(string), s.mint.Refresh)
}

// Child derives the refresh token that follows parent, for a fixed row.
func (s *Server) Child(parent string) string {
	child, err := s.mint.refreshToken(session{}, parent, refreshToken{nonce: []byte("nonce")})
	if err != nil {
		panic(err)
	}
	return child
}

// What pages and their tests know.
const (
	ACRPassword = acrPassword
	ACRStrong   = acrStrong
)

// ErrLoginNeeded is errLoginNeeded.
var ErrLoginNeeded = errLoginNeeded

// SignInBrowser is what the login page does.
func (s *Server) SignInBrowser(w http.ResponseWriter, r *http.Request, user, acr string) error {
	return s.signInBrowser(w, r, authentication{User: user, Time: s.now(), ACR: acr})
}

// ApprovePending is what the consent page does.
func (s *Server) ApprovePending(id, user, acr string) (string, error) {
	return s.approve(context.Background(), id, &authentication{User: user, Time: s.now(), ACR: acr})
}

// DenyPending is what the consent page does.
func (s *Server) DenyPending(id string) (string, error) { return s.deny(context.Background(), id) }

// TidyUserCode is tidyUserCode.
func TidyUserCode(typed string) string { return tidyUserCode(typed) }

// ConfirmLogout is what the logout page does.
func (s *Server) ConfirmLogout(w http.ResponseWriter, r *http.Request, id string) (string, error) {
	return s.confirmLogout(w, r, id)
}

// ErrNoDocument is errNoDocument.
var ErrNoDocument = errNoDocument

// Documents opens the documents to their tests.
type Documents struct{ documents }

// MemoryStore is that of a server without a database.
func MemoryStore() Store { return newMemory() }

// MemoryDocuments are those of a server without a database.
func MemoryDocuments() Documents { return Documents{newMemoryDocuments()} }

// Put is documents.put.
func (d Documents) Put(ctx context.Context, now time.Time, kind, id string, data []byte, expires time.Time) (bool, error) {
	return d.put(ctx, now, kind, id, data, expires)
}

// Get is documents.get.
func (d Documents) Get(ctx context.Context, now time.Time, kind, id string) ([]byte, error) {
	return d.get(ctx, now, kind, id)
}

// Take is documents.take.
func (d Documents) Take(ctx context.Context, now time.Time, kind, id string) ([]byte, error) {
	return d.take(ctx, now, kind, id)
}

// Update is documents.update.
func (d Documents) Update(ctx context.Context, now time.Time, kind, id string, fn func([]byte) ([]byte, error)) error {
	return d.update(ctx, now, kind, id, fn)
}

// ParseProof is parseProof: what it found, in words that a test can compare.
func ParseProof(proof string) (id, method, url, thumbprint string, err error) {
	c, thumbprint, err := parseProof(proof)
	return c.ID, c.Method, c.URL, thumbprint, err
}

// ParseJWKS is parseJWKS: the thumbprints of the keys.
func ParseJWKS(data []byte) ([]string, error) {
	keys, err := parseJWKS(data)
	var out []string
	for _, k := range keys {
		thumbprint, err := thumbprintOf(k.key)
		if err != nil {
			return nil, err
		}
		out = append(out, thumbprint)
	}
	return out, err
}

// PeekAssertion is peekAssertion.
func PeekAssertion(assertion string) (issuer string, ok bool) { return peekAssertion(assertion) }

// LiveTokens counts the refresh tokens of a session that may be redeemed, by
// branch of its family.
func (s *Server) LiveTokens(id string) (byBranch map[int64]int, err error) {
	byBranch = make(map[int64]int)
	err = s.store.view(context.Background(), id, func(t *tx) error {
		family, err := t.rows.family()
		for _, token := range family {
			if token.status == statusActive {
				byBranch[token.branch]++
			}
		}
		return err
	})
	return byBranch, err
}

// EchoFrame reads a frame of a client and writes it back.
func EchoFrame(r io.Reader) (payload, echo []byte, code int) {
	op, payload, code := readFrame(bufio.NewReader(r))
	if code != 0 {
		return nil, nil, code
	}
	var out bytes.Buffer
	_ = writeFrame(&out, op, payload) // into memory: cannot fail
	return payload, out.Bytes(), 0
}

// GateNamed is the gate with an id of the control plane; nil if there is none.
func (s *Server) GateNamed(id string) *Gate {
	g, _ := s.gateNamed(id)
	return g
}
