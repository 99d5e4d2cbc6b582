package testserver

import "sync"

// Event is something that has just happened: one of its fields is set.
type Event struct {
	Exchange  *Exchange  `json:"exchange,omitempty"`
	Violation *Violation `json:"violation,omitempty"`
}

// watchers hear of every event.
type watchers struct {
	mu   sync.Mutex // guards list; never held across I/O, timers or callbacks
	list map[chan Event]bool
}

// watching is how many events a watcher may be behind; it misses those beyond.
const watching = 256

// Watch returns a channel of the events from now on. A watcher that does not
// read misses some; it holds nobody up. The channel is not closed.
func (s *Server) Watch() (events <-chan Event, stop func()) {
	c := make(chan Event, watching)
	s.watchers.mu.Lock()
	defer s.watchers.mu.Unlock()
	if s.watchers.list == nil {
		s.watchers.list = make(map[chan Event]bool)
	}
	s.watchers.list[c] = true
	return c, func() {
		s.watchers.mu.Lock()
		defer s.watchers.mu.Unlock()
		delete(s.watchers.list, c)
	}
}

func (w *watchers) tell(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.list {
		select {
		case c <- e:
		default: // it is behind
		}
	}
}
