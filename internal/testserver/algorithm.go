package testserver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithm names how access tokens and ID tokens are signed (RFC 7518 3.1,
// RFC 8037 3.1).
type Algorithm string

// The algorithms. The zero Algorithm is ES256, whose keys take no time to make.
const (
	ES256 Algorithm = "ES256"
	RS256 Algorithm = "RS256"
	EdDSA Algorithm = "EdDSA"
	// HS256 is for access tokens alone, under a secret that the server shares
	// with the APIs that check them. ID tokens are ES256 then: those who read
	// them are clients, and whoever knows the secret can make tokens.
	HS256 Algorithm = "HS256"
)

// minSecret is what RFC 7518 3.2 asks of a secret for HS256.
const minSecret = 32

func (a Algorithm) method() jwt.SigningMethod {
	switch a {
	case RS256:
		return jwt.SigningMethodRS256
	case EdDSA:
		return jwt.SigningMethodEdDSA
	case HS256:
		return jwt.SigningMethodHS256
	}
	return jwt.SigningMethodES256
}

// generate makes a private key.
func (a Algorithm) generate() (crypto.Signer, error) {
	switch a {
	case RS256:
		return rsa.GenerateKey(rand.Reader, minRSA)
	case EdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// signingKey is one key of a ring as it is kept: a key pair, or a secret.
type signingKey struct {
	ID        string    `json:"kid"`
	Algorithm Algorithm `json:"alg"`
	PKCS8     []byte    `json:"pkcs8,omitempty"`
	Secret    []byte    `json:"secret,omitempty"`
	Retired   time.Time `json:"retired,omitzero"` // signs nothing since

	signer crypto.Signer // nil for a secret
}

func newSigningKey(alg Algorithm) (signingKey, error) {
	if alg == HS256 {
		return newSecretKey(random(minSecret)), nil
	}
	signer, err := alg.generate()
	if err != nil {
		return signingKey{}, fmt.Errorf("testserver: making a signing key: %w", err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return signingKey{}, fmt.Errorf("testserver: encoding a signing key: %w", err)
	}
	id, err := thumbprintOf(signer.Public())
	if err != nil {
		return signingKey{}, err
	}
	return signingKey{ID: id, Algorithm: alg, PKCS8: encoded, signer: signer}, nil
}

// newSecretKey draws the id: a thumbprint would be a hash of the secret in
// every token (RFC 7638 7).
func newSecretKey(secret []byte) signingKey {
	return signingKey{ID: rand.Text(), Algorithm: HS256, Secret: secret}
}

// signing is the key as package jwt wants it in order to sign.
func (k signingKey) signing() any {
	if k.signer == nil {
		return k.Secret
	}
	return k.signer
}

// checking is the key as package jwt wants it in order to verify.
func (k signingKey) checking() any {
	if k.signer == nil {
		return k.Secret
	}
	return k.signer.Public()
}

// errKeys never quotes what it could not read.
var errKeys = errors.New("testserver: the signing keys in the database cannot be read")

func decodeKeys(data []byte) ([]signingKey, error) {
	var keys []signingKey
	if json.Unmarshal(data, &keys) != nil || len(keys) == 0 {
		return nil, errKeys
	}
	for i := range keys {
		if err := keys[i].restore(); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func (k *signingKey) restore() error {
	if k.Algorithm == HS256 {
		if len(k.Secret) < minSecret {
			return errKeys
		}
		return nil
	}
	key, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
	if err != nil {
		return errKeys
	}
	signer, ok := key.(crypto.Signer)
	if !ok || !suits(string(k.Algorithm), signer.Public()) {
		return errKeys
	}
	k.signer = signer
	return nil
}
