package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Renewer hands out tokens and renews one that was rejected. A
// *tokensource.Session is one.
type Renewer interface {
	tokensource.Source
	// Renew returns a token to use instead of rejected: a new one, or the
	// current one if rejected is no longer that. It is safe for concurrent
	// use, and returns when ctx ends, with the cause of that.
	Renew(ctx context.Context, rejected tokensource.Token) (tokensource.Token, error)
}

// Config configures a [Transport]. [New] copies it.
type Config struct {
	// Source is where tokens come from. Required.
	Source Renewer
	// Origins are the servers that may see the token, each as
	// scheme://host or scheme://host:port. Required.
	Origins []string
	// Base sends the requests. Nil: http.DefaultTransport.
	Base http.RoundTripper
	// MaxReplay is how many bytes of a request body are kept for a replay
	// while it is sent, if the body can neither be had again by GetBody nor
	// be rewound. Nothing is read ahead. 0: 1 MiB. Negative: nothing is
	// kept, and only a body that was not touched is replayed.
	MaxReplay int64
	// InsecureHTTP permits origins of scheme http that are not on this
	// machine: anyone on the way can read the token (RFC 6750 5.3).
	InsecureHTTP bool
	// Rejected is asked about every response of status 400 or more that is
	// not a rejection by itself, for providers that say it in their own
	// way. It may look at the status and the header, not at the body. True
	// means: the token was rejected and the request was NOT applied, renew
	// and send it again. Nil: only a 401 is a rejection.
	Rejected func(*http.Response) bool
}

const defaultMaxReplay = 1 << 20

// Transport is an http.RoundTripper that presents a session's token. It is
// safe for concurrent use. Make it with [New].
type Transport struct {
	source    Renewer
	origins   origins
	base      http.RoundTripper
	maxReplay int64
	predicate func(*http.Response) bool
	aside     aside
}

var _ http.RoundTripper = (*Transport)(nil)

// New returns a Transport, or an error that lists all that is wrong with cfg.
func New(cfg Config) (*Transport, error) {
	var errs []error
	if cfg.Source == nil {
		errs = append(errs, errors.New("transport: Config.Source is required: a *tokensource.Session, or a Renewer of your own"))
	}
	if len(cfg.Origins) == 0 {
		errs = append(errs, errors.New(`transport: Config.Origins is required: list the API servers that may see the token, such as "https://api.example.com"`))
	}
	t := &Transport{source: cfg.Source, base: cfg.Base, maxReplay: cfg.MaxReplay, predicate: cfg.Rejected}
	for i, text := range cfg.Origins {
		o, err := parseOrigin(text)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("transport: Config.Origins[%d] %w", i, err))
		case o.scheme == "http" && !o.loopback() && !cfg.InsecureHTTP:
			errs = append(errs, fmt.Errorf("transport: Config.Origins[%d] would send the token in the clear: use https, or set Config.InsecureHTTP", i))
		}
		t.origins = append(t.origins, o)
	}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	if t.maxReplay == 0 {
		t.maxReplay = defaultMaxReplay
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// CloseIdleConnections closes the idle connections of the base, if it can.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Close ends a renewal that was started beside a request, and waits for it
// until ctx ends. None is started afterwards; everything else goes on working.
// The Source and the Base are not the Transport's, and stay open.
func (t *Transport) Close(ctx context.Context) error { return t.aside.close(ctx) }
