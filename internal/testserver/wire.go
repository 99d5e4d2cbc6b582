package testserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Answer is an HTTP answer.
type Answer struct {
	Status int // zero: 200
	Header http.Header
	Body   string
	Pad    int64 // so many spaces follow Body

	RetryAfter string // sets Retry-After: see RetryAfter
	Hints      bool   // a 103 goes before (RFC 8297)
	Interim    []int  // so do these, from 102 to 199 (RFC 9110 15.2)
	Raw        bool   // Body is all that is sent, its status line included, and the connection ends. HTTP/1.1

	// Body is sent so many bytes at a time, and then a pause; zero: at once.
	PaceBytes int
	PaceEvery time.Duration
}

func (a *Answer) check() error {
	switch {
	case a == nil:
		return nil
	// What net/http can write as an answer; a code that HTTP does not know is a
	// fault as good as any.
	case a.Status != 0 && (a.Status < 200 || a.Status > 999):
		return fmt.Errorf("testserver: fault: status %d", a.Status)
	case slices.ContainsFunc(a.Interim, func(code int) bool { return code < 102 || code > 199 }):
		return errors.New("testserver: fault: Interim holds statuses from 102 to 199")
	case a.Pad < 0 || a.PaceBytes < 0 || a.PaceEvery < 0:
		return errors.New("testserver: fault: Pad, PaceBytes and PaceEvery must not be negative")
	}
	_, err := RetryAfter(a.RetryAfter, time.Time{})
	return err
}

// RetryAfter makes a value of Retry-After (RFC 9110 10.2.3) out of a form of
// it: a duration like "30s" stands for seconds, "date 30s" for an HTTP-date so
// far from now, "past" and "huge" for what they say, and "garbage" for none.
func RetryAfter(form string, now time.Time) (string, error) {
	ahead, dated := strings.CutPrefix(form, "date ")
	switch form {
	case "":
		return "", nil
	case "past":
		return now.Add(-time.Hour).UTC().Format(http.TimeFormat), nil
	case "huge":
		return "99999999999999999999", nil
	case "garbage":
		return "soon, perhaps", nil
	}
	d, err := time.ParseDuration(ahead)
	if err != nil {
		return "", fmt.Errorf("testserver: fault: no form of Retry-After: %q", form)
	}
	if dated {
		return now.Add(d).UTC().Format(http.TimeFormat), nil
	}
	return strconv.FormatInt(seconds(d), 10), nil
}

var errCut = errors.New("testserver: answer cut short")

// write sends the answer. A Content-Length that promises more than the body
// holds makes net/http cut the connection; that is an error here, too.
func (s *Server) write(x *exchange, a Answer) error {
	if a.Raw {
		return s.writeRaw(x, a)
	}
	header := x.w.Header()
	for name, values := range a.Header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	if after, err := RetryAfter(a.RetryAfter, s.Reported()); err == nil && after != "" {
		header.Set("Retry-After", after)
	}
	for _, code := range a.Interim {
		x.w.WriteHeader(code)
	}
	if a.Hints {
		x.w.WriteHeader(http.StatusEarlyHints)
	}
	length := int64(len(a.Body)) + a.Pad
	promised := header.Get("Content-Length")
	if promised == "" && a.Pad == 0 && a.Status != http.StatusNoContent {
		header.Set("Content-Length", strconv.FormatInt(length, 10))
	}
	x.w.WriteHeader(a.status())
	if err := s.writeBody(x, a); err != nil {
		return err
	}
	if promised != "" && promised != strconv.FormatInt(length, 10) {
		return s.cut(x)
	}
	// The rule is chosen before the client can have all of the body and end its
	// test on it.
	rule, delay := s.due(x, AfterBody)
	if err := flush(x.w); err != nil {
		return err
	}
	s.holdAt(x, AfterBody)
	s.strike(x, rule, delay)
	return nil
}

// cut ends an answer before its end: under HTTP/1.1 net/http closes the
// connection, under HTTP/2 the stream has to be reset.
func (s *Server) cut(x *exchange) error {
	if x.r.ProtoMajor < 2 {
		return errCut
	}
	if err := flush(x.w); err != nil {
		return err
	}
	panic(http.ErrAbortHandler)
}

func (s *Server) writeBody(x *exchange, a Answer) error {
	if early, ok := s.midBody(x); ok {
		if early == 0 || early > len(a.Body) {
			early = len(a.Body) / 2
		}
		if err := s.writePaced(x, x.w, a, early); err != nil {
			return err
		}
		if err := flush(x.w); err != nil {
			return err
		}
		s.pass(x, MidBody)
		a.Body = a.Body[early:]
	}
	if err := s.writePaced(x, x.w, a, len(a.Body)); err != nil {
		return err
	}
	blank := bytes.Repeat([]byte(" "), int(min(a.Pad, 32<<10)))
	for left := a.Pad; left > 0; left -= int64(len(blank)) {
		if _, err := x.w.Write(blank[:min(left, int64(len(blank)))]); err != nil {
			return err
		}
	}
	return nil
}

// writePaced writes the first so many bytes of the body, at once or, given a
// pace, a bit at a time.
func (s *Server) writePaced(x *exchange, w io.Writer, a Answer, upTo int) error {
	body := a.Body[:upTo]
	for a.PaceBytes > 0 && len(body) > 0 && x.r.Context().Err() == nil {
		n := min(a.PaceBytes, len(body))
		if _, err := io.WriteString(w, body[:n]); err != nil {
			return err
		}
		if rw, ok := w.(http.ResponseWriter); ok {
			if err := flush(rw); err != nil {
				return err
			}
		}
		body = body[n:]
		s.pause(x.r.Context(), a.PaceEvery)
	}
	_, err := io.WriteString(w, body)
	return err
}

// writeRaw takes the connection over, which HTTP/2 does not allow: there the
// stream is reset.
func (s *Server) writeRaw(x *exchange, a Answer) error {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = conn.Close() }()
	stop := s.closeOnStop(conn)
	defer stop()
	return s.writePaced(x, conn, a, len(a.Body))
}

func flush(w http.ResponseWriter) error {
	if err := http.NewResponseController(w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

func (a Answer) status() int {
	if a.Status == 0 {
		return http.StatusOK
	}
	return a.Status
}
