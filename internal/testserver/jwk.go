package testserver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// errKey says no more: a key set may come from outside, and may hold anything.
var errKey = errors.New("testserver: not a public key that can be used")

// minRSA is what RFC 7518 3.3 asks of an RSA key.
const minRSA = 2048

// jwk is a public key as RFC 7517 writes it. The members of a private one are
// read only to be refused.
type jwk struct {
	Type      string `json:"kty"`
	ID        string `json:"kid,omitempty"`
	Use       string `json:"use,omitempty"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	N         string `json:"n,omitempty"`
	E         string `json:"e,omitempty"`
	Private   any    `json:"d,omitempty"`
	Prime     any    `json:"p,omitempty"`
	Symmetric any    `json:"k,omitempty"`
}

// verifyKey checks signatures.
type verifyKey struct {
	id  string
	key crypto.PublicKey
}

// parseJWK reads one key and says what its thumbprint is.
func parseJWK(data []byte) (verifyKey, string, error) {
	var k jwk
	if json.Unmarshal(data, &k) != nil || k.Private != nil || k.Prime != nil || k.Symmetric != nil {
		return verifyKey{}, "", errKey
	}
	key, err := k.public()
	if err != nil {
		return verifyKey{}, "", err
	}
	thumbprint, err := thumbprintOf(key)
	return verifyKey{id: k.ID, key: key}, thumbprint, err
}

// parseJWKS reads a key set (RFC 7517 5). Keys for encryption are left out, as
// are those of a type that is not known; one of the rest is needed.
func parseJWKS(data []byte) ([]verifyKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, errKey
	}
	var out []verifyKey
	for _, raw := range set.Keys {
		var k jwk
		if json.Unmarshal(raw, &k) == nil && k.Use == "enc" {
			continue
		}
		if key, _, err := parseJWK(raw); err == nil {
			out = append(out, key)
		}
	}
	if len(out) == 0 {
		return nil, errKey
	}
	return out, nil
}

// certificatesIn returns the thumbprints of the certificates in a key set: the
// first of x5c is the key's own (RFC 7517 4.7).
func certificatesIn(set []byte) []string {
	var body struct {
		Keys []struct {
			Chain []string `json:"x5c"`
		} `json:"keys"`
	}
	if json.Unmarshal(set, &body) != nil {
		return nil
	}
	var out []string
	for _, k := range body.Keys {
		if len(k.Chain) == 0 {
			continue
		}
		if raw, err := base64.StdEncoding.DecodeString(k.Chain[0]); err == nil {
			out = append(out, hash64(raw))
		}
	}
	return out
}

// encodeJWKS writes a key set.
func encodeJWKS(keys []crypto.PublicKey) ([]byte, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	for _, key := range keys {
		k, err := jwkOf(key)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, k)
	}
	return json.Marshal(set)
}

func (k jwk) public() (crypto.PublicKey, error) {
	switch k.Type {
	case "EC":
		return k.ec()
	case "RSA":
		n, errN := decode64(k.N)
		e, errE := decode64(k.E)
		exponent := new(big.Int).SetBytes(e)
		if errN != nil || errE != nil || !exponent.IsInt64() || exponent.Int64() < 3 ||
			exponent.Int64() > 1<<31-1 || exponent.Bit(0) == 0 {
			return nil, errKey
		}
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}
		if bits := key.N.BitLen(); bits < minRSA || bits > 4*minRSA || key.N.Bit(0) == 0 {
			return nil, errKey
		}
		return key, nil
	case "OKP":
		x, err := decode64(k.X)
		if err != nil || k.Curve != "Ed25519" || len(x) != ed25519.PublicKeySize {
			return nil, errKey
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, errKey
}

func (k jwk) ec() (crypto.PublicKey, error) {
	var curve elliptic.Curve
	switch k.Curve {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		return nil, errKey
	}
	x, errX := decode64(k.X)
	y, errY := decode64(k.Y)
	size := (curve.Params().BitSize + 7) / 8
	// RFC 7518 6.2.1.2: a coordinate has its full length.
	if errX != nil || errY != nil || len(x) != size || len(y) != size {
		return nil, errKey
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, errKey
	}
	return key, nil
}

// jwkOf writes a public key.
func jwkOf(key crypto.PublicKey) (jwk, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			return jwk{}, errKey
		}
		half := (len(point) - 1) / 2
		return jwk{Type: "EC", Curve: k.Params().Name, X: encode64(point[1 : 1+half]), Y: encode64(point[1+half:])}, nil
	case *rsa.PublicKey:
		return jwk{Type: "RSA", N: encode64(k.N.Bytes()), E: encode64(big.NewInt(int64(k.E)).Bytes())}, nil
	case ed25519.PublicKey:
		return jwk{Type: "OKP", Curve: "Ed25519", X: encode64(k)}, nil
	}
	return jwk{}, errKey
}

// thumbprintOf is RFC 7638: the digest of the members that make the key, in
// the order of their names and without a space.
func thumbprintOf(key crypto.PublicKey) (string, error) {
	k, err := jwkOf(key)
	if err != nil {
		return "", err
	}
	var text string
	switch k.Type {
	case "EC":
		text = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, k.Curve, k.X, k.Y)
	case "RSA":
		text = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, k.E, k.N)
	default:
		text = fmt.Sprintf(`{"crv":%q,"kty":%q,"x":%q}`, k.Curve, k.Type, k.X)
	}
	return hash64([]byte(text)), nil
}

// suits reports whether an algorithm belongs to a key: the curve is part of
// its name (RFC 7518 3.4), and a caller must not choose another.
func suits(alg string, key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return alg == "ES256"
		case elliptic.P384():
			return alg == "ES384"
		case elliptic.P521():
			return alg == "ES512"
		}
	case *rsa.PublicKey:
		return slices.Contains([]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, alg)
	case ed25519.PublicKey:
		return alg == jwt.SigningMethodEdDSA.Alg()
	}
	return false
}

// asymmetric lists the algorithms of clients: never none, and no MAC, whose
// key would have to be known to both.
func asymmetric() []string {
	return []string{"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"}
}

func encode64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode64(s string) ([]byte, error) {
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

func hash64(b []byte) string {
	sum := sha256.Sum256(b)
	return encode64(sum[:])
}
