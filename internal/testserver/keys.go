package testserver

import (
	"context"
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
	"sync"
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
)

func (a Algorithm) method() jwt.SigningMethod {
	switch a {
	case RS256:
		return jwt.SigningMethodRS256
	case EdDSA:
		return jwt.SigningMethodEdDSA
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

// signingKey is one key of the ring as it is kept.
type signingKey struct {
	ID        string    `json:"kid"`
	Algorithm Algorithm `json:"alg"`
	PKCS8     []byte    `json:"pkcs8"`
	Retired   time.Time `json:"retired,omitzero"` // signs nothing since

	signer crypto.Signer
}

// The ring is one document, so that a rotation is one step for every process.
const (
	kindKeys = "keys"
	ringID   = "signing"
)

// keyring holds the keys that sign tokens. The first signs; the others only
// verify what they signed before, for as long as a token of theirs may live.
type keyring struct {
	docs documents
	alg  Algorithm
	keep time.Duration // how long a retired key is published

	mu     sync.RWMutex // guards keys, which is replaced and never changed, and loaded; not held across I/O, timers or callbacks
	keys   []signingKey
	loaded time.Time // when keys was read
}

// newKeyring takes the keys that are kept, or makes the first one. Where the
// algorithm changed between two runs, a key of the new one takes over.
func newKeyring(ctx context.Context, now time.Time, docs documents, alg Algorithm, keep time.Duration) (*keyring, error) {
	if alg == "" {
		alg = ES256
	}
	r := &keyring{docs: docs, alg: alg, keep: keep}
	key, err := newSigningKey(alg)
	if err != nil {
		return nil, err
	}
	if _, err := putDocument(ctx, docs, now, kindKeys, ringID, []signingKey{key}, time.Time{}); err != nil {
		return nil, err
	}
	if err := r.load(ctx, now); err != nil {
		return nil, err
	}
	if r.current().Algorithm != alg {
		return r, r.rotate(ctx, now)
	}
	return r, nil
}

func newSigningKey(alg Algorithm) (signingKey, error) {
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

// load reads what is kept: another process may have rotated.
func (r *keyring) load(ctx context.Context, now time.Time) error {
	data, err := r.docs.get(ctx, now, kindKeys, ringID)
	if err != nil {
		return fmt.Errorf("testserver: reading the signing keys: %w", err)
	}
	keys, err := decodeKeys(data)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.loaded = keys, now
	return nil
}

// follow reads the keys again when they have not been read for a second, so
// that no process goes on signing with a key that another has retired. It
// comes before a session is locked: a store is not read under that lock. Where
// the store cannot be read now, the keys that are known will do.
func (r *keyring) follow(ctx context.Context, now time.Time) {
	r.mu.RLock()
	recent := now.Sub(r.loaded).Abs() < time.Second
	r.mu.RUnlock()
	if !recent {
		_ = r.load(ctx, now)
	}
}

// errKeys never quotes what it could not read.
var errKeys = errors.New("testserver: the signing keys in the database cannot be read")

func decodeKeys(data []byte) ([]signingKey, error) {
	var keys []signingKey
	if json.Unmarshal(data, &keys) != nil || len(keys) == 0 {
		return nil, errKeys
	}
	for i := range keys {
		key, err := x509.ParsePKCS8PrivateKey(keys[i].PKCS8)
		if err != nil {
			return nil, errKeys
		}
		signer, ok := key.(crypto.Signer)
		if !ok || !suits(string(keys[i].Algorithm), signer.Public()) {
			return nil, errKeys
		}
		keys[i].signer = signer
	}
	return keys, nil
}

// rotate puts a new key in front. Keys that nothing alive is signed by go.
func (r *keyring) rotate(ctx context.Context, now time.Time) error {
	key, err := newSigningKey(r.alg)
	if err != nil {
		return err
	}
	err = r.docs.update(ctx, now, kindKeys, ringID, func(data []byte) ([]byte, error) {
		old, err := decodeKeys(data)
		if err != nil {
			return nil, err
		}
		next := []signingKey{key}
		for _, k := range old {
			if k.Retired.IsZero() {
				k.Retired = now
			}
			if r.published(k, now) {
				next = append(next, k)
			}
		}
		return json.Marshal(next)
	})
	if err != nil {
		return fmt.Errorf("testserver: rotating the signing keys: %w", err)
	}
	return r.load(ctx, now)
}

func (r *keyring) published(k signingKey, now time.Time) bool {
	return k.Retired.IsZero() || now.Before(k.Retired.Add(r.keep))
}

func (r *keyring) all() []signingKey {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys
}

func (r *keyring) current() signingKey { return r.all()[0] }

// find returns the public key of an id. One that is not known may be new in
// another process.
func (r *keyring) find(ctx context.Context, now time.Time, id string) (signingKey, error) {
	for range 2 {
		for _, k := range r.all() {
			if k.ID == id && r.published(k, now) {
				return k, nil
			}
		}
		if err := r.load(ctx, now); err != nil {
			return signingKey{}, err
		}
	}
	return signingKey{}, errForeign
}

// sign makes a JWT of an explicit type (RFC 8725 3.11).
func (r *keyring) sign(typ string, c jwt.Claims) (string, error) {
	key := r.current()
	t := jwt.NewWithClaims(key.Algorithm.method(), c)
	t.Header["typ"], t.Header["kid"] = typ, key.ID
	signed, err := t.SignedString(key.signer)
	if err != nil {
		return "", fmt.Errorf("testserver: signing a token: %w", err)
	}
	return signed, nil
}

// verify reads a JWT of that type which one of the keys signed. Its times and
// its audience are the caller's to judge. Errors quote nothing of it.
func (r *keyring) verify(ctx context.Context, now time.Time, token, typ string, c jwt.Claims) error {
	p := jwt.NewParser(jwt.WithoutClaimsValidation(),
		jwt.WithValidMethods([]string{string(ES256), string(RS256), string(EdDSA)}))
	_, err := p.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		key, err := r.find(ctx, now, id)
		// The key decides on the algorithm, never the token (RFC 8725 3.1).
		if err != nil || t.Header["typ"] != typ || t.Method.Alg() != string(key.Algorithm) {
			return nil, errForeign
		}
		return key.signer.Public(), nil
	})
	if err != nil {
		return errForeign
	}
	return nil
}

// set is the JSON Web Key Set (RFC 7517 5) of the keys that may still verify
// something.
func (r *keyring) set(ctx context.Context, now time.Time) (jwkSet, error) {
	if err := r.load(ctx, now); err != nil {
		return jwkSet{}, err
	}
	var out jwkSet
	for _, k := range r.all() {
		if !r.published(k, now) {
			continue
		}
		public, err := jwkOf(k.signer.Public())
		if err != nil {
			return jwkSet{}, err
		}
		public.ID, public.Use = k.ID, "sig"
		out.Keys = append(out.Keys, publishedKey{jwk: public, Algorithm: k.Algorithm})
	}
	return out, nil
}

type jwkSet struct {
	Keys []publishedKey `json:"keys"`
}

type publishedKey struct {
	jwk
	Algorithm Algorithm `json:"alg"`
}
