package authtest

import (
	"net"
	"sync"
)

// door is a listener that can be shut: connections are refused, as by a host
// on which nothing runs, until it is opened again.
type door interface {
	net.Listener
	shut()
	open() error
}

// Refuse makes the server refuse connections, as one does that is down, and
// ends those that are idle. Requests under way are still answered. listenAgain
// ends it; a port that somebody else has taken in between is fatal.
func (s *Server) Refuse() (listenAgain func()) {
	s.door.shut()
	s.http.SetKeepAlivesEnabled(false)
	s.client.CloseIdleConnections()
	return func() {
		if err := s.door.open(); err != nil {
			s.fatal("authtest: listening again: %v", err)
			return
		}
		s.http.SetKeepAlivesEnabled(true)
	}
}

// doorOf makes a door of a listener on TCP; a pipe is one.
func doorOf(l net.Listener) door {
	if d, ok := l.(door); ok {
		return d
	}
	return &tcpDoor{addr: l.Addr(), inner: l, closed: make(chan struct{})}
}

// tcpDoor closes its socket to refuse: the system itself accepts whatever comes
// to one that listens.
type tcpDoor struct {
	addr   net.Addr
	closed chan struct{}

	mu     sync.Mutex // guards what follows; never held across I/O, timers or callbacks
	inner  net.Listener
	opened chan struct{} // while it is shut: closed when it is opened
	ended  bool
}

func (d *tcpDoor) shut() {
	d.mu.Lock()
	inner, already := d.inner, d.opened != nil
	if !already {
		d.opened = make(chan struct{})
	}
	d.mu.Unlock()
	if !already {
		_ = inner.Close()
	}
}

func (d *tcpDoor) open() error {
	d.mu.Lock()
	shut := d.opened != nil && !d.ended
	d.mu.Unlock()
	if !shut {
		return nil
	}
	l, err := net.Listen("tcp", d.addr.String())
	if err != nil {
		return err
	}
	d.mu.Lock()
	late := d.ended || d.opened == nil
	if !late {
		close(d.opened)
		d.inner, d.opened = l, nil
	}
	d.mu.Unlock()
	if late {
		return l.Close()
	}
	return nil
}

// Accept implements net.Listener. It waits while the door is shut.
func (d *tcpDoor) Accept() (net.Conn, error) {
	for {
		d.mu.Lock()
		inner, opened := d.inner, d.opened
		d.mu.Unlock()
		if opened != nil {
			select {
			case <-opened:
				continue
			case <-d.closed:
				return nil, net.ErrClosed
			}
		}
		conn, err := inner.Accept()
		if err == nil {
			return conn, nil
		}
		d.mu.Lock()
		shut := d.opened != nil || d.inner != inner
		d.mu.Unlock()
		if !shut {
			return nil, err
		}
	}
}

// Close implements net.Listener.
func (d *tcpDoor) Close() error {
	d.mu.Lock()
	inner, again := d.inner, d.ended
	d.ended = true
	d.mu.Unlock()
	if again {
		return nil
	}
	close(d.closed)
	_ = inner.Close() // it may be closed already
	return nil
}

// Addr implements net.Listener.
func (d *tcpDoor) Addr() net.Addr { return d.addr }
