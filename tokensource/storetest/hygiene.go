package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

var hygieneClauses = []clause{
	{"no error shows the record",
		"a record holds tokens, and an error is printed and logged", nil, errorsHide},
	{"no value shows the record",
		"a record holds tokens, and a store or a lease may be printed by whoever holds it", nil, valuesHide},
	{"leaves no goroutine",
		"a store that is idle has no more goroutines after many calls than after a few", nil, leavesNone},
}

const canary = "canary-7e3b-must-not-sing"

// shows reports whether text shows the canary, plainly or as fmt and JSON
// print bytes.
func shows(text string) bool {
	numbers := fmt.Sprint([]byte(canary))
	for _, form := range []string{
		canary, fmt.Sprintf("%x", canary), numbers[1 : len(numbers)-1],
		strings.Join(strings.Fields(numbers[1:len(numbers)-1]), ", "),
	} {
		if strings.Contains(strings.ToLower(text), form) {
			return true
		}
	}
	return false
}

// hidden asserts that no way of printing v shows the canary.
func (s *subject) hidden(what string, v any) {
	s.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if shows(fmt.Sprintf(verb, v)) {
			s.Errorf("%s, printed with %s, shows the record", what, verb)
		}
	}
	if text, err := json.Marshal(v); shows(string(text)) || err != nil && shows(err.Error()) {
		s.Errorf("%s, marshaled as JSON, shows the record", what)
	}
}

func errorsHide(ctx context.Context, s *subject) {
	gone, _ := ended(s.Context())
	s.swap(ctx, version(0), version(1), []byte(canary))
	long := bytes.Repeat([]byte(canary), 4<<20/len(canary)) // more than most stores take
	for what, err := range map[string]error{
		"the error of a conflict":        s.store.Swap(ctx, s.key, version(5), version(6), []byte(canary)),
		"the error of a zero version":    s.store.Swap(ctx, s.key, version(1), version(0), []byte(canary)),
		"the error of an ended context":  s.store.Swap(gone, s.key, version(1), version(2), []byte(canary)),
		"the error of a conflict, long,": s.store.Swap(ctx, s.key, version(5), version(6), long),
	} {
		if err != nil {
			s.hidden(what, err)
		}
	}
}

func valuesHide(ctx context.Context, s *subject) {
	s.swap(ctx, version(0), version(1), []byte(canary))
	lease := s.lock(ctx, s.store)
	s.holds(ctx, s.store, version(1), []byte(canary))
	s.swap(ctx, version(1), version(2), []byte(canary))
	s.hidden("the store", s.store)
	s.hidden("a lease", lease)
	s.release(lease)
}

// leavesNone counts the goroutines that come from calls of the store. They
// inherit a label, so those of other tests do not matter.
func leavesNone(ctx context.Context, s *subject) {
	const rounds = 12
	label := rand.Text()
	pprof.Do(ctx, pprof.Labels("storetest", label), func(ctx context.Context) {
		round := func() {
			if _, err := increment(ctx, s.store, s.key); err != nil {
				s.Errorf("incrementing the record: %v", err)
			}
			lease := s.lock(ctx, s.store)
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			if second, err := s.store.Lock(short, s.key); err == nil {
				s.release(second)
			}
			s.release(lease)
		}
		for range 3 {
			round() // what a store starts once it may keep
		}
		before := goroutines(label)
		for range rounds {
			round()
		}
		after := goroutines(label)
		for end := time.Now().Add(s.config.patience / 6); after >= before+rounds/2 && time.Now().Before(end); after = goroutines(label) {
			timer := time.NewTimer(10 * time.Millisecond)
			<-timer.C
		}
		if after >= before+rounds/2 {
			s.Errorf("%d goroutines before %d rounds of calls, %d after them", before, rounds, after)
		}
	})
}

// goroutineGroup is how a profile shows goroutines with the same stack and the
// same labels: how many there are, and on the next line the labels.
var goroutineGroup = regexp.MustCompile(`(?m)^(\d+) @.*\n# labels: (.*)$`)

// goroutines counts those that have the label.
func goroutines(label string) int {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1) // a Buffer takes it
	count := 0
	for _, group := range goroutineGroup.FindAllStringSubmatch(profile.String(), -1) {
		if strings.Contains(group[2], label) {
			n, _ := strconv.Atoi(group[1])
			count += n
		}
	}
	return count
}
