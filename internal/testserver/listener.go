package testserver

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// Listener lets the faults at OnAccept act on the connections that l accepts:
// Drop ends one by FIN, Reset by RST, Hang reads and never answers, a Raw
// answer or the alert of HandshakeFailure goes out after the first bytes came
// in, and a Delay comes before the first byte is read.
func (s *Server) Listener(l net.Listener) net.Listener { return &faultyListener{l, s} }

type faultyListener struct {
	net.Listener
	s *Server
}

// Accept implements net.Listener.
func (l *faultyListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		rule, delay := l.s.due(nil, OnAccept)
		if rule == nil {
			return conn, nil
		}
		if conn = l.s.greet(conn, rule.fault, delay); conn != nil {
			return conn, nil
		}
	}
}

// greet does to a connection what a rule says, and returns it if it lives.
func (s *Server) greet(conn net.Conn, f Fault, delay time.Duration) net.Conn {
	if f.Do != nil {
		f.Do(context.Background())
	}
	if f.Reset && delay == 0 {
		resetConn(conn)
		return nil
	}
	said := ""
	if f.Answer != nil {
		said = f.Answer.Body
	} else if f.Edit == HandshakeFailure {
		said = handshakeAlert
	}
	if !(f.Drop || f.Reset || f.Hang || said != "") {
		return &lateConn{Conn: conn, s: s, delay: delay}
	}
	if !s.begin() {
		_ = conn.Close()
		return nil
	}
	go func() {
		defer s.running.Done()
		defer func() { _ = conn.Close() }()
		stop := s.closeOnStop(conn)
		defer stop()
		s.wait(delay)
		switch {
		case f.Reset:
			resetConn(conn)
		case f.Hang:
			_, _ = io.Copy(io.Discard, conn)
		case said != "":
			// A client takes what comes before it has spoken for an error of
			// its own, and what comes as it speaks for a broken pipe.
			_, _ = conn.Read(make([]byte, 4<<10))
			_, _ = io.WriteString(conn, said)
			_, _ = io.Copy(io.Discard, conn)
		}
	}()
	return nil
}

// closeOnStop closes a connection when the server ends, until stop is called.
func (s *Server) closeOnStop(conn net.Conn) (stop func()) {
	over := make(chan struct{})
	go func() {
		select {
		case <-s.done:
			_ = conn.Close()
		case <-over:
		}
	}()
	return func() { close(over) }
}

// wait is pause without a request.
func (s *Server) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.done:
	}
}

// lateConn waits once, before anything is read.
type lateConn struct {
	net.Conn
	s     *Server
	delay time.Duration
	once  sync.Once
}

// Read implements io.Reader.
func (c *lateConn) Read(b []byte) (int, error) {
	c.once.Do(func() { c.s.wait(c.delay) })
	return c.Conn.Read(b)
}
