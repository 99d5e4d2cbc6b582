package testserver

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
)

// metadata says what this server serves and nothing else: RFC 8414 2, and the
// same with the members of OpenID Connect Discovery 3.
type metadata struct {
	Issuer             string   `json:"issuer"`
	Authorization      string   `json:"authorization_endpoint"`
	Token              string   `json:"token_endpoint"`
	Keys               string   `json:"jwks_uri"`
	Registration       string   `json:"registration_endpoint"`
	Revocation         string   `json:"revocation_endpoint"`
	Introspection      string   `json:"introspection_endpoint"`
	DeviceAuth         string   `json:"device_authorization_endpoint"`         // RFC 8628 4
	Pushed             string   `json:"pushed_authorization_request_endpoint"` // RFC 9126 5
	UserInfo           string   `json:"userinfo_endpoint"`
	EndSession         string   `json:"end_session_endpoint"`
	Scopes             []string `json:"scopes_supported"`
	ResponseTypes      []string `json:"response_types_supported"`
	ResponseModes      []string `json:"response_modes_supported"`
	Grants             []string `json:"grant_types_supported"`
	AuthMethods        []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuth     []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionAuth  []string `json:"introspection_endpoint_auth_methods_supported"`
	ChallengeMethods   []string `json:"code_challenge_methods_supported"`
	Iss                bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207 3
	PushRequired       bool     `json:"require_pushed_authorization_requests"`
	RequestParameter   bool     `json:"request_parameter_supported"`
	RequestURI         bool     `json:"request_uri_parameter_supported"`
	ClaimsParameter    bool     `json:"claims_parameter_supported"`
	Subjects           []string `json:"subject_types_supported"`
	IDTokenAlgorithms  []string `json:"id_token_signing_alg_values_supported"`
	ACR                []string `json:"acr_values_supported"`
	Prompts            []string `json:"prompt_values_supported"`
	Claims             []string `json:"claims_supported"`
	ProtectedResources []string `json:"protected_resources"` // RFC 9728 4
	// What clients prove themselves with, and what tokens are bound to.
	AuthAlgorithms []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	DPoPAlgorithms []string `json:"dpop_signing_alg_values_supported"`          // RFC 9449 5.1
	BoundToTLS     bool     `json:"tls_client_certificate_bound_access_tokens"` // RFC 8705 3.3
}

func (s *Server) metadata() metadata {
	at := func(path string) string { return s.mint.issuer + path }
	return metadata{
		Issuer:        s.mint.issuer,
		Authorization: at("/oauth/authorize"), Token: at("/oauth/token"), Keys: at("/oauth/jwks"),
		Registration: at("/oauth/register"), Revocation: at("/oauth/revoke"), Introspection: at("/oauth/introspect"),
		DeviceAuth: at("/oauth/device_authorization"), Pushed: at("/oauth/par"),
		UserInfo: at("/oauth/userinfo"), EndSession: at("/oauth/end_session"),
		Scopes:        knownScopes(),
		ResponseTypes: []string{"code"}, ResponseModes: []string{"query"},
		Grants: grantTypes(), AuthMethods: s.authMethods(), RevocationAuth: s.authMethods(), IntrospectionAuth: s.proofMethods(),
		ChallengeMethods: []string{"S256"}, Iss: true,
		// A request_uri is accepted if it was pushed, which has a member of its
		// own; OpenID Connect means one that the server would fetch.
		Subjects: []string{"public"}, IDTokenAlgorithms: []string{string(s.mint.ring.alg)},
		ACR: []string{acrPassword, acrStrong}, Prompts: []string{"none", "login", "consent", "select_account"},
		Claims: []string{
			"iss", "sub", "aud", "azp", "exp", "iat", "auth_time", "acr", "amr", "nonce", "at_hash", "sid",
			"name", "preferred_username", "email", "email_verified",
		},
		ProtectedResources: []string{s.resource()},
		AuthAlgorithms:     asymmetric(), DPoPAlgorithms: asymmetric(), BoundToTLS: s.overTLS(),
	}
}

// knownScopes are those that mean something here. A client may ask for any
// other one: tests name their own.
func knownScopes() []string { return []string{"openid", "profile", "email", "offline_access"} }

// grantTypes are those of the token endpoint.
func grantTypes() []string {
	return []string{
		"authorization_code", "refresh_token", "client_credentials", "password",
		deviceGrantType, grantJWTBearer, grantExchange,
	}
}

// authMethods are the ways of a client to say who it is.
func (s *Server) authMethods() []string {
	return append([]string{string(NoMethod)}, s.proofMethods()...)
}

