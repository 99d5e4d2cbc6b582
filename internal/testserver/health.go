package testserver

import "net/http"

// healthz says that the server answers. It is no exchange: no fault, no gate
// and no count touches it, so that a script can wait for it.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	_ = jsonReply(http.StatusOK, Done, map[string]string{"status": "ok"}).write(w)
}
