package testserver

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"

	"github.com/golang-jwt/jwt/v5"
)

// idClaims are those of OpenID Connect Core 2.
type idClaims struct {
	jwt.RegisteredClaims
	Client     string           `json:"azp"`
	Session    string           `json:"sid"` // OpenID Connect RP-Initiated Logout 1.0: which session it is about
	Nonce      string           `json:"nonce,omitempty"`
	AccessHash string           `json:"at_hash"`
	AuthTime   *jwt.NumericDate `json:"auth_time"`
	ACR        string           `json:"acr,omitempty"`
	AMR        []string         `json:"amr,omitempty"`
}

// idToken says to the client who signed in: nothing without the scope openid,
// and nothing where no user is involved. It lives as long as the access token
// that it came with.
func (m *mint) idToken(s session, row accessToken, access, nonce string) (string, error) {
	if s.user == "" || !within("openid", row.scope) {
		return "", nil
	}
	return m.ring.sign(idType, idClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: m.issuer, Subject: s.user, Audience: jwt.ClaimStrings{s.client},
			IssuedAt: jwt.NewNumericDate(row.issued), ExpiresAt: jwt.NewNumericDate(row.expires),
		},
		Client: s.client, Session: s.id, Nonce: nonce,
		AccessHash: accessHash(m.ring.current().Algorithm, access),
		AuthTime:   jwt.NewNumericDate(s.authTime), ACR: s.acr, AMR: methodsOf(s.acr),
	})
}

// accessHash is at_hash (OpenID Connect Core 3.1.3.6): the left half of the
// digest that goes with the signature.
func accessHash(alg Algorithm, access string) string {
	if alg == EdDSA {
		sum := sha512.Sum512([]byte(access))
		return encode64(sum[:len(sum)/2])
	}
	sum := sha256.Sum256([]byte(access))
	return encode64(sum[:len(sum)/2])
}

// readIDToken checks one that comes back as a hint: its end does not matter
// (OpenID Connect RP-Initiated Logout 1.0, 2).
func (m *mint) readIDToken(ctx context.Context, token string) (idClaims, error) {
	var c idClaims
	if err := m.ring.verify(ctx, m.now(), token, idType, &c); err != nil || c.Issuer != m.issuer || c.Client == "" {
		return idClaims{}, errForeign
	}
	return c, nil
}
