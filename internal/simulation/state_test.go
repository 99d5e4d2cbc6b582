package simulation_test

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"
)

// state is a number for all that decides what can follow. What a process does
// next depends on what it has seen, so that its history stands for all that
// the code keeps in memory; two runs whose steps differ only in an order that
// nobody could notice come to the same state. The caller holds mu, as for all
// that follows.
func (w *world) state() uint64 {
	h := fnv.New64a()
	say := func(what ...any) { _, _ = fmt.Fprintln(h, what...) }
	say(time.Now().UnixNano(), w.budget, w.excused, w.wrong, w.late, w.actors, w.failures)
	for _, p := range slices.SortedFunc(slices.Values(w.all), byName) {
		say(p.name, p.history, p.dead, p.frozen.UnixNano(), p.full.UnixNano(), p.blind.UnixNano(), p.saveFailed, p.stood, p.memory.Generation)
		for _, r := range p.requests {
			say(r.token.name, r.spoilt, r.orphaned, r.gaveUp, r.delivered, r.child != nil)
		}
	}
	r := &w.record
	say(r.written, r.backedUp)
	if r.held() {
		say(r.lease.by.name, r.lease.until.UnixNano())
	}
	for _, name := range slices.Sorted(maps.Keys(w.server.tokens)) {
		t := w.server.tokens[name]
		say(name, t.dead, t.session.dead, t.session.loggedOut, t.saved, t.heard, t.retired.UnixNano(), len(t.asked))
		for _, c := range t.children {
			say(c.name)
		}
	}
	for _, s := range w.parked {
		say(s.id)
	}
	return h.Sum64()
}

func byName(a, b *process) int {
	if a.name < b.name {
		return -1
	}
	return 1
}

// lived adds to the history of a process what happens to it, and when.
func (p *process) lived(what string) {
	h := fnv.New64a()
	_, _ = fmt.Fprintln(h, p.history, time.Now().UnixNano(), what)
	p.history = h.Sum64()
}

// learned adds what a step has told the process.
func (p *process) learned(what ...any) { p.lived(fmt.Sprint(what...)) }
