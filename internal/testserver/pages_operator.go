package testserver

import (
	"crypto/subtle"
	"encoding/hex"
	"maps"
	"net/http"
)

// operator is the handler of a page of the dashboard, which may do whatever the
// control plane may, and is for the same people. It is no exchange: who watches
// does not want to see himself, and no fault may lock him out.
func (s *Server) operator(h func(http.ResponseWriter, *http.Request) reply) http.HandlerFunc {
	return s.guarded(func(w http.ResponseWriter, r *http.Request) {
		if !s.begin() {
			panic(http.ErrAbortHandler)
		}
		defer s.running.Done()
		rep := s.readPageForm(w, r)
		switch {
		case rep != nil:
		case !s.operates(r):
			refusal := s.keepOut(r)
			rep = &refusal
		default:
			answer := h(w, r)
			rep = &answer
		}
		writePage(w, *rep)
	}).ServeHTTP
}

// keepOut is the answer to whoever may not operate the server.
func (s *Server) keepOut(r *http.Request) reply {
	s.log.WarnContext(r.Context(), "control refused", "remote", r.RemoteAddr, "path", r.URL.Path)
	return s.askKey(r, http.StatusForbidden, "")
}

func writePage(w http.ResponseWriter, rep reply) {
	maps.Copy(w.Header(), rep.Header)
	w.WriteHeader(rep.status())
	_, _ = w.Write([]byte(rep.Body))
}

// keyCookie is how a browser carries Config.ControlKey, as its digest.
const keyCookie = "authtest_key"

// operates applies the control plane's rule: both ends are this machine and the
// request means it, or it has the key.
func (s *Server) operates(r *http.Request) bool {
	if fromHere(r.RemoteAddr) && s.meant(r.Host) {
		return true
	}
	c, err := r.Cookie(keyCookie)
	return err == nil && s.controlKey != "" && subtle.ConstantTimeCompare([]byte(c.Value), []byte(s.keyDigest())) == 1
}

func (s *Server) keyDigest() string {
	d := digestOf(s.controlKey)
	return hex.EncodeToString(d[:])
}

type keyData struct {
	Action, Problem string
	Possible        bool // there is a key
}

func (s *Server) askKey(r *http.Request, status int, problem string) reply {
	return s.show(r, view{
		name: "key", status: status, title: "Dashboard",
		data: keyData{Action: s.path + keyForm, Problem: problem, Possible: s.controlKey != ""},
	})
}

// keyAction is POST of keyForm.
func (s *Server) keyAction(w http.ResponseWriter, r *http.Request) {
	if rep := s.readPageForm(w, r); rep != nil {
		writePage(w, *rep)
		return
	}
	given := digestOf(r.PostForm.Get("key"))
	if s.controlKey == "" || subtle.ConstantTimeCompare([]byte(hex.EncodeToString(given[:])), []byte(s.keyDigest())) != 1 {
		s.log.WarnContext(r.Context(), "control refused", "remote", r.RemoteAddr, "path", r.URL.Path)
		writePage(w, s.askKey(r, http.StatusForbidden, "This is not the key."))
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: keyCookie, Value: s.keyDigest(), Path: s.path + dashboardPath, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Secure: s.overTLS(),
	})
	writePage(w, redirectReply(Done, s.path+dashboardPath))
}
