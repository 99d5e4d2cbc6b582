package transport_test

import (
	"io"
	"sync"
)

// oneShot is a body that can be had only once. It counts.
type oneShot struct {
	io.Reader
	mu     sync.Mutex // guards the rest
	read   int64
	closed int
}

func (o *oneShot) Read(p []byte) (int, error) {
	n, err := o.Reader.Read(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.read += int64(n)
	return n, err
}

func (o *oneShot) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed++
	return nil
}

func (o *oneShot) closes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

func (o *oneShot) bytesRead() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.read
}
