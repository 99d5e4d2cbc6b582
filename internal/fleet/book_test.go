package fleet_test

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// book knows who was killed, when, and what had been told to be safe.
type book struct {
	killed map[string]death // for the goroutine that kills

	mu     sync.Mutex // guards latest; never held across a wait
	latest report     // the last save that was told of
}

// death is the end of a process, by its name.
type death struct {
	at    time.Time
	saved map[string]bool // the marks of the refresh tokens whose successors it had saved
}

func newBook() *book { return &book{killed: make(map[string]death)} }

// hear takes down what a process tells.
func (b *book) hear(r report) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.Event == "saved" {
		b.latest = r
	}
}

// safe is the last save that was told of.
func (b *book) safe() report {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.latest
}

// kill kills a process. What it had written to its pipe by then is heard.
func (b *book) kill(m *member) {
	d := death{at: time.Now(), saved: make(map[string]bool)}
	m.kill()
	for _, r := range m.reports() {
		if r.Event == "saved" {
			d.saved[r.Parent] = true
		}
	}
	b.killed[m.name] = d
}

// lastRefused is who was told last that the session is over.
func (b *book) lastRefused(srv *authtest.Server) string {
	seen := srv.Exchanges(authtest.Refresh)
	for _, x := range slices.Backward(seen) {
		if x.Outcome == "reuse_detected" {
			return x.UserAgent
		}
	}
	return ""
}

// audit reads the server's book. Each session that was lost must have been
// lost by a kill of its own: whoever got the successor was dead, and had not
// saved it, when the refresh token came again; or that was the late request of
// someone who was dead before the successor was asked for.
//
// The server shows which refresh token a request presented, and whose request
// it was. The process told, right after the store had confirmed it, for which
// one it had saved the successor; what it wrote to its pipe outlives it. So a
// process is caught by its kill if the server rotated for it and it had not told
// of the save.
func (b *book) audit(t *testing.T, srv *authtest.Server, a tally) tally {
	seen := srv.Exchanges(authtest.Refresh)
	slices.SortFunc(seen, func(x, y authtest.Exchange) int { return x.Time.Compare(y.Time) })
	caught := make(map[string]bool)
	bought := make(map[string]authtest.Exchange) // by the session and the refresh token that was spent
	ends := make(map[string]time.Time)           // of what was under way, by session
	var reuses []authtest.Exchange
	for _, x := range seen {
		if x.Time.Before(ends[x.Session]) {
			a.AtOnce++
		}
		if end := x.Time.Add(x.Took); end.After(ends[x.Session]) {
			ends[x.Session] = end
		}
		d, dead := b.killed[x.UserAgent]
		switch x.Outcome {
		case "rotated":
			bought[x.Session+x.Presented] = x
			caught[x.UserAgent] = caught[x.UserAgent] || dead && !d.saved[x.Presented]
		case "reuse_detected":
			reuses = append(reuses, x)
		}
	}
	for _, x := range reuses {
		first := bought[x.Session+x.Presented]
		buyer, bought := b.killed[first.UserAgent]
		asker, asked := b.killed[x.UserAgent]
		bought = bought && caught[first.UserAgent] && !x.Time.Before(buyer.at)
		// The other order: the request of a dead process came in later than its
		// successor's.
		asked = asked && !first.Time.Before(asker.at)
		caught[x.UserAgent] = caught[x.UserAgent] || asked
		assert.True(t, bought || asked, "no kill explains a lost session: %s got the successor, %s asked again", first.UserAgent, x.UserAgent)
	}
	for _, was := range caught {
		if was {
			a.Caught++
		}
	}
	for _, s := range srv.Sessions("alice") {
		if s.Ended != "" {
			a.Lost++
		}
	}
	stats := srv.Stats()
	a.Rotations, a.Replays = stats.Rotations, stats.Replays
	assert.Len(t, reuses, a.Lost)
	assert.Equal(t, stats.FamiliesRevoked, a.Lost)
	assert.LessOrEqual(t, a.Lost, a.Caught, "sessions lost, and kills between the rotation and the save")
	assert.Less(t, len(seen), 4096, "the server has forgotten some")
	return a
}

// watch reads until ctx ends.
func (v *verifier) watch(ctx context.Context) {
	tick := time.NewTicker(4 * time.Millisecond) // or it would take one of two processors
	defer tick.Stop()
	for ; ctx.Err() == nil; <-tick.C {
		safe := v.book.safe()
		id, err := v.read(ctx)
		if ctx.Err() != nil {
			return
		}
		v.tally.Reads++
		var e *tokensource.Error
		switch {
		case err == nil:
			v.judge(id, safe)
		case errors.As(err, &e) && (e.Reason == tokensource.ReasonFormat || e.Reason == tokensource.ReasonKeyLost):
			v.tally.Torn++
			v.t.Errorf("torn: %v", err)
		case errors.Is(err, tokensource.ErrTryAgain):
			v.tally.Unread++ // a keyring that takes too long: nothing was read
		default:
			v.tally.Bad++
			v.t.Errorf("bad: %v", err)
		}
	}
}

// read reads as a program does that starts now, but for sending anything.
func (v *verifier) read(ctx context.Context) (tokensource.TokenID, error) {
	s, err := tokensource.NewSession(tokensource.Config{
		Key:       tokensource.NewKey(v.job.Server+"/oauth/token", "cli", v.job.Profile),
		Store:     v.store,
		Refresher: silent{},
	})
	if err != nil {
		return tokensource.TokenID{}, err
	}
	tok, err := s.Token(ctx)
	return tok.ID(), err
}

// judge: a save that was told of is never undone, and a session that another
// one has replaced does not come back.
func (v *verifier) judge(id tokensource.TokenID, safe report) {
	family := hex.EncodeToString(id.Family[:])
	if !slices.Contains(v.families, family) {
		v.families = append(v.families, family)
	} else if family != v.families[len(v.families)-1] || id.Generation < v.last.Generation {
		v.tally.Back++
		v.t.Errorf("generation %d came after %d", id.Generation, v.last.Generation)
	}
	if family == safe.Family && id.Generation < safe.Generation {
		v.tally.Back++
		v.t.Errorf("generation %d was read though %d was safe", id.Generation, safe.Generation)
	}
	v.last = id
}

// silent refreshes nothing.
type silent struct{}

func (silent) Refresh(context.Context, tokensource.Grant) (tokensource.Grant, error) {
	return tokensource.Grant{}, errors.New("a verifier must not refresh")
}
