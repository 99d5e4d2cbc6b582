package testserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// errNoDocument says that there is no such document, or none that has not
// expired.
var errNoDocument = errors.New("testserver: no such document")

// documents keep everything that is neither a session nor one of its tokens:
// codes, pushed requests, device codes, registered clients, signing keys, and
// the ids that must not come twice. What is kept here, a restart and a second
// process over the same database know.
//
// A document has a kind and an id of that kind, and lives until expires; the
// zero time is for ever. now is always the server's clock, so that a test
// which moves it moves the documents, too. An expired document is absent to
// all four methods, which are safe for concurrent use. Data is copied.
type documents interface {
	// put keeps a new document and reports whether it is new: one that exists
	// stays as it is. Of any number that put one id at once, one wins.
	put(ctx context.Context, now time.Time, kind, id string, data []byte, expires time.Time) (fresh bool, err error)
	// get returns errNoDocument for what is absent.
	get(ctx context.Context, now time.Time, kind, id string) ([]byte, error)
	// take gets and deletes in one step. Of any number that take one document
	// at once, one has it and the others have errNoDocument.
	take(ctx context.Context, now time.Time, kind, id string) ([]byte, error)
	// update replaces the data by what fn makes of it, in one step: no other
	// change comes between. An error of fn, returned as it is, changes nothing.
	// fn may run more than once, so it must do nothing but compute.
	update(ctx context.Context, now time.Time, kind, id string, fn func([]byte) ([]byte, error)) error
}

type documentKey struct{ kind, id string }

// document is immutable: an update puts a new one in its place.
type document struct {
	data    []byte
	expires time.Time
}

func (d *document) alive(now time.Time) bool {
	return d != nil && (d.expires.IsZero() || now.Before(d.expires))
}

// sweepFloor is the number of documents below which nobody looks for expired
// ones.
const sweepFloor = 1024

// memoryDocuments live as long as the process.
type memoryDocuments struct {
	mu    sync.Mutex // guards what follows; never held across I/O, timers or callbacks
	kept  map[documentKey]*document
	sweep int // the size at which the expired ones are thrown out
}

var _ documents = (*memoryDocuments)(nil)

func newMemoryDocuments() *memoryDocuments {
	return &memoryDocuments{kept: make(map[documentKey]*document), sweep: sweepFloor}
}

func (m *memoryDocuments) put(_ context.Context, now time.Time, kind, id string, data []byte, expires time.Time) (bool, error) {
	key := documentKey{kind, id}
	fresh := &document{data: append([]byte(nil), data...), expires: expires}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept[key].alive(now) {
		return false, nil
	}
	m.kept[key] = fresh
	if len(m.kept) >= m.sweep {
		m.sweepLocked(now)
	}
	return true, nil
}

// sweepLocked throws the expired out. It runs each time the number has doubled,
// so that a put stays cheap on average.
func (m *memoryDocuments) sweepLocked(now time.Time) {
	for key, d := range m.kept {
		if !d.alive(now) {
			delete(m.kept, key)
		}
	}
	m.sweep = max(sweepFloor, 2*len(m.kept))
}

func (m *memoryDocuments) get(_ context.Context, now time.Time, kind, id string) ([]byte, error) {
	d := m.look(documentKey{kind, id})
	if !d.alive(now) {
		return nil, errNoDocument
	}
	return append([]byte(nil), d.data...), nil
}

func (m *memoryDocuments) look(key documentKey) *document {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept[key]
}

func (m *memoryDocuments) take(_ context.Context, now time.Time, kind, id string) ([]byte, error) {
	key := documentKey{kind, id}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.kept[key]
	if !d.alive(now) {
		return nil, errNoDocument
	}
	delete(m.kept, key)
	return d.data, nil
}

