package testserver_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// holder is a client's key, and what it signs with it. It shares no code with
// the server.
type holder struct {
	key    crypto.Signer
	method jwt.SigningMethod
	jwk    map[string]any
}

func newHolder(t *testing.T) holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return holder{key: key, method: jwt.SigningMethodES256, jwk: ecJWK(t, &key.PublicKey)}
}

func ecJWK(t *testing.T, key *ecdsa.PublicKey) map[string]any {
	t.Helper()
	point, err := key.Bytes()
	require.NoError(t, err)
	half := (len(point) - 1) / 2
	return map[string]any{"kty": "EC", "crv": key.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return b64(sum[:])
}

// thumbprint is RFC 7638 for an EC key: encoding/json sorts the names.
func (h holder) thumbprint() string {
	data, _ := json.Marshal(h.jwk) // strings alone
	return sha(string(data))
}

func (h holder) jwks() []byte {
	data, _ := json.Marshal(map[string]any{"keys": []any{h.jwk}})
	return data
}

// sign makes a JWT of a header beside alg, and of claims.
func (h holder) sign(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(h.method, jwt.MapClaims(claims))
	maps.Copy(token.Header, header)
	signed, err := token.SignedString(h.key)
	require.NoError(t, err)
	return signed
}

// change edits header and claims of a JWT that would have been good.
type change func(header, claims map[string]any)

func setClaim(name string, value any) change {
	return func(_, claims map[string]any) { claims[name] = value }
}

func setHeader(name string, value any) change {
	return func(header, _ map[string]any) { header[name] = value }
}

func drop(name string) change {
	return func(_, claims map[string]any) { delete(claims, name) }
}

// proof is a good DPoP proof for a request to http://auth.test, but for the
// changes.
func (h holder) proof(t *testing.T, method, path string, now time.Time, changes ...change) string {
	t.Helper()
	header := map[string]any{"typ": "dpop+jwt", "jwk": h.jwk}
	claims := map[string]any{
		"jti": rand.Text(), "htm": method, "htu": "http://auth.test" + path, "iat": now.Unix(),
	}
	for _, c := range changes {
		c(header, claims)
	}
	return h.sign(t, header, claims)
}

// assertion is a good client assertion of a client, but for the changes.
func (h holder) assertion(t *testing.T, client string, now time.Time, changes ...change) string {
	t.Helper()
	header, claims := map[string]any{}, map[string]any{
		"iss": client, "sub": client, "aud": "http://auth.test", "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	for _, c := range changes {
		c(header, claims)
	}
	return h.sign(t, header, claims)
}

// proven adds a proof for what the request is.
func (h holder) proven(t *testing.T, r *http.Request, now time.Time, changes ...change) *http.Request {
	t.Helper()
	r.Header.Set("DPoP", h.proof(t, r.Method, r.URL.Path, now, changes...))
	return r
}

// shown adds an access token under the DPoP scheme, and its proof.
func (h holder) shown(t *testing.T, r *http.Request, access string, now time.Time, changes ...change) *http.Request {
	t.Helper()
	r.Header.Set("Authorization", "DPoP "+access)
	return h.proven(t, r, now, append([]change{setClaim("ath", sha(access))}, changes...)...)
}

// bigBytes is a number as RFC 7518 2 writes it.
func bigBytes(n int64) string { return b64(big.NewInt(n).Bytes()) }
