package testserver

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// clientMetadata is what a client says of itself and is told back (RFC 7591 2
// and 3.2.1, RFC 9126 6, OpenID Connect RP-Initiated Logout 1.0, 3.1). Members
// that are not known here are left out of the answer.
type clientMetadata struct {
	ID            string          `json:"client_id,omitempty"`
	Secret        string          `json:"client_secret,omitempty"`
	IssuedAt      int64           `json:"client_id_issued_at,omitempty"`
	SecretExpires *int64          `json:"client_secret_expires_at,omitempty"` // 0: never
	Redirects     []string        `json:"redirect_uris,omitempty"`
	AfterLogout   []string        `json:"post_logout_redirect_uris,omitempty"`
	Method        string          `json:"token_endpoint_auth_method"`
	Grants        []string        `json:"grant_types"`
	Responses     []string        `json:"response_types,omitempty"`
	Name          string          `json:"client_name,omitempty"`
	Scope         string          `json:"scope,omitempty"`
	Keys          json.RawMessage `json:"jwks,omitempty"`
	KeysURI       string          `json:"jwks_uri,omitempty"`
	PushRequired  bool            `json:"require_pushed_authorization_requests,omitempty"`
	DPoPBound     bool            `json:"dpop_bound_access_tokens,omitempty"`                   // RFC 9449 5.2
	BoundToTLS    bool            `json:"tls_client_certificate_bound_access_tokens,omitempty"` // RFC 8705 3.4
}

// oauthRegister is RFC 7591 3. Anybody may register: it is a test server.
func (s *Server) oauthRegister(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, endpoint: RegisterClient}
	s.run(x, func(x *exchange) (*reply, func() reply) {
		m, p := readClientMetadata(w, r)
		if p == nil {
			p = m.complete(s.authMethods())
		}
		if p != nil {
			return refuse(badGrant(Refused, p))
		}
		return nil, func() reply { return s.register(x, m) }
	})
}

func metadataProblem(description string) *oauthProblem {
	return problem("invalid_client_metadata", description)
}

func readClientMetadata(w http.ResponseWriter, r *http.Request) (m clientMetadata, p *oauthProblem) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return m, metadataProblem("expected application/json")
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return m, metadataProblem("body too large")
	}
	if err != nil || json.Unmarshal(data, &m) != nil {
		return m, metadataProblem("malformed JSON")
	}
	// What the server decides is not the client's to say.
	m.ID, m.Secret, m.IssuedAt, m.SecretExpires = "", "", 0, nil
	return m, nil
}

// complete fills in the defaults of RFC 7591 2 and refuses what cannot be.
// Whoever may get a session may also refresh it, and the answer says so.
func (m *clientMetadata) complete(methods []string) *oauthProblem {
	if m.Method == "" {
		m.Method = "client_secret_basic"
	}
	if len(m.Grants) == 0 {
		m.Grants = []string{"authorization_code"}
	}
	interactive := slices.Contains(m.Grants, "authorization_code") || slices.Contains(m.Grants, deviceGrantType) ||
		slices.Contains(m.Grants, "password")
	if interactive && !slices.Contains(m.Grants, "refresh_token") {
		m.Grants = append(m.Grants, "refresh_token")
	}
	if len(m.Responses) == 0 && slices.Contains(m.Grants, "authorization_code") {
		m.Responses = []string{"code"}
	}
	if !slices.Contains(methods, m.Method) {
		return metadataProblem("token_endpoint_auth_method is not supported")
	}
	for _, check := range []func() *oauthProblem{m.checkKind, m.checkRedirects, m.checkKeys} {
		if p := check(); p != nil {
			return p
		}
	}
	return nil
}

func (m *clientMetadata) checkKind() *oauthProblem {
	unknown := func(list, known []string) bool {
		return slices.ContainsFunc(list, func(v string) bool { return !slices.Contains(known, v) })
	}
	code := slices.Contains(m.Grants, "authorization_code")
	switch {
	case unknown(m.Grants, grantTypes()):
		return metadataProblem("grant_types holds one that is not supported")
	case unknown(m.Responses, []string{"code"}) || code != slices.Contains(m.Responses, "code"):
		return metadataProblem("response_types does not go with grant_types")
	case m.Method == "none" && slices.Contains(m.Grants, "client_credentials"):
		return metadataProblem("client_credentials needs a client that can prove itself")
	case len(m.Name) > maxParameter || len(m.Scope) > maxParameter:
		return metadataProblem("a value is too long")
	case !scopeAllowed(&registration{}, m.Scope):
		return metadataProblem("scope is malformed")
	}
	return nil
}

func (m *clientMetadata) checkRedirects() *oauthProblem {
	if len(m.Redirects) == 0 && slices.Contains(m.Grants, "authorization_code") {
		return problem("invalid_redirect_uri", "redirect_uris are needed for the code flow")
	}
	for _, uri := range append(slices.Clone(m.Redirects), m.AfterLogout...) {
		if !redirectPossible(uri) || !redirectSafe(uri) {
			return problem("invalid_redirect_uri", "a redirect URI is https, http on a loopback address, or of a scheme like com.example.app")
		}
	}
	return nil
}

// redirectSafe wants TLS off this machine, and a private scheme that is the
// app's own (RFC 8252 7.1).
func redirectSafe(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil {
		return false
	}
	_, _, local := loopback(uri)
	return u.Scheme == "https" || local || u.Scheme != "http" && strings.Contains(u.Scheme, ".")
}

func (m *clientMetadata) checkKeys() *oauthProblem {
	if m.KeysURI != "" {
		return metadataProblem("jwks_uri is not supported: this server fetches nothing")
	}
	if len(m.Keys) == 0 {
		if m.Method == string(PrivateKeyJWT) || m.Method == string(SelfSignedTLS) {
			return metadataProblem("jwks is needed")
		}
		return nil
	}
	if _, err := parseJWKS(m.Keys); err != nil {
		return metadataProblem("jwks holds no key that can be used")
	}
	return nil
}

func (s *Server) register(x *exchange, m clientMetadata) reply {
	now, never := s.now(), int64(0)
	m.ID, m.IssuedAt = "client_"+rand.Text(), now.Unix()
	if m.Method == "client_secret_basic" || m.Method == "client_secret_post" {
		m.Secret, m.SecretExpires = rand.Text()+rand.Text(), &never
	}
	c := registration{
		ID: m.ID, Name: m.Name, Secret: hashSecret(m.Secret), Method: m.Method,
		Redirects: m.Redirects, AfterLogout: m.AfterLogout, Grants: m.Grants, Scope: m.Scope, Keys: m.Keys,
		PushRequired: m.PushRequired, DPoPBound: m.DPoPBound, CertificateBound: m.BoundToTLS,
	}
	if _, err := putDocument(x.ctx(), s.documents, now, kindClient, c.ID, c, time.Time{}); err != nil {
		return *s.failed(x, err)
	}
	return jsonReply(http.StatusCreated, Registered, m)
}
