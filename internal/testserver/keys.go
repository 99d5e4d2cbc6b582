package testserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A ring is one document, so that a rotation is one step for every process.
// The secrets of HS256 have a ring of their own, which is never published.
const (
	kindKeys   = "keys"
	ringID     = "signing"
	secretRing = "shared"
)

// keyring holds the keys that sign tokens. The first signs; the others only
// verify what they signed before, for as long as a token of theirs may live.
type keyring struct {
	docs documents
	id   string
	alg  Algorithm
	keep time.Duration // how long a retired key is published

	mu     sync.RWMutex // guards keys, which is replaced and never changed, and loaded; not held across I/O, timers or callbacks
	keys   []signingKey
	loaded time.Time // when keys was read
}

// newKeyring takes the keys that are kept, or begins with the given one. Where
// the algorithm changed between two runs, the given one takes over.
func newKeyring(ctx context.Context, now time.Time, docs documents, id string, first signingKey, keep time.Duration) (*keyring, error) {
	r := &keyring{docs: docs, id: id, alg: first.Algorithm, keep: keep}
	if _, err := putDocument(ctx, docs, now, kindKeys, id, []signingKey{first}, time.Time{}); err != nil {
		return nil, err
	}
	if err := r.load(ctx, now); err != nil {
		return nil, err
	}
	if r.current().Algorithm != r.alg {
		return r, r.take(ctx, now, first, true)
	}
	return r, nil
}

// rings are those of a server: the one that signs ID tokens, and the one that
// signs access tokens, which is another one only where a secret signs them.
func rings(ctx context.Context, cfg Config, docs documents, now time.Time) (ids, access *keyring, err error) {
	alg := cfg.SigningAlgorithm
	if alg == "" || alg == HS256 {
		alg = ES256
	}
	key, err := newSigningKey(alg)
	if err != nil {
		return nil, nil, err
	}
	if ids, err = newKeyring(ctx, now, docs, ringID, key, cfg.AccessTTL); err != nil || cfg.SigningAlgorithm != HS256 {
		return ids, ids, err
	}
	given := cfg.AccessSecret
	if len(given) == 0 {
		given = random(minSecret)
	}
	secret := newSecretKey(bytes.Clone(given))
	if access, err = newKeyring(ctx, now, docs, secretRing, secret, cfg.AccessTTL); err != nil {
		return nil, nil, err
	}
	if len(cfg.AccessSecret) > 0 && !bytes.Equal(access.current().Secret, given) {
		err = access.take(ctx, now, secret, true)
	}
	return ids, access, err
}

// load reads what is kept: another process may have rotated.
func (r *keyring) load(ctx context.Context, now time.Time) error {
	data, err := r.docs.get(ctx, now, kindKeys, r.id)
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
// that no process goes on using a key that another has retired or dropped. It
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

// rotate puts a new key in front. The others stay for as long as anything alive
// is signed by them or, without overlap, not at all.
func (r *keyring) rotate(ctx context.Context, now time.Time, overlap bool) error {
	key, err := newSigningKey(r.alg)
	if err != nil {
		return err
	}
	return r.take(ctx, now, key, overlap)
}

// take is rotate to a given key.
func (r *keyring) take(ctx context.Context, now time.Time, key signingKey, overlap bool) error {
	err := r.docs.update(ctx, now, kindKeys, r.id, func(data []byte) ([]byte, error) {
		old, err := decodeKeys(data)
		if err != nil {
			return nil, err
		}
		next := []signingKey{key}
		for _, k := range old {
			if k.Retired.IsZero() {
				k.Retired = now
			}
			if overlap && r.published(k, now) {
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

// find returns the key of an id. One that is not known may be new in another
// process.
func (r *keyring) find(ctx context.Context, now time.Time, id string) (signingKey, error) {
	r.follow(ctx, now)
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
	signed, err := t.SignedString(key.signing())
	if err != nil {
		return "", fmt.Errorf("testserver: signing a token: %w", err)
	}
	return signed, nil
}

// verify reads a JWT of that type which one of the keys signed. Its times and
// its audience are the caller's to judge. Errors quote nothing of it.
func (r *keyring) verify(ctx context.Context, now time.Time, token, typ string, c jwt.Claims) error {
	p := jwt.NewParser(jwt.WithoutClaimsValidation())
	_, err := p.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		key, err := r.find(ctx, now, id)
		// The key decides on the algorithm, never the token (RFC 8725 3.1): no
		// public key is ever taken for a secret.
		if err != nil || t.Header["typ"] != typ || t.Method.Alg() != string(key.Algorithm) {
			return nil, errForeign
		}
		return key.checking(), nil
	})
	if err != nil {
		return errForeign
	}
	return nil
}

// set is the JSON Web Key Set (RFC 7517 5) of the key pairs that may still verify
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
