package client

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// ClientAuth is a way for a client to prove to a token endpoint who it is (RFC
// 6749 2.3). It is configured, never tried out: every try presents the
// refresh token once more.
type ClientAuth uint8

const (
	// ClientAuthDefault: HTTP Basic where there is a secret. A client
	// without one is public and names itself in the form.
	ClientAuthDefault ClientAuth = iota
	// ClientAuthBasic: the id and the secret by HTTP Basic. Every server
	// has to support it.
	ClientAuthBasic
	// ClientAuthPost: the id and the secret in the form, for servers that
	// insist.
	ClientAuthPost
)

// OAuthConfig configures an [OAuthProvider].
type OAuthConfig struct {
	// TokenURL is the token endpoint. Required. Its query is kept.
	TokenURL string
	// RevocationURL is the revocation endpoint (RFC 7009). Empty: a logout
	// stays local, and the tokens live on at the server until they lapse.
	RevocationURL string
	// Issuer names the server in the key under which a session is stored, so
	// changing it is a logout. Empty: TokenURL without its query.
	Issuer string

	// ClientID is the id of this program at the server. Required.
	ClientID string
	// ClientSecret is empty for a public client.
	ClientSecret tokensource.Secret
	// ClientAuth says how the secret travels. Zero: by HTTP Basic.
	ClientAuth ClientAuth

	// Scopes are asked for at a login; none: the server decides. A refresh
	// never asks, and so keeps what was granted (RFC 6749 6).
	Scopes []string
	// Resource is the API that the tokens are for (RFC 8707), if the server
	// wants to be told: an absolute URL without a fragment.
	Resource string
	// ClientCredentials: the program acts for itself and nobody logs in (RFC
	// 6749 4.4). It needs a ClientSecret.
	ClientCredentials bool

	// Rotation is what is known of the server's rotation. The zero value
	// assumes the strictest server.
	Rotation tokensource.Rotation
	// Reasons says what error codes mean at this server, where that is not
	// what RFC 6749 says. Dex, for one, calls a dead refresh token
	// "invalid_request", which here is
	//
	//	{"invalid_request": tokensource.ReasonRejected}
	//
	// It applies to answers with a 2xx or 4xx status; ReasonServer counts as
	// uncertain.
	Reasons map[string]tokensource.Reason
	// BearerTypes are the token types, in any case, that this server gives to
	// tokens which are presented as Bearer tokens; Slack, for one, says "bot"
	// and "user". A token of a type that is neither Bearer nor listed here is
	// not used (RFC 6749 7.1), and the session ends at the first refresh that
	// brings one.
	BearerTypes []string

	// Transport says how to reach the server: proxies, roots of trust,
	// client certificates (RFC 8705), dialing. It is copied, and speaks
	// HTTP/1.1 on a fresh connection per request whatever it says; a
	// DialTLSContext must not negotiate anything else. Nil:
	// http.DefaultTransport.
	Transport *http.Transport
	// UserAgent is sent along. Empty: that of pawl.
	UserAgent string
	// InsecureHTTP lets tokens go unencrypted to a host other than loopback.
	InsecureHTTP bool
}

// OAuthProvider returns the Provider of an OAuth 2.0 token endpoint (RFC
// 6749). The error names everything that is wrong with cfg.
func OAuthProvider(cfg OAuthConfig) (*Provider, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Scopes, cfg.BearerTypes = slices.Clone(cfg.Scopes), slices.Clone(cfg.BearerTypes)
	if cfg.Issuer == "" {
		cfg.Issuer = cfg.TokenURL
	}
	return &Provider{
		identity: identity{
			issuer: issuerOf(cfg.Issuer), clientID: cfg.ClientID, resource: cfg.Resource, rotation: cfg.Rotation,
			mints: cfg.ClientCredentials, revokes: cfg.RevocationURL != "",
		},
		dialect: oauth{cfg},
		verdict: verdict{codes: true, reasons: maps.Clone(cfg.Reasons), rows: [][]row{answerRows}},
		wire:    newWire(cfg.Transport, cfg.UserAgent),
	}, nil
}

