package testserver

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// pass takes the request through a stage: it waits at the gates, then meets
// the fault that is due. It returns what replaces the answer, if anything; a
// fault that drops the connection, and the end of the server, do not return.
func (s *Server) pass(x *exchange, at Stage) func(Answer) Answer {
	s.holdAt(x, at)
	rule, delay := s.due(x, at)
	return s.strike(x, rule, delay)
}

// strike does to the request what a rule says, if there is one.
func (s *Server) strike(x *exchange, rule *Rule, delay time.Duration) func(Answer) Answer {
	if rule == nil {
		return nil
	}
	x.faults = append(x.faults, rule.fault.describe())
	return s.act(x, rule.fault, delay)
}

func (s *Server) holdAt(x *exchange, at Stage) {
	for _, g := range s.faults.gatesAt(x.endpoint, at) {
		if !g.hold(s.done) {
			panic(http.ErrAbortHandler)
		}
	}
}

func (s *Server) act(x *exchange, f Fault, delay time.Duration) func(Answer) Answer {
	ctx := x.r.Context()
	if f.Do != nil {
		f.Do(context.WithoutCancel(ctx))
	}
	if err := s.befall(x.ctx(), x, f.Incident); err != nil {
		_ = s.failure(x, err)
	}
	s.pause(ctx, delay)
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler) // works on HTTP/1.1 and HTTP/2, where Hijack does not
	case f.Reset:
		s.ledger.undeliver(x) // before the client can know
		s.ledger.answering(x) // and come back
		reset(x.w)
	case f.Hang:
		s.hang(x)
	case f.Overtaken:
		s.beOvertaken(ctx, x)
	case f.Twice:
		x.twice = true
	case f.Answer != nil:
		return func(Answer) Answer { return *f.Answer }
	case f.Edit != "":
		return func(a Answer) Answer {
			// Whether a client can read what came out of it is its own affair:
			// it is not blamed if it could not.
			x.spoiled = true
			return s.edit(f.Edit, a, x)
		}
	}
	return f.Rewrite
}

// describe names the fault for the book of exchanges.
func (f Fault) describe() string {
	switch {
	case f.Drop:
		return string(f.At) + " drop"
	case f.Reset:
		return string(f.At) + " reset"
	case f.Hang:
		return string(f.At) + " hang"
	case f.Overtaken:
		return string(f.At) + " overtaken"
	case f.Twice:
		return string(f.At) + " twice"
	case f.Answer != nil:
		return string(f.At) + " answer"
	case f.Edit != "":
		return string(f.At) + " edit " + string(f.Edit)
	case f.Rewrite != nil:
		return string(f.At) + " rewrite"
	case f.Delay+f.Jitter > 0:
		return string(f.At) + " delay"
	case f.Incident != "":
		return string(f.At) + " " + string(f.Incident)
	case f.Do != nil:
		return string(f.At) + " do"
	}
	return string(f.At) + " pass"
}

// reset ends the connection by a RST, where there is TCP under HTTP/1.1; a
// stream of HTTP/2 is reset by the abort itself. It does not return.
func reset(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		resetConn(conn)
	}
	panic(http.ErrAbortHandler)
}

// resetConn closes with SO_LINGER 0, which throws away what is unsent and sends
// RST instead of FIN (RFC 9293 3.6.1).
func resetConn(conn net.Conn) {
	raw := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = t.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}

// hang answers nothing until the client leaves or the server ends. net/http
// watches the connection only once the body was read.
func (s *Server) hang(x *exchange) {
	_, _ = io.Copy(io.Discard, x.r.Body)
	select {
	case <-x.r.Context().Done():
	case <-s.done:
	}
	panic(http.ErrAbortHandler)
}

// pause waits on the clock of the process (fake inside a synctest bubble). A
// client that leaves cuts it short, and the request goes on without it: what a
// real server would commit is committed.
func (s *Server) pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-s.done:
		panic(http.ErrAbortHandler)
	}
}
