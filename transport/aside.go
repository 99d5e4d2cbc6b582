package transport

import (
	"context"
	"sync"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// asideTime bounds a renewal that nobody waits for. A Session's own budget is
// shorter.
const asideTime = time.Minute

// aside runs renewals that no request waits for, one at a time: whatever else
// is rejected meanwhile was rejected for the same reason.
type aside struct {
	mu     sync.Mutex // guards what follows; never held across I/O
	closed bool
	cancel context.CancelFunc // ends the running one
	done   chan struct{}      // closed when that has returned; nil: none runs
}

// start renews token in a goroutine of its own. Its error is dropped: the
// next request is told.
func (a *aside) start(source Renewer, token tokensource.Token) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.done != nil {
		return
	}
	// Not the request's context: that ends with the request, and a
	// ClientTrace in it would be shown the token request.
	ctx, cancel := context.WithTimeout(context.Background(), asideTime)
	a.cancel, a.done = cancel, make(chan struct{})
	go func() {
		defer a.ended()
		defer cancel()
		_, _ = source.Renew(ctx, token)
	}()
}

func (a *aside) ended() {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.done)
	a.cancel, a.done = nil, nil
}

func (a *aside) close(ctx context.Context) error {
	a.mu.Lock()
	a.closed = true
	cancel, done := a.cancel, a.done
	a.mu.Unlock()
	if done == nil {
		return nil
	}
	cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
