package testserver

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// headerKey carries Config.ControlKey.
const headerKey = "X-Authtest-Key"

// controlRoutes are the control plane: what the methods of a Server do, for
// tests in any language. No fault, gate or count touches it.
func (s *Server) controlRoutes(mux *http.ServeMux) {
	inner := http.NewServeMux()
	inner.HandleFunc("GET /_test/faults", s.listFaults)
	inner.HandleFunc("POST /_test/faults", s.postFault)
	inner.HandleFunc("DELETE /_test/faults", s.deleteFaults)
	inner.HandleFunc("DELETE /_test/faults/{id}", s.deleteFault)
	inner.HandleFunc("GET /_test/scripts", s.listScripts)
	inner.HandleFunc("POST /_test/scripts", s.postScript)
	inner.HandleFunc("DELETE /_test/scripts", s.deleteScripts)
	inner.HandleFunc("GET /_test/gates", s.listGates)
	inner.HandleFunc("POST /_test/gates", s.postGate)
	inner.HandleFunc("POST /_test/gates/{id}/release", s.releaseGate)
	inner.HandleFunc("DELETE /_test/gates/{id}", s.deleteGate)
	inner.HandleFunc("POST /_test/scenario", s.postScenario)
	inner.HandleFunc("GET /_test/clock", s.getClock)
	inner.HandleFunc("POST /_test/clock", s.postClock)
	inner.HandleFunc("POST /_test/expire", s.postExpire)
	inner.HandleFunc("POST /_test/wipe", s.postWipe)
	inner.HandleFunc("POST /_test/sessions/{id}/expire", s.postExpireSession)
	inner.HandleFunc("GET /_test/sessions/{id}", s.getSession)
	inner.HandleFunc("POST /_test/sessions/{id}/revoke", s.postRevoke)
	inner.HandleFunc("POST /_test/sessions/{id}/killed", s.postKilled)
	inner.HandleFunc("POST /_test/users", s.postUser)
	inner.HandleFunc("POST /_test/users/{id}/bump", s.postBump)
	inner.HandleFunc("POST /_test/users/{id}/disable", s.postDisable)
	inner.HandleFunc("POST /_test/users/{id}/enable", s.postEnable)
	inner.HandleFunc("GET /_test/requests", s.getRequests)
	inner.HandleFunc("GET /_test/state", s.getState)
	inner.HandleFunc("GET /_test/events", s.getEvents)
	inner.HandleFunc("GET /_test/violations", s.getViolations)
	inner.HandleFunc("POST /_test/reset", s.postReset)
	s.loginControl(inner)
	// A page of another origin that is open in the developer's browser must not
	// steer the server, nor read it under a name of its own for 127.0.0.1.
	mux.Handle("/_test/", s.controlOnly(http.NewCrossOriginProtection().Handler(inner)))
}

