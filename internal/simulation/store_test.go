package simulation_test

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// recordStore is what the processes share: one record and one lease.
type recordStore struct {
	version tokensource.Version
	data    []byte
	view    stored // of data
	backup  []byte // the record before the last, with another refresh token
	lease   *lease
	// written and backedUp stand for the two records: the history of whoever
	// wrote it.
	written, backedUp uint64
}

// stored is what a witness reads in a record: its format is the promise that
// an older program relies on, so it may be read here, too.
type stored struct {
	Family     string `json:"family"`
	Generation uint64 `json:"gen"`
	Ended      string `json:"ended"`
	Refresh    string `json:"refresh_token"`
}

func view(data []byte) (v stored) {
	_ = json.Unmarshal(data, &v) // nothing stored is the zero view
	return v
}

// put replaces the record.
func (r *recordStore) put(version tokensource.Version, data []byte, written uint64) {
	r.version, r.data, r.view, r.written = version, data, view(data), written
}

var (
	errDisk  = errors.New("the disk says no")
	errLease = errors.New("the lease is lost")
)

// Load reads the record.
func (p *process) Load(ctx context.Context, _ tokensource.Key) (tokensource.Version, []byte, error) {
	what := p.at(ctx, step{what: "loads", faults: []fault{crash, pauseProc, failLoad, rollBack}})
	w := p.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if what == rollBack {
		w.record.put(tokensource.Version{255}, w.record.backup, w.record.backedUp)
	}
	if what == failLoad || time.Now().Before(p.blind) {
		p.learned(errDisk)
		return tokensource.Version{}, nil, errDisk
	}
	p.looked()
	p.learned(w.record.written)
	if w.record.data == nil {
		return tokensource.Version{}, nil, tokensource.ErrNotFound
	}
	return w.record.version, w.record.data, nil
}

// Swap writes the record.
func (p *process) Swap(ctx context.Context, _ tokensource.Key, old, next tokensource.Version, data []byte) error {
	what := p.at(ctx, step{what: "saves", faults: []fault{crash, pauseProc, failSave, failSaved}})
	w := p.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if what == failSave || time.Now().Before(p.full) {
		p.saveFailed = true
		p.learned(errDisk)
		return errDisk
	}
	if w.record.version != old {
		p.learned(tokensource.ErrConflict)
		return tokensource.ErrConflict
	}
	before, after := w.record.view, view(data)
	w.judgeSave(p, before, after)
	if w.record.data != nil && before.Refresh != after.Refresh {
		w.record.backup, w.record.backedUp = w.record.data, w.record.written
	}
	w.record.put(next, data, p.history)
	p.stood = p.stood && after.Ended == ""
	if what == failSaved {
		return errDisk
	}
	return nil
}

// lease is the lease of a process, or of one that has lost it.
type lease struct {
	by    *process
	until time.Time // zero where it does not end by the clock
}

// free reports and makes true that p holds no lease; the caller holds mu.
func (r *recordStore) free(p *process) {
	if r.lease != nil && r.lease.by == p {
		r.lease = nil
	}
}

// held reports whether somebody has the lease; the caller holds mu.
func (r *recordStore) held() bool {
	return r.lease != nil && (r.lease.until.IsZero() || time.Now().Before(r.lease.until))
}

// Lock waits for the lease. Whoever waits may be next.
func (p *process) Lock(ctx context.Context, _ tokensource.Key) (tokensource.Lease, error) {
	w := p.world
	p.at(ctx, step{
		what: "locks", faults: []fault{crash, pauseProc},
		ready: func() bool { return !w.record.held() },
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l := &lease{by: p}
	w.record.lease = l
	w.extend(l, leaseTime)
	return &processLease{lease: l, process: p}, nil
}

// extend lets a lease last for d from now; the caller holds mu.
func (w *world) extend(l *lease, d time.Duration) {
	if w.timed {
		l.until = time.Now().Add(d)
		time.AfterFunc(d, w.poke)
	}
}

type processLease struct {
	*lease
	process *process
}

// Extend confirms the lease, if it still stands.
func (l *processLease) Extend(ctx context.Context, d time.Duration) error {
	w := l.process.world
	what := l.process.at(ctx, step{what: "extends", faults: []fault{crash, pauseProc, loseLease}})
	w.mu.Lock()
	defer w.mu.Unlock()
	if what == loseLease && w.record.lease == l.lease {
		w.record.lease = nil
	}
	if w.record.lease != l.lease || !w.record.held() {
		l.process.learned(errLease)
		return errLease
	}
	w.extend(l.lease, d)
	return nil
}

// Release gives the lease up.
func (l *processLease) Release() error {
	w := l.process.world
	l.process.at(context.Background(), step{what: "releases", faults: []fault{crash}})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.record.lease == l.lease {
		w.record.lease = nil
	}
	return nil
}
