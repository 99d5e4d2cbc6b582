package transport

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// RoundTrip sends req with the current token if its origin may see that, and
// once more with a new token if the first is rejected. It never changes req,
// and the response's Request is req, without the token.
//
// If there is no token to send, the error is that of the Source, wrapped. If
// the token was rejected and there is no other, it is a [*RejectedError].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !t.origins.permit(req) {
		return t.send(req, req)
	}
	out := copyOf(req)
	if out == nil {
		return t.send(req, req)
	}
	token, err := t.source.Token(req.Context())
	if err == nil {
		err = usable(token)
	}
	if err != nil {
		closeBody(req.Body)
		return nil, fmt.Errorf("transport: no token for the request: %w", err)
	}
	out.present(token)
	kept := t.lend(req)
	if kept != nil {
		out.Body = kept.current
	}
	resp, err := t.send(req, &out.Request)
	if err != nil || !t.rejected(resp) {
		kept.settle()
		return resp, err
	}
	return t.again(req, resp, token, kept)
}

// again sends a rejected request once more. Everything that could hand the
// 401 to the caller is decided before any of it is read.
func (t *Transport) again(req *http.Request, resp *http.Response, token tokensource.Token, kept *body) (*http.Response, error) {
	next, ok := nextBody(req, kept)
	if !ok {
		kept.settle()
		t.aside.start(t.source, token)
		return resp, nil
	}
	rejectedAt := time.Now()
	discard(req.Context(), resp, kept != nil)
	fresh, err := t.source.Renew(req.Context(), token)
	if err == nil {
		err = usable(fresh)
	}
	if err != nil {
		closeBody(next)
		return nil, &RejectedError{Response: resp, Err: err}
	}
	resp, err = t.replay(req, next, fresh)
	if err != nil || kept != nil || !olderThan(fresh, rejectedAt) || !t.rejected(resp) {
		return resp, err
	}
	return t.onceMore(req, resp, fresh)
}

// olderThan: the token was issued before that moment, as far as is known.
func olderThan(token tokensource.Token, moment time.Time) bool {
	return !token.IssuedAt().IsZero() && token.IssuedAt().Before(moment)
}

// onceMore is for a replay that went out with a token older than the rejection
// it was to cure: another request or process had renewed before, and what made
// the first token void (every token was revoked, a key was changed) made this
// one void, too. So it is no second attempt with new credentials, after which
// RFC 9110 15.5.2 would have us give up. If there is no newer token the caller
// gets this 401, intact.
func (t *Transport) onceMore(req *http.Request, resp *http.Response, token tokensource.Token) (*http.Response, error) {
	fresh, err := t.source.Renew(req.Context(), token)
	if err != nil || usable(fresh) != nil {
		return resp, nil
	}
	next, ok := nextBody(req, nil)
	if !ok {
		return resp, nil
	}
	discard(req.Context(), resp, false)
	return t.replay(req, next, fresh)
}

func (t *Transport) replay(req *http.Request, body io.ReadCloser, token tokensource.Token) (*http.Response, error) {
	out := copyOf(req)
	out.present(token)
	out.Body = body
	return t.send(req, &out.Request)
}

// send passes out to the base. Whatever the base makes of it, the caller sees
// its own request in the response: the other one holds the token, and the
// chain of redirects is walked by it.
func (t *Transport) send(req, out *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	if resp == nil {
		return nil, errors.New("transport: the base returned neither a response nor an error")
	}
	resp.Request = req
	return resp, nil
}

const authorization = "Authorization"

// outgoing is a copy of the caller's request with a header of its own. The
// value of its Authorization field lies in the same allocation.
type outgoing struct {
	http.Request
	value [1]string
}

// copyOf copies req. It is nil if the caller took charge of the Authorization
// field, in whatever case it wrote the name.
func copyOf(req *http.Request) *outgoing {
	out := &outgoing{Request: *req}
	out.Header = make(http.Header, len(req.Header)+1)
	for name, values := range req.Header {
		if len(name) == len(authorization) && foldEqual(name, authorization) {
			return nil
		}
		// Clipped: a base that adds a value must not write into the
		// caller's array.
		out.Header[name] = values[:len(values):len(values)]
	}
	return out
}

// present adds the token in the one place where it belongs (RFC 6750 2.1).
func (o *outgoing) present(token tokensource.Token) {
	o.value[0] = token.Authorization().Reveal()
	o.Header[authorization] = o.value[:]
}

// usable refuses a token of a type that is presented in another way: sent as
// a bearer token it would be a leak (RFC 6749 7.1).
func usable(token tokensource.Token) error {
	if token.Type() != "Bearer" || token.AccessToken().IsZero() {
		return &TokenTypeError{Type: token.Type()}
	}
	return nil
}

func closeBody(b io.Closer) {
	if b != nil {
		_ = b.Close()
	}
}