func (c OAuthConfig) validate() error {
	p := &problems{where: "OAuthConfig."}
	p.endpoint("TokenURL", c.TokenURL, c.InsecureHTTP)
	if c.RevocationURL != "" {
		p.endpoint("RevocationURL", c.RevocationURL, c.InsecureHTTP)
	}
	p.when(c.ClientID == "", "ClientID is required: the id under which this program is registered at the server")
	p.when(c.ClientAuth > ClientAuthPost, "ClientAuth is not one of the constants")
	p.when(c.ClientAuth != ClientAuthDefault && c.ClientSecret.IsZero(), "ClientSecret is required by ClientAuth")
	p.when(c.ClientCredentials && c.ClientSecret.IsZero(), "ClientSecret is required by ClientCredentials")
	for _, scope := range c.Scopes {
		p.when(scope == "" || strings.ContainsAny(scope, " \t\n"), "Scopes has an element that is not one scope")
	}
	if c.Resource != "" {
		u, err := url.Parse(c.Resource)
		p.when(err != nil || !u.IsAbs() || strings.Contains(c.Resource, "#"), "Resource is not an absolute URL without a fragment (RFC 8707)")
	}
	for _, name := range c.BearerTypes {
		p.when(name == "", "BearerTypes has an empty type")
		p.when(strings.EqualFold(name, "DPoP"), "BearerTypes has DPoP: such a token is bound to a key (RFC 9449 7.1)")
	}
	p.rotation(c.Rotation)
	p.reasons(c.Reasons)
	return p.err()
}

// oauth is the dialect of RFC 6749 and RFC 7009.
type oauth struct{ cfg OAuthConfig }

// refresh sends nothing optional: one server drops the refresh token over a
// scope that it does not like. A resource is repeated (RFC 8707 2.2), since a
// server that wants one refuses without it.
func (o oauth) refresh(token tokensource.Secret) call {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.Reveal()}}
	return o.call(o.cfg.TokenURL, o.withResource(form), token)
}

func (o oauth) login(username string, password tokensource.Secret) call {
	form := url.Values{"grant_type": {"password"}, "username": {username}, "password": {password.Reveal()}}
	return o.call(o.cfg.TokenURL, o.withResource(o.withScopes(form)), password)
}

func (o oauth) mint() call {
	form := url.Values{"grant_type": {"client_credentials"}}
	return o.call(o.cfg.TokenURL, o.withResource(o.withScopes(form)))
}

// revoke names the refresh token, with which a server ends the access tokens
// too (RFC 7009 2.1). The reverse does not hold.
func (o oauth) revoke(g tokensource.Grant) call {
	token, hint := g.RefreshToken, "refresh_token"
	if token.IsZero() {
		token, hint = g.AccessToken, "access_token"
	}
	form := url.Values{"token": {token.Reveal()}, "token_type_hint": {hint}}
	return o.call(o.cfg.RevocationURL, form, token)
}

func (o oauth) withScopes(form url.Values) url.Values {
	if len(o.cfg.Scopes) > 0 { // A parameter without a value is left out (RFC 6749 3.2).
		form.Set("scope", strings.Join(o.cfg.Scopes, " "))
	}
	return form
}

func (o oauth) withResource(form url.Values) url.Values {
	if o.cfg.Resource != "" {
		form.Set("resource", o.cfg.Resource)
	}
	return form
}

// call adds the client authentication, in exactly one place (RFC 6749 2.3).
func (o oauth) call(address string, form url.Values, secrets ...tokensource.Secret) call {
	id, secret := o.cfg.ClientID, o.cfg.ClientSecret
	basic := ""
	switch {
	case secret.IsZero():
		form.Set("client_id", id)
	case o.cfg.ClientAuth == ClientAuthPost:
		form.Set("client_id", id)
		form.Set("client_secret", secret.Reveal())
	default:
		// RFC 6749 2.3.1: form-urlencoded first, so that a colon in the id
		// does not end it.
		basic = base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id) + ":" + url.QueryEscape(secret.Reveal())))
	}
	c := call{
		url: address, contentType: "application/x-www-form-urlencoded", body: []byte(form.Encode()),
		secrets: append(secrets, secret, tokensource.NewSecret(basic)),
	}
	if basic != "" {
		c.header = header("Authorization", "Basic "+basic)
	}
	return c
}

// members are those of RFC 6749 5.1 and OpenID Connect, and what servers say
// of the ends of a session: draft-ietf-oauth-refresh-token-expiration has the
// first name of each, Keycloak, GitHub and Intuit the others.
func (o oauth) members() members {
	return members{
		bearerTypes: o.cfg.BearerTypes,
		accessToken: "access_token", refreshToken: "refresh_token", idToken: "id_token",
		tokenType: "token_type", expiresIn: "expires_in", scope: "scope", subject: "sub",
		hardEnd: []string{"authorization_expires_in"},
		idleEnd: []string{"refresh_token_timeout", "refresh_expires_in", "refresh_token_expires_in", "x_refresh_token_expires_in"},
	}
}
