package authtest

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// dialTo sends example.com and what is below it to the server, as httptest
// does, and every other host to itself.
func dialTo(server string) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(address)
		if host == "example.com" || strings.HasSuffix(host, ".example.com") {
			address = server
		}
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
}

// pipeURL is loopback, because clients refuse plain http elsewhere. Port 1
// makes a request that strays to the real network fail at once.
const pipeURL = "http://127.0.0.1:1"

// pipe is a listener whose connections are in memory.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	down   atomic.Bool // see Server.Refuse
}

func newPipe() *pipe {
	return &pipe{conns: make(chan net.Conn), closed: make(chan struct{})}
}

var errNoSuchHost = errors.New("authtest: a pipe reaches no other host than the server's and example.com")

// DialContext connects to the server, whatever host of ours was asked for.
func (p *pipe) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(address)
	if address != strings.TrimPrefix(pipeURL, "http://") &&
		host != "example.com" && !strings.HasSuffix(host, ".example.com") {
		return nil, errNoSuchHost
	}
	if p.down.Load() {
		return nil, syscall.ECONNREFUSED
	}
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipe) shut() { p.down.Store(true) }

func (p *pipe) open() error {
	p.down.Store(false)
	return nil
}

// Accept implements net.Listener.
func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *pipe) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
