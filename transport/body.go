package transport

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// errTaken is what an attempt reads after its body was given to the next one.
var errTaken = errors.New("transport: the request body was taken back for a replay")

// body lends a request body that can be had only once to one attempt after
// the other. What the first reads is kept, or rewound to, so that the second
// can read it again.
//
// The first attempt may still be inside Read when its response has long been
// closed: the write loops of net/http end in their own time. So the source is
// never read, nor rewound, while a Read of it is in flight, and what that Read
// still brings belongs to the second attempt. Waiting for the first attempt to
// end instead would hang a caller that writes its stream only when it has seen
// the response's header.
type body struct {
	src    io.ReadCloser
	seeker io.Seeker // nil: what is read is kept instead
	start  int64     // the offset that the caller left the seeker at
	limit  int64     // how much is kept

	mu      sync.Mutex // guards what follows, in loans too; never held across I/O
	idle    sync.Cond  // signals reading and loan.closed
	current *loan      // the attempt that the body is lent to
	reading bool       // a Read of src is in flight
	settled bool       // no other attempt follows current
	over    bool       // more than limit was read
	rewind  bool       // seek to start before the next Read
	kept    []byte
	err     error // what src.Read ended with
}

// loan is the body as one attempt sees it.
type loan struct {
	b      *body
	at     int // how much of kept it has read
	closed bool
}

// lend returns what keeps req's body for a second attempt, nil if there is no
// need: no body, or one that GetBody has again.
func (t *Transport) lend(req *http.Request) *body {
	if req.Body == nil || req.Body == http.NoBody || req.GetBody != nil {
		return nil
	}
	b := &body{src: req.Body, limit: t.maxReplay}
	b.idle.L = &b.mu
	b.current = &loan{b: b}
	// A pipe is an *os.File too, and says only now that it cannot seek.
	if s, ok := req.Body.(io.Seeker); ok {
		if start, err := s.Seek(0, io.SeekCurrent); err == nil {
			b.seeker, b.start = s, start
		}
	}
	return b
}

// nextBody returns the body for the second attempt, false if there is none.
func nextBody(req *http.Request, kept *body) (io.ReadCloser, bool) {
	if kept != nil {
		return kept.takeBack()
	}
	if req.Body == nil || req.Body == http.NoBody {
		return req.Body, true
	}
	next, err := req.GetBody()
	return next, err == nil
}

// takeBack ends the first loan and makes the second. From here on the first
// attempt reads nothing more. It is false, and nothing changes, if part of
// what was read is gone.
func (b *body) takeBack() (io.ReadCloser, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return nil, false
	}
	b.current = &loan{b: b}
	b.settled = true
	b.rewind = b.seeker != nil
	return b.current, true
}

// settle says that the current attempt is the last: nothing more is kept, and
// its Close reaches the source.
func (b *body) settle() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.settled = true
	b.kept, b.current.at = nil, 0
	closed := b.current.closed
	b.mu.Unlock()
	if closed {
		_ = b.src.Close()
	}
}

// Read reads what was kept, then the source.
func (l *loan) Read(p []byte) (int, error) {
	n, rewind, err := l.begin(p)
	if n > 0 || err != nil || len(p) == 0 {
		return n, err
	}
	if rewind {
		if _, err = l.b.seeker.Seek(l.b.start, io.SeekStart); err != nil {
			return l.end(nil, err)
		}
	}
	n, err = l.b.src.Read(p)
	return l.end(p[:n], err)
}

// begin waits until no Read is in flight. It returns what was kept, or leaves
// the source to the caller, who calls end.
func (l *loan) begin(p []byte) (n int, rewind bool, err error) {
	b := l.b
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.current == l && !l.closed && l.at == len(b.kept) && b.reading {
		b.idle.Wait()
	}
	switch {
	case l.closed:
		return 0, false, http.ErrBodyReadAfterClose
	case b.current != l:
		return 0, false, errTaken
	case l.at < len(b.kept):
		n = copy(p, b.kept[l.at:])
		l.at += n
		return n, false, nil
	case b.err != nil && !b.rewind:
		return 0, false, b.err
	case len(p) == 0:
		return 0, false, nil
	}
	rewind, b.rewind = b.rewind, false
	b.reading = true
	return 0, rewind, nil
}

// end notes what a Read of the source brought, and keeps it for whom it is for.
func (l *loan) end(p []byte, err error) (int, error) {
	b := l.b
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.idle.Broadcast()
	switch {
	case b.seeker != nil: // nothing is kept
	case b.current != l:
		b.kept = append(b.kept, p...) // the next attempt waits for it
	case !b.settled && !b.over:
		if b.over = int64(len(b.kept)+len(p)) > max(b.limit, 0); b.over {
			b.kept, l.at = nil, 0
			break
		}
		b.kept = append(b.kept, p...)
		l.at = len(b.kept)
	case b.settled && l.at == len(b.kept):
		b.kept, l.at = nil, 0 // all of it was sent again
	}
	b.err = err
	return len(p), err
}

// Close gives the loan back. The source is closed once no attempt follows.
func (l *loan) Close() error {
	b := l.b
	b.mu.Lock()
	through := b.settled && b.current == l && !l.closed
	l.closed = true
	b.idle.Broadcast()
	b.mu.Unlock()
	if through {
		return b.src.Close()
	}
	return nil
}
