package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

const (
	// connectBudget covers the dial, the TLS handshake and the request's
	// header: all that happens while the token is still here.
	connectBudget = 10 * time.Second
	// maxAnswer bounds an answer's header and its body.
	maxAnswer = 1 << 20

	defaultUserAgent = "pawl (+https://github.com/seed-9a12f4e2/pawl)"
)

var errConnectBudget = errors.New("client: no connection to the server within " + connectBudget.String())

// call is one request to the server: always a POST.
type call struct {
	url         string
	contentType string
	// header holds the authentication, if it travels there.
	header http.Header
	body   []byte
	// secrets are what must not come back in the text of an error.
	secrets []tokensource.Secret
}

// wire performs calls. It has a transport of its own, because what makes a
// token request safe is set there.
type wire struct {
	transport *http.Transport
	userAgent string
}

// newWire copies base, or [http.DefaultTransport].
func newWire(base *http.Transport, userAgent string) *wire {
	if base == nil {
		base, _ = http.DefaultTransport.(*http.Transport)
	}
	if base == nil { // The program put something else there.
		base = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	t := base.Clone()
	// On a connection that was used before, net/http sends some requests
	// again without a word; HTTP/2 does so on any connection. A refresh
	// token that is presented twice can end the session. So every call has
	// a fresh connection and HTTP/1.1.
	t.DisableKeepAlives = true
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if t.TLSClientConfig != nil {
		t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	// Once the token has left, giving up early gains nothing and loses the
	// answer: only the caller's context ends the wait.
	t.ResponseHeaderTimeout = 0
	t.TLSHandshakeTimeout = connectBudget
	t.MaxResponseHeaderBytes = maxAnswer
	if userAgent == "" {
		userAgent = defaultUserAgent
	}
	return &wire{transport: t, userAgent: userAgent}
}

// post sends c once and returns the answer, or why there is none. sent says
// whether a byte of the body can have left this process.
//
// It goes to the RoundTripper itself: an http.Client would follow redirects,
// and a 307 carries the token to any host.
func (w *wire) post(ctx context.Context, c call) (a *answer, sent bool, fail *tokensource.Error) {
	// The caller's httptrace hooks would see the authentication, and they
	// travel as a value of its context: only its end is taken over.
	own, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()

	body := newGatedBody(ctx.Err, c.body)
	defer time.AfterFunc(connectBudget, func() {
		if body.shut() {
			cancel(errConnectBudget)
		}
	}).Stop()

	req, err := w.request(own, c, body)
	if err != nil {
		return nil, false, &tokensource.Error{Reason: tokensource.ReasonEndpoint}
	}
	a, err = w.roundTrip(req)
	sent = !body.shut()
	if sent {
		// net/http may return an early answer while its write loop still
		// holds the body. The next refresh must not begin before this one
		// has stopped. (A shut body yields nothing and may stay unclosed.)
		<-body.closed
	}
	if err == nil {
		return a, sent, nil
	}
	end := causeOf(ctx, own)
	if sent {
		return nil, true, &tokensource.Error{Reason: tokensource.ReasonLost, Uncertain: true, Err: lossCause(err, end)}
	}
	if end != nil {
		err = end
	}
	return nil, false, &tokensource.Error{Reason: tokensource.ReasonNotSent, Err: newScrubber(c.secrets).err(err)}
}

// request makes the request of c. GetBody and Idempotency-Key stay unset:
// either invites net/http to send the body twice.
func (w *wire) request(ctx context.Context, c call, body io.ReadCloser) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = int64(len(c.body)) // Some servers see an empty form in a chunked request.
	for name, values := range c.header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", c.contentType)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", w.userAgent)
	return req, nil
}

// causeOf returns why the first of the contexts that have ended did so.
func causeOf(contexts ...context.Context) error {
	for _, ctx := range contexts {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// transportFor returns a transport for one request. net/http lets a dial go on
// when its request ends, for the next request's sake; here there is none.
func (w *wire) transportFor(ctx context.Context) *http.Transport {
	t := w.transport.Clone()
	type dialFunc = func(context.Context, string, string) (net.Conn, error)
	ending := func(dial dialFunc) dialFunc {
		return func(_ context.Context, network, address string) (net.Conn, error) { return dial(ctx, network, address) }
	}
	switch {
	case t.DialContext != nil:
		t.DialContext = ending(t.DialContext)
	//lint:ignore SA1019 deprecated, and still what the program asked for
	case t.Dial == nil:
		t.DialContext = ending((&net.Dialer{}).DialContext)
	}
	if t.DialTLSContext != nil {
		t.DialTLSContext = ending(t.DialTLSContext)
	}
	return t
}

func (w *wire) roundTrip(req *http.Request) (*answer, error) {
	resp, err := w.transportFor(req.Context()).RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, errAnswerTooLong
	}
	return readAnswer(resp.StatusCode, resp.Header, body, time.Now()), nil
}

var (
	errAnswerTooLong = errors.New("client: the answer is longer than 1 MiB")
	errNotHTTP       = errors.New("client: the answer is not well-formed HTTP")
)

// lossCause picks what may be told about a lost answer. net/http quotes an
// answer that it cannot parse, and that may hold the new tokens.
func lossCause(err, end error) error {
	var op *net.OpError
	switch {
	case end != nil:
		return end
	case err == errAnswerTooLong:
		return err
	case errors.As(err, &op):
		return op
	case errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return errNotHTTP
}

// gatedBody decides whether a request was sent. Its first Read is the last
// moment at which the token is certainly still here, and the only one that
// every http.RoundTripper must pass: httptrace hooks may not be called.
type gatedBody struct {
	ended  func() error // why nobody waits for the call any more
	data   *bytes.Reader
	gate   atomic.Uint32 // one of the constants below; leaves gateReady once
	closed chan struct{}
	once   sync.Once // guards the close of closed
}

const (
	gateReady = iota // nothing was read
	gateOpen         // something was read: it may be sent
	gateShut         // nothing was read and nothing will be
)

var errShut = errors.New("client: the request was given up before it was sent")

func newGatedBody(ended func() error, data []byte) *gatedBody {
	return &gatedBody{ended: ended, data: bytes.NewReader(data), closed: make(chan struct{})}
}

// shut keeps the body here, and reports whether it came in time for that.
func (b *gatedBody) shut() bool {
	return b.gate.CompareAndSwap(gateReady, gateShut) || b.gate.Load() == gateShut
}

func (b *gatedBody) Read(p []byte) (int, error) {
	if b.ended() != nil && b.shut() {
		return 0, errShut
	}
	if !b.gate.CompareAndSwap(gateReady, gateOpen) && b.gate.Load() == gateShut {
		return 0, errShut
	}
	return b.data.Read(p)
}

func (b *gatedBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}
