package testserver

import (
	"context"
	"net/http"
	"slices"
)

// overtakable is a request that waits until a later one on its endpoint has
// ended.
type overtakable struct {
	on     Endpoint
	number int // of its exchange
	gone   chan struct{}
}

// beOvertaken keeps a request until a later one on its endpoint has ended, its
// client leaves or the server ends.
func (s *Server) beOvertaken(ctx context.Context, x *exchange) {
	select {
	case <-s.faults.overtaking(x.endpoint, x.seen.Number):
	case <-ctx.Done():
	case <-s.done:
		panic(http.ErrAbortHandler)
	}
}

// overtaking returns a channel that is closed when a later request has ended.
func (f *faults) overtaking(on Endpoint, number int) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := overtakable{on, number, make(chan struct{})}
	if f.latest[on] > number {
		close(o.gone)
	} else {
		f.slow = append(f.slow, o)
	}
	return o.gone
}

// passed books that a request has ended.
func (f *faults) passed(on Endpoint, number int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.latest == nil {
		f.latest = make(map[Endpoint]int)
	}
	f.latest[on] = max(f.latest[on], number)
	f.slow = slices.DeleteFunc(f.slow, func(o overtakable) bool {
		over := o.on == on && o.number < number
		if over {
			close(o.gone)
		}
		return over || o.on == on && o.number == number
	})
}
