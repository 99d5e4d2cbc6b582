package testserver

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// clients are the configured ones; fixed at construction. Those that register
// themselves are documents: see Server.client.
type clients struct {
	first string // those of the JSON dialect and of Login are this client's
	fixed map[string]*registration
}

func newClients(list []Client) *clients {
	c := &clients{first: list[0].ID, fixed: make(map[string]*registration, len(list))}
	for _, client := range list {
		c.fixed[client.ID] = client.registered()
	}
	return c
}

// AuthMethod is how a client proves itself at the token endpoint, in the words
// of the OAuth registry (RFC 7591 2, RFC 8705 2.2.1).
type AuthMethod string

// The methods. AnyMethod is whatever the client has: nothing, its secret by
// Basic or in the form, its keys or its certificate.
const (
	AnyMethod     AuthMethod = ""
	NoMethod      AuthMethod = "none"
	SecretBasic   AuthMethod = "client_secret_basic"
	SecretPost    AuthMethod = "client_secret_post"
	PrivateKeyJWT AuthMethod = "private_key_jwt"
	SelfSignedTLS AuthMethod = "self_signed_tls_client_auth"
)

// credential is what a request shows of its client.
type credential struct {
	id     string
	method AuthMethod
	secret string // or the assertion
}

// authenticate finds out which client is asking, before anything of the
// request is looked at: a wrong client must not spend a token (RFC 6749 3.2.1).
func (s *Server) authenticate(x *exchange, form url.Values) (client *registration, refusal *reply) {
	challenge := clientHeader(x.r) != ""
	shown, outcome := readCredential(x.r, form)
	if outcome == ClientRefused {
		return nil, clientRefused(challenge)
	}
	if outcome != Done {
		rep := oauthError(outcome)
		return nil, &rep
	}
	client, err := s.client(x.ctx(), shown.id)
	if err != nil {
		return nil, s.failed(x, err)
	}
	if client == nil {
		return nil, clientRefused(challenge)
	}
	switch err := s.proves(x, client, shown); {
	case err == nil:
		x.caller = client.ID
		return client, nil
	case errors.Is(err, errReplayed):
		s.suspect(x, AssertionReplayed)
	case !errors.Is(err, errAssertion):
		return nil, s.failed(x, err)
	}
	return nil, clientRefused(challenge)
}

// clientHeader is the Authorization of a client. An access token there is no
// way to prove oneself at this endpoint, and ignored: a program that adds its
// stale one to every request must still be able to renew it.
func clientHeader(r *http.Request) string {
	header := r.Header.Get("Authorization")
	scheme, _, _ := strings.Cut(header, " ")
	if strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP") {
		return ""
	}
	return header
}

// readCredential finds the one method that the request uses: RFC 6749 2.3
// forbids more. A certificate is no method of its own here: it may be shown
// only to bind tokens to it (RFC 8705 4).
func readCredential(r *http.Request, form url.Values) (credential, Outcome) {
	header, secret, assertion := clientHeader(r), form.Get("client_secret"), form.Get("client_assertion")
	used := 0
	for _, v := range []string{header, secret, assertion} {
		if v != "" {
			used++
		}
	}
	if used > 1 {
		return credential{}, Malformed
	}
	c := credential{id: form.Get("client_id"), method: NoMethod}
	named := ""
	switch {
	case header != "":
		name, password, ok := basic(header)
		if !ok {
			return credential{}, ClientRefused
		}
		named, c.method, c.secret = name, SecretBasic, password
	case secret != "":
		c.method, c.secret = SecretPost, secret
	case assertion != "":
		issuer, ok := peekAssertion(assertion)
		if !ok || form.Get("client_assertion_type") != assertionJWTBearer {
			return credential{}, ClientRefused
		}
		named, c.method, c.secret = issuer, PrivateKeyJWT, assertion
	}
	// RFC 7521 4.2: a client_id beside it must be the same.
	if named != "" && c.id != "" && named != c.id {
		return credential{}, ClientRefused
	}
	if named != "" {
		c.id = named
	}
	return c, Done
}

// proves checks what the request shows against what the client registered. It
// returns errAssertion for what is wrong, whatever the method.
func (s *Server) proves(x *exchange, c *registration, shown credential) error {
	method := shown.method
	certificate, hasCertificate := certificateOf(x.r)
	if method == NoMethod && hasCertificate && c.ownsCertificate(certificate) {
		method = SelfSignedTLS // RFC 8705 2: client_id in the form, proof in the handshake
	}
	if !c.accepts(method) {
		return errAssertion
	}
	switch method {
	case SecretBasic, SecretPost:
		if !c.knows(shown.secret) {
			return errAssertion
		}
	case PrivateKeyJWT:
		keys, err := parseJWKS(c.Keys)
		if err != nil {
			return errAssertion
		}
		_, err = s.checkAssertion(x.ctx(), shown.secret, keys, c.ID, c.ID)
		return err
	}
	return nil
}

// accepts reports whether the client may prove itself so. One that has
// anything to prove itself with never gets by without.
func (r *registration) accepts(m AuthMethod) bool {
	if r.Method != "" && r.Method != string(m) {
		return false
	}
	switch m {
	case SecretBasic, SecretPost:
		return len(r.Secret) > 0
	case PrivateKeyJWT:
		return len(r.Keys) > 0
	case SelfSignedTLS:
		return true // it owns the certificate, or this were no such method
	}
	return r.public()
}

// ownsCertificate reports whether a certificate is the client's: the one whose
// thumbprint it has, or one in its key set (RFC 8705 2.2.2).
func (r *registration) ownsCertificate(thumbprint string) bool {
	return r.Certificate == thumbprint || slices.Contains(certificatesIn(r.Keys), thumbprint)
}

// basic reads HTTP Basic the way OAuth fills it in: each half is form-encoded
// first (RFC 6749 2.3.1).
func basic(header string) (id, secret string, ok bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil || !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	id, secret, ok = strings.Cut(string(raw), ":")
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	return id, secret, ok && errID == nil && errSecret == nil
}

// clientRefused challenges only the client that used the header (RFC 6749 5.2).
func clientRefused(challenge bool) *reply {
	rep := oauthError(ClientRefused)
	if challenge {
		rep.Header.Set("WWW-Authenticate", `Basic realm="authtest"`)
	}
	return &rep
}

func oauthError(o Outcome) reply {
	status, code, description := oauthRefusal(o)
	return jsonReply(status, o, map[string]string{"error": code, "error_description": description})
}

func jsonError(o Outcome) reply {
	status, member, text := jsonRefusal(o)
	return jsonReply(status, o, map[string]string{member: text})
}

// foreign reports that the request was meant for another origin: test clients
// send example.com and what is below it here, whatever the server is called.
func (s *Server) foreign(r *http.Request) bool {
	host := strings.ToLower(r.Host)
	name, _, _ := strings.Cut(host, ":")
	return host != s.host && (name == "example.com" || strings.HasSuffix(name, ".example.com"))
}