// controlOnly asks for the key unless both ends of the connection are this machine
// and the request means it.
func (s *Server) controlOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.begin() {
			panic(http.ErrAbortHandler)
		}
		defer s.running.Done()
		given := []byte(r.Header.Get(headerKey))
		keyed := s.controlKey != "" && subtle.ConstantTimeCompare(given, []byte(s.controlKey)) == 1
		if !keyed && !(fromHere(r.RemoteAddr) && s.meant(r.Host)) {
			s.log.WarnContext(r.Context(), "control refused", "remote", r.RemoteAddr)
			writeControl(w, http.StatusForbidden, controlError{"from another machine the control plane needs its key in " + headerKey})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// fromHere reports that the other end is this machine or a pipe in this
// process.
func fromHere(remote string) bool {
	if remote == "pipe" {
		return true
	}
	addr, err := netip.ParseAddrPort(remote)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}

// meant reports that a Host header names this machine as such, or by the name
// that the server was given.
func (s *Server) meant(host string) bool {
	if host == s.host {
		return true
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return name == "localhost" || err == nil && addr.IsLoopback()
}

type controlError struct {
	Error string `json:"error"`
}

func writeControl(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil { // a bug: every body here is made of plain values
		status, data = http.StatusInternalServerError, []byte(`{"error":"internal error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(data)
}

// controlled answers 204, or tells what went wrong.
func (s *Server) controlled(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, errNoSession), errors.Is(err, errUnknownUser), errors.Is(err, errNoRule):
		writeControl(w, http.StatusNotFound, controlError{err.Error()})
	default:
		writeControl(w, http.StatusBadRequest, controlError{err.Error()})
	}
}

var errNoRule = errors.New("testserver: no such fault or gate")

// readControl reads a body as JSON; none is the zero value. What it does not
// know is an error: a misspelt condition would hit every request.
func readControl(r io.Reader, into any) error {
	d := json.NewDecoder(io.LimitReader(r, maxForm))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("testserver: control: %w", err)
	}
	if d.More() {
		return errors.New("testserver: control: more than one value")
	}
	return nil
}

// span is a duration as "90s" or "7d".
type span time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *span) UnmarshalText(text []byte) error {
	v, err := parseSpan(string(text))
	*d = span(v)
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (d span) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func parseSpan(text string) (time.Duration, error) {
	var days int
	if n, err := fmt.Sscanf(text, "%dd", &days); err == nil && n == 1 && text == fmt.Sprintf("%dd", days) {
		const most = 100 * 365
		if days < -most || days > most {
			return 0, fmt.Errorf("testserver: control: %d days are too many", days)
		}
		return time.Duration(days) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New("testserver: control: a duration reads like 90s or 7d")
	}
	return d, nil
}

type clockJSON struct {
	Advance span      `json:"advance,omitzero"`
	Set     time.Time `json:"set,omitzero"`
	Skew    *span     `json:"skew,omitempty"`
	Lag     *span     `json:"accessLag,omitempty"`
}

func (c clockJSON) apply(s *Server) {
	if !c.Set.IsZero() {
		s.SetClock(c.Set)
	}
	s.Advance(time.Duration(c.Advance))
	if c.Skew != nil {
		s.Skew(time.Duration(*c.Skew))
	}
	if c.Lag != nil {
		s.SetAccessLag(time.Duration(*c.Lag))
	}
}

type clockState struct {
	Now      time.Time `json:"now"`
	Reported time.Time `json:"reported"`
	Skew     span      `json:"skew"`
	Lag      span      `json:"accessLag"`
}

func (s *Server) clockState() clockState {
	return clockState{s.now(), s.Reported(), span(s.skewed()), span(s.lag.Load())}
}

func (s *Server) getClock(w http.ResponseWriter, _ *http.Request) {
	writeControl(w, http.StatusOK, s.clockState())
}

func (s *Server) postClock(w http.ResponseWriter, r *http.Request) {
	var c clockJSON
	if err := readControl(r.Body, &c); err != nil {
		s.controlled(w, err)
		return
	}
	c.apply(s)
	s.getClock(w, r)
}

func (s *Server) postExpire(w http.ResponseWriter, _ *http.Request) {
	s.controlled(w, s.RevokeAccessTokens())
}

func (s *Server) postWipe(w http.ResponseWriter, _ *http.Request) {
	s.controlled(w, s.Wipe())
}

func (s *Server) postExpireSession(w http.ResponseWriter, r *http.Request) {
	s.controlled(w, s.RevokeAccessTokensOf(r.PathValue("id")))
}

func (s *Server) postRevoke(w http.ResponseWriter, r *http.Request) {
	body := struct {
		Reason string `json:"reason"`
	}{"control"}
	err := readControl(r.Body, &body)
	if err == nil {
		err = s.RevokeSession(r.PathValue("id"), body.Reason)
	}
	s.controlled(w, err)
}

// postKilled is HolderKilled as of now.
func (s *Server) postKilled(w http.ResponseWriter, r *http.Request) {
	_, err := s.store.session(r.Context(), r.PathValue("id"))
	if err == nil {
		s.HolderKilled(r.PathValue("id"), s.now())
	}
	s.controlled(w, err)
}

func (s *Server) postUser(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	err := readControl(r.Body, &body)
	if err == nil {
		err = s.AddUser(User{Name: body.Name, Password: body.Password})
	}
	s.controlled(w, err)
}

func (s *Server) postBump(w http.ResponseWriter, r *http.Request) {
	s.controlled(w, s.RevokeUser(r.PathValue("id")))
}

func (s *Server) postDisable(w http.ResponseWriter, r *http.Request) {
	s.controlled(w, s.DisableUser(r.PathValue("id")))
}

func (s *Server) postEnable(w http.ResponseWriter, r *http.Request) {
	s.controlled(w, s.EnableUser(r.PathValue("id")))
}

func (s *Server) getRequests(w http.ResponseWriter, r *http.Request) {
	writeControl(w, http.StatusOK, s.Exchanges(Endpoint(r.URL.Query().Get("on"))))
}

func (s *Server) getViolations(w http.ResponseWriter, _ *http.Request) {
	list := s.Violations()
	if list == nil {
		list = []Violation{}
	}
	writeControl(w, http.StatusOK, list)
}

func (s *Server) postReset(w http.ResponseWriter, _ *http.Request) {
	s.Reset()
	s.controlled(w, nil)
}

// Reset takes all rules, scripts and gates out of force, lets go what is held,
// empties the book and sets the clocks right. Sessions stay.
func (s *Server) Reset() {
	s.faults.clear()
	s.ledger.forget()
	s.offset.Store(0)
	s.Skew(0)
	s.SetAccessLag(0)
	s.demo.clear()
}

// getEvents streams every event as it happens (server-sent events).
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	events, stop := s.Watch()
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	for flush(w) == nil {
		select {
		case e := <-events:
			data, err := json.Marshal(e)
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		case <-s.done:
			return
		}
	}
}
