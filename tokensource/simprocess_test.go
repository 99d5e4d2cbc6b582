package tokensource_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// simProcess is a process: its own way to the store and to the server.
type simProcess struct {
	*simulation
	name  string
	ctx   context.Context // ends with the process
	kill  context.CancelFunc
	mu    sync.Mutex // guards n and lease
	n     int
	lease *simLease
}

var errDead = errors.New("the process is dead")

// io is one step of I/O: it takes time, more if the process is paused, and
// never returns to a dead process's benefit.
func (p *simProcess) io(kind string) (n int, err error) {
	p.mu.Lock()
	p.n++
	n = p.n
	p.mu.Unlock()
	time.Sleep(time.Duration(1 + p.draw(p.name+kind, n, uint64(40*time.Millisecond))))
	if p.spend(pauseProc, p.draw(p.name+"pause", n, 12) == 0, p.name) {
		time.Sleep(time.Duration(p.draw(p.name+"long", n, uint64(20*time.Second))))
	}
	if p.spend(crash, p.draw(p.name+"crash", n, 12) == 0, p.name+" at "+kind) {
		p.die()
	}
	if p.ctx.Err() != nil {
		return n, errDead
	}
	return n, nil
}

// die ends the process: the kernel takes its lock back.
func (p *simProcess) die() {
	p.kill()
	p.mu.Lock()
	lease := p.lease
	p.mu.Unlock()
	if lease != nil {
		_ = lease.Lease.Release()
	}
}

func (p *simProcess) Load(ctx context.Context, key tokensource.Key) (tokensource.Version, []byte, error) {
	if _, err := p.io("load"); err != nil {
		return tokensource.Version{}, nil, err
	}
	return p.store.Load(ctx, key)
}

func (p *simProcess) Swap(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	n, err := p.io("swap")
	if err != nil {
		return err
	}
	if p.spend(failSwap, p.draw(p.name+"fail", n, 8) == 0, p.name) {
		if p.draw(p.name+"how", n, 2) == 0 {
			return errDisk
		}
		if err := p.store.Swap(ctx, key, old, new, data); err != nil {
			return err
		}
		return errDisk // it was written all the same
	}
	if err := p.swapNow(ctx, key, old, new, data); err != nil {
		return err
	}
	if n, err = p.io("swapped"); err != nil {
		return err
	}
	if p.spend(rollBack, p.draw(p.name+"back", n, 6) == 0, p.name) {
		p.restoreBackup()
	}
	return nil
}

// swapNow is the store's own step, in no time.
func (p *simProcess) swapNow(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	p.simulation.mu.Lock()
	full := time.Now().Before(p.full)
	p.simulation.mu.Unlock()
	if full {
		return errDisk
	}
	_, before, _ := p.store.Load(ctx, key)
	err := p.store.Swap(ctx, key, old, new, data)
	if err == nil && before != nil {
		p.simulation.mu.Lock()
		defer p.simulation.mu.Unlock()
		if view, _ := tokensource.ViewRecord(before); view.ID.Generation > 0 && !strings.Contains(string(data), view.RefreshToken) {
			p.backup = before
		}
	}
	return err
}

// restoreBackup puts the last record with another refresh token in place.
func (s *simulation) restoreBackup() {
	s.mu.Lock()
	defer s.mu.Unlock()
	ver, _, _ := s.store.Load(context.Background(), testKey)
	if s.backup != nil {
		_ = s.store.Swap(context.Background(), testKey, ver, tokensource.Version{255}, s.backup)
	}
}

func (p *simProcess) Lock(ctx context.Context, key tokensource.Key) (tokensource.Lease, error) {
	if _, err := p.io("lock"); err != nil {
		return nil, err
	}
	inner, err := p.store.Lock(ctx, key)
	if err != nil {
		return nil, err
	}
	lease := &simLease{Lease: inner, p: p}
	p.mu.Lock()
	p.lease = lease
	p.mu.Unlock()
	if p.ctx.Err() != nil {
		_ = inner.Release()
		return nil, errDead
	}
	return lease, nil
}

// simLease can be lost to somebody else before it is extended.
type simLease struct {
	tokensource.Lease
	p *simProcess
}

func (l *simLease) Extend(context.Context, time.Duration) error {
	n, err := l.p.io("extend")
	if err != nil {
		return err
	}
	if l.p.spend(loseLease, l.p.draw(l.p.name+"lease", n, 6) == 0, l.p.name) {
		_ = l.Lease.Release()
		return errors.New("the lease is lost")
	}
	return nil
}

// Refresh sends a request over a network that loses and delays.
func (p *simProcess) Refresh(ctx context.Context, old tokensource.Grant) (tokensource.Grant, error) {
	n, err := p.io("send")
	if err != nil {
		return tokensource.Grant{}, unsent()
	}
	rt := old.RefreshToken.Reveal()
	hit := func(f fault) bool { return p.spend(f, p.draw(p.name+string(f), n, 5) == 0, p.name+" with "+rt) }
	switch {
	case hit(loseRequest):
		return tokensource.Grant{}, lost()
	case hit(crashAsking):
		p.die()
		time.AfterFunc(time.Duration(p.draw(p.name+"late", n, uint64(8*time.Second))), func() { _, _ = p.serve(rt) })
		return tokensource.Grant{}, lost()
	case hit(slowNetwork):
		time.Sleep(time.Duration(p.draw(p.name+"slow", n, uint64(8*time.Second))))
	case hit(lateRequest):
		// The kernel of a process that has given up, or died, still sends.
		time.AfterFunc(time.Duration(p.draw(p.name+"late", n, uint64(8*time.Second))), func() { _, _ = p.serve(rt) })
		return tokensource.Grant{}, lost()
	}
	child, err := p.serve(rt)
	if err == nil && hit(fullDisk) {
		p.simulation.mu.Lock()
		p.full = time.Now().Add(15 * time.Second)
		p.simulation.mu.Unlock()
	}
	if hit(loseAnswer) {
		return tokensource.Grant{}, lost()
	}
	if _, dead := p.io("answer"); dead != nil || ctx.Err() != nil {
		return tokensource.Grant{}, lost()
	}
	if err != nil {
		return tokensource.Grant{}, err
	}
	return simGrant(child), nil
}
