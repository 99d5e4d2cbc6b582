package testserver

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"fmt"
	"strings"
)

// AccessFormat is the form of the access tokens.
type AccessFormat uint8

// The forms of an access token.
const (
	JWTAccess    AccessFormat = iota // at+jwt, RFC 9068
	OpaqueAccess                     // "at_" and what only this server can read
)

const opaqueAccessPrefix = "at_"

// sealAccess makes an opaque token of the claims. They are sealed, not stored:
// what says whether the token is good is the record of its jti, as with a JWT.
func (m *mint) sealAccess(c claims) (string, error) {
	plain, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("testserver: sealing an access token: %w", err)
	}
	sealer, err := m.sealer()
	if err != nil {
		return "", err
	}
	return opaqueAccessPrefix + encode64(sealer.Seal(nil, nil, plain, []byte(opaqueAccessPrefix))), nil
}

func (m *mint) sealer() (cipher.AEAD, error) {
	block, err := aes.NewCipher(m.derived("opaque-access"))
	if err != nil {
		return nil, fmt.Errorf("testserver: sealing an access token: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// openAccess reads an opaque token; errForeign if it is none of ours.
func (m *mint) openAccess(token string) (c claims, err error) {
	sealed, ok := strings.CutPrefix(token, opaqueAccessPrefix)
	raw, errCode := decode64(sealed)
	if !ok || errCode != nil {
		return claims{}, errForeign
	}
	sealer, err := m.sealer()
	if err != nil {
		return claims{}, err
	}
	plain, err := sealer.Open(nil, nil, raw, []byte(opaqueAccessPrefix))
	if err != nil || json.Unmarshal(plain, &c) != nil || c.Issuer != m.issuer {
		return claims{}, errForeign
	}
	return c, nil
}
