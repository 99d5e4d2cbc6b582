package tokensource

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// swap writes rec over the version old and returns the new version. After an
// ambiguous failure it recognises its own write by the version, which it drew
// at random.
func (s *Session) swap(ctx context.Context, old Version, rec *record) (ver Version, err error) {
	defer func() {
		// A store is the program's code; what is being saved must survive it.
		if p := recover(); p != nil {
			err = &Error{Reason: ReasonStore, Advice: fmt.Sprintf("unexpected %T", p)}
		}
	}()
	data, err := rec.encode()
	if err != nil {
		return Version{}, &Error{Reason: ReasonFormat, Err: err}
	}
	_, _ = rand.Read(ver[:]) // never fails
	err = s.cfg.Store.Swap(ctx, s.cfg.Key, old, ver, data)
	if err == nil {
		return ver, nil
	}
	if !errors.Is(err, ErrConflict) {
		if now, _, loadErr := s.cfg.Store.Load(ctx, s.cfg.Key); loadErr == nil && now == ver {
			return ver, nil
		}
	}
	return Version{}, storeError(err)
}

// write writes rec over what the flight saw last.
func (f *flight) write(ctx context.Context, rec *record) error {
	ver, err := f.s.swap(ctx, f.ver, rec)
	if err != nil {
		return err
	}
	f.ver, f.rec = ver, rec
	return nil
}

// keep saves a new set and then publishes it (rule 10). Where it cannot be
// saved in time it is served all the same, and saved as soon as the store
// lets us (rule 11).
func (f *flight) keep(parent, child *record) (Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), saveBudget)
	defer cancel()
	var err error
	for wait := quickRetry / 4; ; wait = min(2*wait, saveRetry) {
		var tok Token
		if tok, err = f.save(ctx, child); err == nil || errors.Is(err, errLookAgain) {
			return tok, err
		}
		f.hold(ctx)
		if pauseFor(ctx, wait) != nil {
			break
		}
	}
	return f.keepUnsaved(child, err)
}

// hold keeps the lease while a set is still to be saved: it was extended for
// the request, which may be a short time (rule 11). Should it be lost, the
// lineage guards the write.
func (f *flight) hold(ctx context.Context) { _ = f.lease.Extend(ctx, saveBudget+sendMargin) }

// save makes one try to save child, as its lineage decides. The version only
// drives the retry. An error other than errLookAgain means: try again.
func (f *flight) save(ctx context.Context, child *record) (Token, error) {
	for {
		what, anomaly := lineage(f.rec, child)
		if anomaly != "" {
			f.anomaly(child.id, anomaly)
		}
		switch what {
		case ruleDiscard:
			f.revoke(child.grant)
			return Token{}, errLookAgain
		case ruleYield, ruleDone:
			return Token{}, errLookAgain
		}
		err := f.write(ctx, child.over(f.rec))
		if err == nil {
			return f.saved()
		}
		if loadErr := f.load(ctx); loadErr != nil {
			return Token{}, loadErr
		}
		if !errors.Is(err, ErrConflict) {
			return Token{}, err
		}
	}
}

// saved publishes what was just written.
func (f *flight) saved() (Token, error) {
	id := f.rec.id
	f.hook(func(h *Hooks) {
		if h.TokenStored != nil {
			h.TokenStored(TokenStoredInfo{ID: id})
		}
	})
	if !f.s.publish(f.epoch, f.rec) {
		return Token{}, f.overtaken()
	}
	return f.s.current.Load().token, nil
}

// keepUnsaved serves child from memory and hands the lease to a goroutine
// that saves it: until then nobody else may rotate (rule 11).
func (f *flight) keepUnsaved(child *record, cause error) (Token, error) {
	done := make(chan struct{})
	f.s.publish(f.epoch, child)
	f.s.mu.Lock()
	f.s.unsaved, f.s.saver = true, done
	f.s.mu.Unlock()
	f.hook(func(h *Hooks) {
		if h.SaveFailed != nil {
			h.SaveFailed(SaveFailedInfo{ID: child.id, Err: cause})
		}
	})
	saver := &flight{s: f.s, epoch: f.epoch, lease: f.lease, ver: f.ver, rec: f.rec}
	f.lease = nil
	go func() {
		defer close(done)
		saver.saveLater(child)
	}()
	if cur := f.s.current.Load(); cur != nil {
		return cur.token, nil
	}
	return Token{}, errLookAgain
}

// saveLater saves child, however long that takes, or until it is no longer
// ours to save.
func (f *flight) saveLater(child *record) {
	defer f.runAfter()
	defer f.release()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), saveBudget)
		f.hold(ctx)
		_, err := f.save(ctx, child)
		cancel()
		if err == nil || errors.Is(err, errLookAgain) {
			break
		}
		_ = pauseFor(context.Background(), saveRetry)
	}
	f.s.mu.Lock()
	f.s.unsaved = false
	f.s.mu.Unlock()
}

// whileUnsaved: nothing is renewed before the last set is saved; what memory
// holds is served as long as it lasts.
func (f *flight) whileUnsaved() (any, error) {
	if cur := f.s.current.Load(); cur != nil && cur.usable(time.Now()) {
		return cur.token, nil
	}
	return nil, f.fail(&Error{Reason: ReasonBusy, Advice: "the last tokens are not saved yet; mend the store"})
}
