package client

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Provider is an authorization server as this program uses it: where it is,
// what it speaks, and as which client. Make one with [OAuthProvider] or
// [JSONProvider]; a [Client] uses it.
//
// It is a [tokensource.Refresher], [tokensource.Minter] and
// [tokensource.Revoker], for programs that build a Session of their own. It is
// immutable and safe for concurrent use. It keeps no connection open.
type Provider struct {
	identity
	dialect dialect
	verdict verdict
	wire    *wire
}

// identity is what a Session has to know of a Provider.
type identity struct {
	issuer, clientID, resource string
	rotation                   tokensource.Rotation
	mints                      bool // tokens come by client credentials
	revokes                    bool // the server can be told of a logout
}

// dialect is how a kind of server is spoken to.
type dialect interface {
	refresh(tokensource.Secret) call
	login(username string, password tokensource.Secret) call
	mint() call
	revoke(tokensource.Grant) call
	members() members
}

var (
	_ tokensource.Refresher = (*Provider)(nil)
	_ tokensource.Minter    = (*Provider)(nil)
	_ tokensource.Revoker   = (*Provider)(nil)
)

// Refresh presents old's refresh token once, in one POST. Whatever fails is a
// [*tokensource.Error].
func (p *Provider) Refresh(ctx context.Context, old tokensource.Grant) (tokensource.Grant, error) {
	if old.RefreshToken.IsZero() {
		return tokensource.Grant{}, &tokensource.Error{Reason: tokensource.ReasonNoSession}
	}
	g, err := p.obtain(ctx, p.dialect.refresh(old.RefreshToken))
	if err != nil {
		return tokensource.Grant{}, err
	}
	return g, nil
}

// Mint obtains a token set by client credentials (RFC 6749 4.4). It needs
// OAuthConfig.ClientCredentials.
func (p *Provider) Mint(ctx context.Context) (tokensource.Grant, error) {
	if !p.mints {
		return tokensource.Grant{}, &tokensource.Error{
			Reason: tokensource.ReasonClient, Advice: "the Provider was made without OAuthConfig.ClientCredentials",
		}
	}
	g, err := p.obtain(ctx, p.dialect.mint())
	if err != nil {
		return tokensource.Grant{}, certain(err)
	}
	// RFC 6749 4.4.3: there should be none, and nobody needs one.
	g.RefreshToken = tokensource.Secret{}
	return g, nil
}

// Revoke tells the server that g's session is over (RFC 7009, or the logout
// of a first-party API). A token that the server says it does not know is no
// error, and a server without such an endpoint is not asked.
func (p *Provider) Revoke(ctx context.Context, g tokensource.Grant) error {
	if !p.revokes {
		return nil
	}
	c := p.dialect.revoke(g)
	a, _, fail := p.wire.post(ctx, c)
	if fail != nil {
		return certain(fail)
	}
	if a.revoked() {
		return nil
	}
	return certain(p.verdict.judge(a, newScrubber(c.secrets)))
}

// login trades a password for a token set. It is never repeated: a second
// try with a wrong password counts twice towards a lock-out.
func (p *Provider) login(ctx context.Context, username string, password tokensource.Secret) (tokensource.Grant, error) {
	g, err := p.obtain(ctx, p.dialect.login(username, password), loginRows...)
	if err != nil {
		if err.Reason.Class() == tokensource.ErrLoginRequired {
			// No refresh token was rejected here and no session has ended.
			err.Reason, err.Advice = tokensource.ReasonRefused, "the server does not accept this user name and password"
		}
		return tokensource.Grant{}, certain(err)
	}
	return g, nil
}

// obtain sends c and reads a token set from the answer. The rows in first are
// those of this kind of request.
func (p *Provider) obtain(ctx context.Context, c call, first ...row) (tokensource.Grant, *tokensource.Error) {
	a, sent, fail := p.wire.post(ctx, c)
	if fail != nil {
		return tokensource.Grant{}, fail
	}
	if g, ok := p.dialect.members().grant(a); ok {
		return g, nil
	}
	e := p.verdict.judge(a, newScrubber(c.secrets), first...)
	e.Uncertain = e.Uncertain && sent // A server may answer before it has read the token.
	return tokensource.Grant{}, e
}

// certain: where no refresh token was presented, none can have been spent.
func certain(e *tokensource.Error) *tokensource.Error {
	e.Uncertain = false
	return e
}

// problems collects what is wrong with a configuration, so that all of it is
// said at once.
type problems struct {
	where string
	errs  []error
}

func (p *problems) when(bad bool, text string) {
	if bad {
		p.errs = append(p.errs, errors.New("client: "+p.where+text))
	}
}

func (p *problems) err() error { return errors.Join(p.errs...) }

// endpoint checks an address that tokens are sent to.
func (p *problems) endpoint(field, raw string, insecureHTTP bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Opaque != "" {
		p.when(true, field+" is not an absolute URL")
		return
	}
	p.when(u.Scheme != "https" && u.Scheme != "http", field+" is neither https nor http")
	p.when(u.Scheme == "http" && !insecureHTTP && !isLoopback(u.Hostname()),
		field+" is plain http to another host: use https, or set InsecureHTTP if the network in between is trusted")
	// RFC 6749 3.2: the query is kept, and there is no fragment.
	p.when(strings.Contains(raw, "#"), field+" has a fragment")
	p.when(u.User != nil, field+" holds a user name: set ClientID and ClientSecret instead")
}

// path checks what is appended to an address.
func (p *problems) path(field, path string) {
	_, err := url.Parse(path)
	p.when(err != nil || !strings.HasPrefix(path, "/") || strings.Contains(path, "#"), field+" is not a path that begins with a slash")
}

// rotation checks what is known of a server.
func (p *problems) rotation(r tokensource.Rotation) {
	p.when(r.Grace < 0, "Rotation.Grace is negative")
	p.when(r.Replay > tokensource.ReplayLastWins, "Rotation.Replay is not one of the constants")
}

// reasons checks what codes are said to mean.
func (p *problems) reasons(reasons map[string]tokensource.Reason) {
	for _, code := range slices.Sorted(maps.Keys(reasons)) {
		reason := reasons[code]
		p.when(code == "", "Reasons has an empty code")
		p.when(reason.String() == tokensource.Reason(0).String(), "Reasons["+code+"] is not one of the constants")
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// issuerOf names a server in the key of a session by the address it has in the
// configuration, so that a change of its spelling is no logout.
func issuerOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := u.Port(); port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http" {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	u.RawQuery, u.Fragment = "", ""
	return strings.TrimRight(u.String(), "/")
}

// header makes a header of one field, or of none.
func header(name, value string) http.Header {
	if value == "" {
		return nil
	}
	return http.Header{name: {value}}
}
