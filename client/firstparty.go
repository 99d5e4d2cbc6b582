package client

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// JSONConfig configures a [JSONProvider].
type JSONConfig struct {
	// BaseURL is what the paths are appended to. Required. It also names the
	// server in the key under which a session is stored, so changing it is a
	// logout.
	BaseURL string
	// LoginPath, RefreshPath and LogoutPath begin with a slash and may have
	// a query. Empty: "/login", "/refresh", "/logout".
	LoginPath, RefreshPath, LogoutPath string
	// NoLogout: the API has no logout. A logout then stays local.
	NoLogout bool
	// Members names the members of requests and answers.
	Members JSONMembers

	// Rotation is what is known of the server's rotation. The zero value
	// assumes the strictest server.
	Rotation tokensource.Rotation
	// Reasons says what the codes mean that the API puts into the members
	// "error", "error_code" or "code" of an answer, if it has any. It goes
	// before the meaning of the status, as in OAuthConfig.Reasons.
	Reasons map[string]tokensource.Reason

	// Transport says how to reach the server, as OAuthConfig.Transport.
	Transport *http.Transport
	// UserAgent is sent along. Empty: that of pawl.
	UserAgent string
	// InsecureHTTP lets tokens go unencrypted to a host other than loopback.
	InsecureHTTP bool
}

// JSONMembers names the members of the JSON objects that a first-party API
// takes and returns. An empty name is the default.
type JSONMembers struct {
	// Username and Password are sent to LoginPath: "username", "password".
	Username, Password string
	// RefreshToken is sent to RefreshPath and LogoutPath, and returned:
	// "refreshToken".
	RefreshToken string
	// AccessToken is returned: "accessToken".
	AccessToken string
	// ExpiresIn is returned, in seconds: "expiresIn".
	ExpiresIn string
	// TokenType is returned by some: "tokenType".
	TokenType string
	// Subject is returned by some and names the account: "sub".
	Subject string
}

func (m JSONMembers) withDefaults() JSONMembers {
	return JSONMembers{
		Username:     cmp.Or(m.Username, "username"),
		Password:     cmp.Or(m.Password, "password"),
		RefreshToken: cmp.Or(m.RefreshToken, "refreshToken"),
		AccessToken:  cmp.Or(m.AccessToken, "accessToken"),
		ExpiresIn:    cmp.Or(m.ExpiresIn, "expiresIn"),
		TokenType:    cmp.Or(m.TokenType, "tokenType"),
		Subject:      cmp.Or(m.Subject, "sub"),
	}
}

// JSONProvider returns the Provider of a first-party API that speaks JSON:
//
//	POST /login    {"username", "password"}  200 {"accessToken", "refreshToken", "expiresIn"}
//	POST /refresh  {"refreshToken"}          200 the same
//	POST /logout   {"refreshToken"}          204
//
// Such an API refuses by its status: 401 is a refresh token that it does not
// know, 403 a session that has reached its hard end. The error names
// everything that is wrong with cfg.
func JSONProvider(cfg JSONConfig) (*Provider, error) {
	cfg.LoginPath = cmp.Or(cfg.LoginPath, "/login")
	cfg.RefreshPath = cmp.Or(cfg.RefreshPath, "/refresh")
	cfg.LogoutPath = cmp.Or(cfg.LogoutPath, "/logout")
	cfg.Members = cfg.Members.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Provider{
		identity: identity{issuer: issuerOf(cfg.BaseURL), rotation: cfg.Rotation, revokes: !cfg.NoLogout},
		dialect:  firstParty{cfg},
		verdict:  verdict{reasons: maps.Clone(cfg.Reasons), rows: [][]row{jsonRows, answerRows}},
		wire:     newWire(cfg.Transport, cfg.UserAgent),
	}, nil
}

func (c JSONConfig) validate() error {
	p := &problems{where: "JSONConfig."}
	p.endpoint("BaseURL", c.BaseURL, c.InsecureHTTP)
	p.when(strings.Contains(c.BaseURL, "?"), "BaseURL has a query: put it into the paths")
	p.path("LoginPath", c.LoginPath)
	p.path("RefreshPath", c.RefreshPath)
	p.path("LogoutPath", c.LogoutPath)
	m := c.Members
	p.when(m.Username == m.Password, "Members gives the user name and the password one name")
	p.when(m.AccessToken == m.RefreshToken, "Members gives both tokens one name")
	p.rotation(c.Rotation)
	p.reasons(c.Reasons)
	return p.err()
}

// firstParty is the JSON dialect.
type firstParty struct{ cfg JSONConfig }

// refresh sends no Authorization header: the access token may have expired,
// and some servers refuse before they look at the body.
func (f firstParty) refresh(token tokensource.Secret) call {
	return f.call(f.cfg.RefreshPath, map[string]string{f.cfg.Members.RefreshToken: token.Reveal()}, token)
}

func (f firstParty) login(username string, password tokensource.Secret) call {
	return f.call(f.cfg.LoginPath, map[string]string{
		f.cfg.Members.Username: username, f.cfg.Members.Password: password.Reveal(),
	}, password)
}

// mint is never called: the Provider refuses first.
func (firstParty) mint() call { return call{} }

// revoke also shows the access token while it can be valid, for servers that
// let only members of a session end it.
func (f firstParty) revoke(g tokensource.Grant) call {
	body := map[string]string{}
	if !g.RefreshToken.IsZero() {
		body[f.cfg.Members.RefreshToken] = g.RefreshToken.Reveal()
	}
	c := f.call(f.cfg.LogoutPath, body, g.RefreshToken, g.AccessToken)
	if !g.AccessToken.IsZero() && (g.Expiry.IsZero() || time.Now().Before(g.Expiry)) {
		c.header = header("Authorization", "Bearer "+g.AccessToken.Reveal())
	}
	return c
}

func (f firstParty) call(path string, body map[string]string, secrets ...tokensource.Secret) call {
	data, _ := json.Marshal(body) // A map of strings always can be.
	return call{
		url: strings.TrimRight(f.cfg.BaseURL, "/") + path, contentType: "application/json", body: data, secrets: secrets,
	}
}

func (f firstParty) members() members {
	m := f.cfg.Members
	return members{
		accessToken: m.AccessToken, refreshToken: m.RefreshToken,
		tokenType: m.TokenType, expiresIn: m.ExpiresIn, subject: m.Subject,
	}
}