// update computes without the lock and starts again if another change came
// first: a lock held over fn would be held over a callback.
func (m *memoryDocuments) update(ctx context.Context, now time.Time, kind, id string, fn func([]byte) ([]byte, error)) error {
	key := documentKey{kind, id}
	for {
		old := m.look(key)
		if !old.alive(now) {
			return errNoDocument
		}
		data, err := fn(append([]byte(nil), old.data...))
		if err != nil {
			return err
		}
		if m.swap(key, old, &document{data: append([]byte(nil), data...), expires: old.expires}) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (m *memoryDocuments) swap(key documentKey, old, next *document) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept[key] != old {
		return false
	}
	m.kept[key] = next
	return true
}

// wipe forgets what is no key. Whose a document is stands before its kind: see
// scoped.
func (m *memoryDocuments) wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.kept {
		if !strings.HasSuffix(key.kind, kindKeys) && !strings.HasSuffix(key.kind, kindSecrets) {
			delete(m.kept, key)
		}
	}
}

// scoped are the documents of one issuer, in a store that several may share.
type scoped struct {
	documents
	issuer string
}

// scopedTo leaves the documents of the server's own issuer as they are.
func scopedTo(issuer string, d documents) documents {
	if issuer == "" {
		return d
	}
	return scoped{d, issuer}
}

func (d scoped) put(ctx context.Context, now time.Time, kind, id string, data []byte, expires time.Time) (bool, error) {
	return d.documents.put(ctx, now, d.issuer+" "+kind, id, data, expires)
}

func (d scoped) get(ctx context.Context, now time.Time, kind, id string) ([]byte, error) {
	return d.documents.get(ctx, now, d.issuer+" "+kind, id)
}

func (d scoped) take(ctx context.Context, now time.Time, kind, id string) ([]byte, error) {
	return d.documents.take(ctx, now, d.issuer+" "+kind, id)
}

func (d scoped) update(ctx context.Context, now time.Time, kind, id string, fn func([]byte) ([]byte, error)) error {
	return d.documents.update(ctx, now, d.issuer+" "+kind, id, fn)
}

// decodeDocument decodes what get or take returned, and returns nil for what
// is absent. The data is never quoted: it may hold a secret.
func decodeDocument[T any](kind string, data []byte, err error) (*T, error) {
	if errors.Is(err, errNoDocument) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("testserver: reading a %s: %w", kind, err)
	}
	v := new(T)
	if json.Unmarshal(data, v) != nil {
		return nil, fmt.Errorf("testserver: a %s in the database cannot be read", kind)
	}
	return v, nil
}

// readDocument decodes what get returns.
func readDocument[T any](ctx context.Context, d documents, now time.Time, kind, id string) (*T, error) {
	data, err := d.get(ctx, now, kind, id)
	return decodeDocument[T](kind, data, err)
}

// takeDocument decodes what take returns.
func takeDocument[T any](ctx context.Context, d documents, now time.Time, kind, id string) (*T, error) {
	data, err := d.take(ctx, now, kind, id)
	return decodeDocument[T](kind, data, err)
}

// putDocument encodes v and puts it.
func putDocument(ctx context.Context, d documents, now time.Time, kind, id string, v any, expires time.Time) (fresh bool, err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return false, fmt.Errorf("testserver: encoding a %s: %w", kind, err)
	}
	if fresh, err = d.put(ctx, now, kind, id, data, expires); err != nil {
		return false, fmt.Errorf("testserver: keeping a %s: %w", kind, err)
	}
	return fresh, nil
}

// updateDocument decodes, changes and encodes in one step. change may run more
// than once. What is absent is errNoDocument.
func updateDocument[T any](ctx context.Context, d documents, now time.Time, kind, id string, change func(*T) error) error {
	return d.update(ctx, now, kind, id, func(data []byte) ([]byte, error) {
		v, err := decodeDocument[T](kind, data, nil)
		if err != nil {
			return nil, err
		}
		if err := change(v); err != nil {
			return nil, err
		}
		return json.Marshal(v)
	})
}
