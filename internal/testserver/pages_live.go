package testserver

import (
	"io"
	"net/http"
	"time"
)

// tick is how often a page is told to look again though no request was
// answered: the clock moves on, and requests come to wait at gates.
const tick = time.Second

// live tells the script of a page when to look again, by server-sent events.
// They say nothing: what has happened is rendered in one place, by the page.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		panic(http.ErrAbortHandler)
	}
	defer s.running.Done()
	if !s.operates(r) {
		writePage(w, s.keepOut(r))
		return
	}
	events, stop := s.Watch()
	defer stop()
	again := time.NewTicker(tick)
	defer again.Stop()
	secure(w.Header(), "")
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	for flush(w) == nil {
		select {
		case <-events:
		case <-again.C:
		case <-r.Context().Done():
			return
		case <-s.done:
			return
		}
		if _, err := io.WriteString(w, "data: look\n\n"); err != nil {
			return
		}
	}
}
