package testserver

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"slices"
)

// kindClient is the kind of the documents that hold registered clients.
const kindClient = "client"

// registration is what the server knows of a client: the metadata of RFC 7591
// 2 that it acts on. A configured client and one that registered itself differ
// in nothing else.
type registration struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Secret []byte `json:"secret,omitempty"` // its SHA-256; none: a public client

	// Method is the one token_endpoint_auth_method the client may use; empty:
	// any that fits what is known of it.
	Method       string          `json:"method,omitempty"`
	Redirects    []string        `json:"redirects,omitempty"`     // none: any path on a loopback address
	AfterLogout  []string        `json:"after_logout,omitempty"`  // none: Redirects
	Grants       []string        `json:"grants,omitempty"`        // none: any that suits its kind
	Scope        string          `json:"scope,omitempty"`         // none: whatever it asks for
	Keys         json.RawMessage `json:"keys,omitempty"`          // its JSON Web Key Set
	PushRequired bool            `json:"push_required,omitempty"` // RFC 9126 6

	Certificate      string `json:"certificate,omitempty"`       // x5t#S256 of a self-signed one (RFC 8705 2.2)
	CertificateBound bool   `json:"certificate_bound,omitempty"` // RFC 8705 3.4
	DPoPBound        bool   `json:"dpop_bound,omitempty"`        // RFC 9449 5.2
}

// public reports that the client has nothing to prove itself with.
func (r *registration) public() bool {
	return len(r.Secret) == 0 && len(r.Keys) == 0 && r.Certificate == ""
}

// knows compares in constant time: a secret may be short, unlike a token.
func (r *registration) knows(secret string) bool {
	if len(r.Secret) == 0 {
		return secret == "" && r.public()
	}
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(sum[:], r.Secret) == 1
}

// may reports whether the client registered for a grant type.
func (r *registration) may(grant string) bool {
	return len(r.Grants) == 0 || slices.Contains(r.Grants, grant)
}

func hashSecret(secret string) []byte {
	if secret == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// registered turns the Config's entry into what registration would have made
// of it.
func (c Client) registered() *registration {
	return &registration{
		ID: c.ID, Secret: hashSecret(c.Secret), Method: string(c.Auth), Keys: c.keySet(),
		Certificate: c.Certificate, CertificateBound: c.CertificateBound, DPoPBound: c.DPoPBound,
		Redirects: slices.Clone(c.RedirectURIs), AfterLogout: slices.Clone(c.PostLogoutRedirectURIs),
	}
}

// client finds one that was configured or that registered itself; nil if there
// is none.
func (s *Server) client(ctx context.Context, id string) (*registration, error) {
	if c := s.clients.fixed[id]; c != nil || id == "" {
		return c, nil
	}
	return readDocument[registration](ctx, s.documents, s.now(), kindClient, id)
}
