package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/transport"
)

// Config configures a [Client]. [New] copies it.
type Config struct {
	// Provider hands out the tokens. Required: make one with OAuthProvider
	// or JSONProvider.
	Provider *Provider
	// Origins are the servers that may see the access token, each as
	// scheme://host or scheme://host:port. Required: a token that goes
	// everywhere is a leak.
	Origins []string
	// Store keeps the session between runs. Required: a keyringstore, or
	// tokensource.NewMemoryStore() for a session that ends with the process.
	Store tokensource.Store
	// Profile names the account where a program has several. Sessions of
	// different profiles never meet. Empty is a profile like any other.
	Profile string

	// Base sends the requests to the API. Nil: http.DefaultTransport. Token
	// requests go by the Provider's own Transport.
	Base http.RoundTripper
	// MaxReplay is how many bytes of a request body are kept for a replay, as
	// transport.Config.MaxReplay. 0: 1 MiB.
	MaxReplay int64
	// InsecureHTTP permits Origins of scheme http that are not on this
	// machine.
	InsecureHTTP bool
	// Rejected recognises an API that refuses a token in its own way, as
	// transport.Config.Rejected. Nil: only a 401 refuses one.
	Rejected func(*http.Response) bool

	// Background: nobody waits for a token that is refreshed early. Only for
	// programs that call [Client.Close] before they exit: one that ends
	// between the server's rotation and the save loses its session.
	Background bool
	// KeepAlive refreshes the session when its tokens reach this age, even
	// if nobody asks, so that an idle one does not lapse. 0: never.
	KeepAlive time.Duration
	// Hooks are told what the session does.
	Hooks tokensource.Hooks
}

// Client keeps one account of one program signed in. It is safe for
// concurrent use. Make it with [New].
type Client struct {
	provider  *Provider
	session   *tokensource.Session
	transport *transport.Transport
}

// New returns a Client, or an error that names everything that is wrong with
// cfg. It sends nothing and reads nothing: the first request does.
func New(cfg Config) (*Client, error) {
	var errs []error
	p := cfg.Provider
	if p == nil || p.wire == nil { // a Provider that no constructor made
		errs = append(errs, errors.New("client: Config.Provider is required: make one with OAuthProvider or JSONProvider"))
		p = &Provider{} // so that the rest is checked, too
	}
	session, err := tokensource.NewSession(cfg.session(p))
	errs = append(errs, err)
	t, err := transport.New(transport.Config{
		Source: session, Origins: cfg.Origins, Base: cfg.Base, MaxReplay: cfg.MaxReplay,
		InsecureHTTP: cfg.InsecureHTTP, Rejected: cfg.Rejected,
	})
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return &Client{provider: p, session: session, transport: t}, nil
}

func (cfg Config) session(p *Provider) tokensource.Config {
	sc := tokensource.Config{
		Key:   tokensource.NewKey(p.issuer, p.clientID, cfg.Profile),
		Store: cfg.Store, Rotation: p.rotation, Resource: p.resource,
		Background: cfg.Background, KeepAlive: cfg.KeepAlive, Hooks: cfg.Hooks,
	}
	if p.mints {
		sc.Minter = p
	} else {
		sc.Refresher = p
	}
	if p.revokes {
		sc.Revoker = p
	}
	return sc
}

// HTTPClient returns a client whose requests carry the access token to the
// Origins and to nobody else. A token whose time has come is renewed first; a
// request whose token an API refuses is sent again with a new one, once.
//
// If there is no token, the error of a request matches
// tokensource.ErrLoginRequired, ErrTryAgain or ErrConfig under errors.Is.
// Every call returns an http.Client of its own over the same session, which
// the caller may change. It has no Timeout, and should not get one: that
// would replace these errors, and counts the renewal in. Use the context of
// the request.
func (c *Client) HTTPClient() *http.Client { return &http.Client{Transport: c.transport} }

// Session returns the session underneath: its Status, its Token for other
// protocols than HTTP, and Adopt for a token set that was obtained elsewhere.
func (c *Client) Session() *tokensource.Session { return c.session }

// Login obtains a token set by flow and starts a session with it, in place of
// whichever is stored for the account. When it returns nil the session is
// saved. A flow that fails leaves the stored session as it was and is not
// repeated.
func (c *Client) Login(ctx context.Context, flow Flow) error {
	if flow == nil {
		return errors.New("client: Login was given no Flow, such as Password{}")
	}
	if c.provider.mints {
		return fmt.Errorf("client: login: %w", &tokensource.Error{
			Reason: tokensource.ReasonClient, Advice: "OAuthConfig.ClientCredentials is set: the program acts for itself and nobody logs in",
		})
	}
	g, err := flow.Login(ctx, c.provider)
	if err != nil {
		return fmt.Errorf("client: login: %w", err)
	}
	// The server has begun a session. A context that ends now must not
	// leave it without a holder.
	if err := c.session.Adopt(context.WithoutCancel(ctx), g); err != nil {
		_ = c.provider.Revoke(ctx, g)
		return fmt.Errorf("client: the login could not be saved: %w", err)
	}
	return nil
}

// Logout ends the session: here at once and for every process that shares the
// store, and then at the server. If the server cannot be told, the error
// matches tokensource.ErrTryAgain; the session is over here all the same.
// Without a session it does nothing.
func (c *Client) Logout(ctx context.Context) error {
	if err := c.session.End(ctx); err != nil {
		return fmt.Errorf("client: logout: %w", err)
	}
	return nil
}

// Close waits until no refresh runs and everything is saved, or until ctx
// ends. It is no logout: the session stays in the store. Programs that set
// Background have to call it. It may be called again.
func (c *Client) Close(ctx context.Context) error {
	return errors.Join(c.transport.Close(ctx), c.session.Close(ctx))
}
