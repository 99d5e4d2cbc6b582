package testserver

import (
	"crypto/x509"
	"net/http"
)

// confirmation says which key a token is bound to, as the claim cnf (RFC 7800
// 3.1). The zero one is of a bearer token.
type confirmation struct {
	JKT string `json:"jkt,omitempty"`      // RFC 9449 6.1: of the DPoP key
	X5T string `json:"x5t#S256,omitempty"` // RFC 8705 3.1: of the client's certificate
}

// claim is nil for a bearer token, so that the claim is left out.
func (c confirmation) claim() *confirmation {
	if c == (confirmation{}) {
		return nil
	}
	return &c
}

// tokenType is the token_type of RFC 6749 5.1: a certificate binds a Bearer
// token without a word of it (RFC 8705 3).
func (c confirmation) tokenType() string {
	if c.JKT != "" {
		return "DPoP"
	}
	return "Bearer"
}

// certificateOf returns the thumbprint of the certificate that the connection
// was made with, and whether there is one. Its key was proven in the
// handshake; who signed it is of no interest (RFC 8705 2.2).
func certificateOf(r *http.Request) (thumbprint string, ok bool) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "", false
	}
	return certificateThumbprint(r.TLS.PeerCertificates[0]), true
}

// certificateThumbprint is x5t#S256 of RFC 8705 3.1.
func certificateThumbprint(c *x509.Certificate) string { return hash64(c.Raw) }