// proofMethods are those that prove it, too. A certificate needs a handshake
// to be shown in.
func (s *Server) proofMethods() []string {
	methods := []string{string(SecretBasic), string(SecretPost), string(PrivateKeyJWT)}
	if s.overTLS() {
		methods = append(methods, string(SelfSignedTLS))
	}
	return methods
}

func (s *Server) overTLS() bool { return s.base.Scheme == "https" }

// resourceMetadata is RFC 9728 2.
type resourceMetadata struct {
	Resource      string   `json:"resource"`
	Servers       []string `json:"authorization_servers"`
	Scopes        []string `json:"scopes_supported"`
	BearerMethods []string `json:"bearer_methods_supported"`
	Name          string   `json:"resource_name"`
	DPoP          []string `json:"dpop_signing_alg_values_supported"`
	BoundToTLS    bool     `json:"tls_client_certificate_bound_access_tokens"`
}

// resourceMetadataOf describes the API, or the server as a whole for clients
// that only know its origin.
func (s *Server) resourceMetadataOf(resource string) resourceMetadata {
	return resourceMetadata{
		Resource: resource, Servers: []string{s.mint.issuer}, Scopes: knownScopes(),
		BearerMethods: []string{"header"}, Name: "authtest",
		DPoP: asymmetric(), BoundToTLS: s.overTLS(),
	}
}

// resourceMetadataURL is where a client that was refused finds out whom to ask
// (RFC 9728 5.1). The well-known part comes right after the host (3.1).
func (s *Server) resourceMetadataURL() string {
	return s.base.Scheme + "://" + s.base.Host + wellKnownResource + s.path + "/api"
}

// pointing adds that to every challenge of a handler of the API.
func (s *Server) pointing(h handler) handler {
	point := func(rep reply) reply {
		if challenge := rep.Header.Get("WWW-Authenticate"); challenge != "" {
			rep.Header.Set("WWW-Authenticate", fmt.Sprintf("%s, resource_metadata=%q", challenge, s.resourceMetadataURL()))
		}
		return rep
	}
	return func(x *exchange) (*reply, func() reply) {
		refusal, commit := h(x)
		if refusal != nil {
			return refuse(point(*refusal))
		}
		return nil, func() reply { return point(commit()) }
	}
}

// The well-known paths: RFC 8414 3.1, OpenID Connect Discovery 4, RFC 9728 3.1.
const (
	wellKnownServer   = "/.well-known/oauth-authorization-server"
	wellKnownOpenID   = "/.well-known/openid-configuration"
	wellKnownResource = "/.well-known/oauth-protected-resource"
)

// document serves what a GET may read.
func (s *Server) document(e Endpoint, body func(context.Context) (any, error)) http.HandlerFunc {
	return s.endpoint(e, func(x *exchange) (*reply, func() reply) {
		return nil, func() reply {
			v, err := body(x.ctx())
			if err != nil {
				return *s.failed(x, err)
			}
			return jsonReply(http.StatusOK, Done, v)
		}
	})
}

func (s *Server) discoveryRoutes(mux *http.ServeMux) {
	server := s.document(Discovery, func(context.Context) (any, error) { return s.metadata(), nil })
	mux.HandleFunc("GET "+wellKnownServer, server)
	mux.HandleFunc("GET "+wellKnownOpenID, server)
	mux.HandleFunc("GET "+wellKnownResource, s.document(Discovery, func(context.Context) (any, error) {
		return s.resourceMetadataOf(s.mint.issuer), nil
	}))
	mux.HandleFunc("GET "+wellKnownResource+"/api", s.document(Discovery, func(context.Context) (any, error) {
		return s.resourceMetadataOf(s.resource()), nil
	}))
	mux.HandleFunc("GET /oauth/jwks", s.document(Keys, func(ctx context.Context) (any, error) {
		return s.mint.ring.set(ctx, s.now())
	}))
}

// RotateKeys signs with a new key from now on. Tokens that older keys signed
// are good until they expire, and so long are those keys published.
func (s *Server) RotateKeys() error { return s.rotateKeys(true) }

// ReplaceKeys does so, too, and unpublishes the old ones at once, as after a
// key was lost: whatever they signed is void.
func (s *Server) ReplaceKeys() error { return s.rotateKeys(false) }

func (s *Server) rotateKeys(overlap bool) error {
	for _, r := range s.mint.rings() {
		if err := r.rotate(context.Background(), s.now(), overlap); err != nil {
			return err
		}
	}
	return nil
}

// AccessSecret is the one that signs access tokens now; nil unless HS256 does.
func (s *Server) AccessSecret() []byte {
	return bytes.Clone(s.mint.access.current().Secret)
}
