package testserver

import (
	"errors"
	"net/http"
	"time"
)

// loginControl is the part of the control plane that plays the user, turns the
// keys and adds issuers.
func (s *Server) loginControl(mux *http.ServeMux) {
	mux.HandleFunc("POST /_test/authorizations/approve", s.postApprove)
	mux.HandleFunc("POST /_test/authorizations/deny", s.postDeny)
	mux.HandleFunc("POST /_test/devices/{code}/approve", s.postApproveDevice)
	mux.HandleFunc("POST /_test/devices/{code}/deny", s.postDenyDevice)
	mux.HandleFunc("POST /_test/keys/rotate", s.postRotateKeys)
	mux.HandleFunc("POST /_test/keys/replace", s.postReplaceKeys)
	mux.HandleFunc("GET /_test/keys/secret", s.getAccessSecret)
	mux.HandleFunc("POST /_test/issuers", s.postIssuer)
	mux.HandleFunc("DELETE /_test/issuers/{name}", s.deleteIssuer)
}

// decision names the user who decides, on the authorization request in a URL.
type decision struct {
	URL  string `json:"url"`
	User string `json:"user"`
}

type decided struct {
	Redirect string `json:"redirect"`
}

func (s *Server) postApprove(w http.ResponseWriter, r *http.Request) {
	var d decision
	err := readControl(r.Body, &d)
	var out decided
	if err == nil {
		out.Redirect, err = s.Approve(r.Context(), d.URL, d.User)
	}
	s.decidedOr(w, out, err)
}

func (s *Server) postDeny(w http.ResponseWriter, r *http.Request) {
	var d decision
	err := readControl(r.Body, &d)
	var out decided
	if err == nil {
		out.Redirect, err = s.Deny(r.Context(), d.URL)
	}
	s.decidedOr(w, out, err)
}

func (s *Server) decidedOr(w http.ResponseWriter, out decided, err error) {
	if err != nil {
		s.controlled(w, err)
		return
	}
	writeControl(w, http.StatusOK, out)
}

func (s *Server) postApproveDevice(w http.ResponseWriter, r *http.Request) {
	var d decision
	err := readControl(r.Body, &d)
	if err == nil {
		err = s.ApproveDevice(r.Context(), r.PathValue("code"), d.User)
	}
	s.controlled(w, err)
}

func (s *Server) postDenyDevice(w http.ResponseWriter, r *http.Request) {
	s.controlled(w, s.DenyDevice(r.Context(), r.PathValue("code")))
}

func (s *Server) postRotateKeys(w http.ResponseWriter, _ *http.Request) {
	s.controlled(w, s.RotateKeys())
}

func (s *Server) postReplaceKeys(w http.ResponseWriter, _ *http.Request) {
	s.controlled(w, s.ReplaceKeys())
}

// getAccessSecret tells it to the test of an API that checks tokens with it.
func (s *Server) getAccessSecret(w http.ResponseWriter, _ *http.Request) {
	key := s.mint.access.current()
	if key.Algorithm != HS256 {
		writeControl(w, http.StatusNotFound, controlError{"testserver: no secret signs access tokens"})
		return
	}
	writeControl(w, http.StatusOK, map[string]string{"kid": key.ID, "alg": string(key.Algorithm), "k": encode64(key.Secret)})
}

// issuerJSON is what an issuer may have of its own; the rest is as this
// server's Config has it.
type issuerJSON struct {
	Name        string `json:"name"`
	Profile     string `json:"profile"`
	AccessTTL   span   `json:"accessTTL"`
	Idle        span   `json:"idle"`
	Absolute    span   `json:"absolute"`
	AutoApprove string `json:"autoApprove"`
}

func (j issuerJSON) apply(cfg Config) (Config, error) {
	if j.Profile != "" {
		p, err := ProfileNamed(j.Profile)
		if err != nil {
			return cfg, err
		}
		cfg.Profile = p
	}
	for d, given := range map[*time.Duration]span{&cfg.AccessTTL: j.AccessTTL, &cfg.IdleTTL: j.Idle, &cfg.AbsoluteTTL: j.Absolute} {
		if given != 0 {
			*d = time.Duration(given)
		}
	}
	if j.AutoApprove != "" {
		cfg.AutoApprove = j.AutoApprove
	}
	return cfg, nil
}

func (s *Server) postIssuer(w http.ResponseWriter, r *http.Request) {
	var j issuerJSON
	err := readControl(r.Body, &j)
	var cfg Config
	if err == nil {
		cfg, err = j.apply(s.like())
	}
	var child *Server
	if err == nil {
		child, err = s.Issuer(j.Name, cfg)
	}
	if err != nil {
		s.controlled(w, err)
		return
	}
	writeControl(w, http.StatusCreated, map[string]string{"issuer": child.mint.issuer})
}

// errNoIssuer says that there is none of that name.
var errNoIssuer = errors.New("testserver: no such issuer")

func (s *Server) deleteIssuer(w http.ResponseWriter, r *http.Request) {
	child := s.issuer(r.PathValue("name"))
	if child == nil {
		writeControl(w, http.StatusNotFound, controlError{errNoIssuer.Error()})
		return
	}
	child.Close()
	s.controlled(w, nil)
}
