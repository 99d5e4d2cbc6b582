package testserver

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The types that keep the two kinds of token apart, next to their keys: RFC
// 9068 2.1 for the access token; RFC 8725 3.11 asks for such explicit types.
const (
	idType      = "JWT"
	accessType  = "at+jwt"
	refreshType = "refresh+jwt"
)

const opaquePrefix = "rt_"

// mint makes and checks tokens. Its keys are documents, so that a restart and
// a second process over one store go on with them.
type mint struct {
	issuer string
	format Format
	opaque bool // access tokens, too
	secrets
	ring   *keyring // signs ID tokens
	access *keyring // signs access tokens; the same, unless a secret does
	now    func() time.Time
}

func newMint(ctx context.Context, cfg Config, docs documents, now func() time.Time) (*mint, error) {
	kept, err := loadSecrets(ctx, docs, now())
	if err != nil {
		return nil, err
	}
	ids, access, err := rings(ctx, cfg, docs, now())
	if err != nil {
		return nil, err
	}
	return &mint{
		issuer: cfg.Issuer, format: cfg.Profile.RefreshFormat, opaque: cfg.Access == OpaqueAccess,
		secrets: kept, ring: ids, access: access, now: now,
	}, nil
}

// rings lists each one once.
func (m *mint) rings() []*keyring {
	if m.access == m.ring {
		return []*keyring{m.ring}
	}
	return []*keyring{m.ring, m.access}
}

func (m *mint) follow(ctx context.Context, now time.Time) {
	for _, r := range m.rings() {
		r.follow(ctx, now)
	}
}

// random never fails: crypto/rand ends the program if the system cannot.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// claims are those of both kinds of token; RFC 9068 2.2 for the access token.
type claims struct {
	jwt.RegisteredClaims
	Session string `json:"sid"`
	Version int64  `json:"ver"`
	Client  string `json:"client_id"`
	Scope   string `json:"scope,omitempty"`

	// How and when the user proved to be there (RFC 9068 2.2.1): what a step-up
	// is judged by.
	AuthTime *jwt.NumericDate `json:"auth_time,omitempty"`
	ACR      string           `json:"acr,omitempty"`
	AMR      []string         `json:"amr,omitempty"`

	Actor        *actor        `json:"act,omitempty"`
	Confirmation *confirmation `json:"cnf,omitempty"`
}

func (m *mint) claims(s session, jti string, issued, expires time.Time) claims {
	subject := s.client // RFC 9068 2.2: the client itself where no user is involved
	if s.user != "" {
		subject = s.user
	}
	return claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: m.issuer, Subject: subject, ID: jti,
			IssuedAt: jwt.NewNumericDate(issued), ExpiresAt: jwt.NewNumericDate(expires),
		},
		Session: s.id, Version: s.version, Client: s.client,
	}
}

// accessToken signs one. Whether it is still good is read from its record, not
// from exp alone, so that a revocation works at once.
func (m *mint) accessToken(s session, row accessToken, cnf confirmation) (string, error) {
	return m.writeAccess(m.accessClaims(s, row, cnf))
}

func (m *mint) accessClaims(s session, row accessToken, cnf confirmation) claims {
	c := m.claims(s, row.jti, row.issued, row.expires)
	c.Audience = jwt.ClaimStrings{m.issuer + "/api"}
	c.Scope, c.Confirmation = row.scope, cnf.claim()
	if s.user != "" && !s.authTime.IsZero() {
		c.AuthTime, c.ACR, c.AMR = jwt.NewNumericDate(s.authTime), s.acr, methodsOf(s.acr)
	}
	return c
}

// writeAccess gives claims the form of access tokens.
func (m *mint) writeAccess(c claims) (string, error) {
	if m.opaque {
		return m.sealAccess(c)
	}
	return m.access.sign(accessType, c)
}

// refreshToken makes the token that follows parent (none: the first of its
// family). It depends on nothing but the parent, the row and the server's key,
// so the same child can be told again although only its hash is stored, and a
// stolen store cannot mint.
func (m *mint) refreshToken(s session, parent string, t refreshToken) (string, error) {
	mac := hmac.New(sha256.New, m.Derive)
	mac.Write([]byte("rt-child\x00"))
	mac.Write(t.nonce)
	mac.Write([]byte(parent))
	secret := base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	if m.format == Opaque {
		return opaquePrefix + secret, nil
	}
	j := jwt.NewWithClaims(jwt.SigningMethodHS256, m.claims(s, secret, t.issued.Add(t.skew), t.expires.Add(t.skew)))
	j.Header["typ"] = refreshType
	signed, err := j.SignedString(m.Refresh)
	if err != nil {
		return "", fmt.Errorf("testserver: signing a refresh token: %w", err)
	}
	return signed, nil
}

var errForeign = errors.New("testserver: not an access token of this server")

// readAccess checks signature, type and issuer of an access token (RFC 9068
// 4). Its end is judged by the caller, who knows the exact one. A refresh
// token needs no such reading: only what was issued is found by its hash.
func (m *mint) readAccess(token string) (claims, error) {
	if strings.HasPrefix(token, opaqueAccessPrefix) {
		return m.openAccess(token)
	}
	var c claims
	if err := m.access.verify(context.Background(), m.now(), token, accessType, &c); err != nil || c.Issuer != m.issuer {
		return claims{}, errForeign // never err: it may quote the token
	}
	return c, nil
}
