package testserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// fixed is a key that is the same in every run, so that what a fuzzer has found
// stays found.
func fixed() holder {
	curve := elliptic.P256()
	key, err := ecdsa.ParseRawPrivateKey(curve, big.NewInt(7).FillBytes(make([]byte, 32)))
	if err != nil {
		panic(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return holder{key: key, method: jwt.SigningMethodES256, jwk: map[string]any{
		"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:]),
	}}
}

// signedJSON signs whatever header and claims there are: what is behind the
// signature is read by nobody else.
func (h holder) signedJSON(header, claims string) string {
	text := b64([]byte(header)) + "." + b64([]byte(claims))
	signature, err := h.method.Sign(text, h.key)
	if err != nil {
		panic(err)
	}
	return text + "." + b64(signature)
}

// FuzzProof reads any header and claims as a DPoP proof that is rightly signed.
// It is refused, or has all that RFC 9449 4.2 asks for, under the key's own
// thumbprint.
func FuzzProof(f *testing.F) {
	h := fixed()
	key, _ := json.Marshal(h.jwk)
	f.Add(`{"typ":"dpop+jwt","alg":"ES256","jwk":`+string(key)+`}`, `{"jti":"1","htm":"POST","htu":"http://auth.test/","iat":1}`)
	f.Add(`{"typ":"dpop+jwt","alg":"none","jwk":{"kty":"RSA","n":"AQ","e":"AQAB"}}`, `{"iat":1e400}`)
	f.Add(`{"typ":["dpop+jwt"],"alg":7,"jwk":[]}`, `{"iat":"now","aud":{}}`)
	f.Add(`{"typ":"dpop+jwt","alg":"HS256","jwk":{"kty":"oct","k":"AA"}}`, `null`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		id, method, url, thumbprint, err := testserver.ParseProof(h.signedJSON(header, claims))
		if err != nil {
			assert.Empty(t, thumbprint)
			assert.NotContains(t, err.Error(), "eyJ", "an error never quotes a proof")
			return
		}
		assert.Equal(t, h.thumbprint(), thumbprint)
		assert.NotEmpty(t, id)
		assert.NotEmpty(t, method)
		assert.NotEmpty(t, url)
	})
}

// FuzzProofHeader sends any DPoP header: the answer is a refusal of its own
// kind and never a failure.
func FuzzProofHeader(f *testing.F) {
	for _, value := range []string{"", "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30.", strings.Repeat(".", 100), "\u00e4.\u00f6.\u00fc"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		b := start(t, "strict", nil)
		r := formRequest(tokenPath, passwordForm(""))
		r.Header["Dpop"] = []string{value}
		got := b.do(r)
		assert.Equal(t, http.StatusBadRequest, got.Code)
		assert.Equal(t, "invalid_dpop_proof", got.field("error"))
	})
}

// FuzzAssertion sends any header and claims as a rightly signed assertion, by
// which a client proves itself and which is a grant at the same time. There is
// no token but for one that names the client, the server, and its end.
func FuzzAssertion(f *testing.F) {
	h := fixed()
	f.Add(`{"alg":"ES256"}`, `{"iss":"signer","sub":"signer","aud":"http://auth.test","jti":"1","exp":1767323105}`)
	f.Add(`{"alg":"ES256","kid":7}`, `{"iss":"signer","sub":"alice","aud":["http://auth.test/oauth/token"],"jti":"1","exp":1767323105.5}`)
	f.Add(`{"alg":"none"}`, `{"iss":["signer"],"aud":[7],"exp":-1e308}`)
	f.Add(`{}`, `[]`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		b := start(t, "strict", func(c *testserver.Config) {
			c.Clients = append(c.Clients, testserver.Client{ID: "signer", JWKS: h.jwks()})
		})
		assertion := h.signedJSON(header, claims)
		issuer, ok := testserver.PeekAssertion(assertion)
		for _, got := range []answer{
			b.do(formRequest(tokenPath, assertionForm(assertion))),
			b.do(formRequest(tokenPath, bearerForm(assertion))),
		} {
			require.Less(t, got.Code, http.StatusInternalServerError, got.Body)
			if got.Code != http.StatusOK {
				continue
			}
			var c struct {
				Subject string          `json:"sub"`
				End     json.RawMessage `json:"exp"`
			}
			require.NoError(t, json.Unmarshal([]byte(claims), &c))
			assert.True(t, ok)
			assert.Equal(t, "signer", issuer)
			assert.NotEmpty(t, c.End)
			assert.Contains(t, []string{"signer", "alice", "bob"}, c.Subject)
			assert.Contains(t, claims, "auth.test")
		}
	})
}

// FuzzJWKS reads any key set. What is taken has a thumbprint, and no private
// key is taken.
func FuzzJWKS(f *testing.F) {
	f.Add(fixed().jwks())
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-521","x":"","y":""},null,[],7]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","x5c":["AA==",7]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := testserver.ParseJWKS(data)
		if err != nil {
			return
		}
		require.NotEmpty(t, keys)
		for _, k := range keys {
			assert.Len(t, k, 43)
		}
	})
}

// FuzzOpaque sends any access token: what was not issued is refused.
func FuzzOpaque(f *testing.F) {
	for _, token := range []string{"at_", "at_AAAA", "at_" + strings.Repeat("A", 64), "at_\x00", "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		b := opaqueServer(t)
		r := request(http.MethodGet, "/api/opaque", "", "")
		r.Header["Authorization"] = []string{"Bearer " + token}
		assert.Equal(t, http.StatusUnauthorized, b.do(r).Code)
	})
}
