package fleet_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// crashServers are the two kinds of server that make the difference. What a
// program is told of them is the truth. On a strict one a kill costs the fleet
// up to a second, because the next process waits for the dead one to turn up.
var crashServers = []struct {
	name     string
	profile  authtest.Profile
	rotation tokensource.Rotation
	kills    int
}{
	{name: "strict", profile: authtest.Strict, kills: 60},
	{name: "10 s grace, same successor", profile: authtest.Grace, rotation: tenSeconds, kills: 140},
}

var tenSeconds = tokensource.Rotation{Replay: tokensource.ReplayAnswered, Grace: 10 * time.Second}

// Guards rules 5, 6, 9 and 10, and the order in which each store writes,
// against kill -9 at any moment: nothing is torn, nothing goes back, and no
// session is lost but by a kill between the server's rotation and our save,
// which is none where the server has a grace.
func TestProcessesKilledAtAnyMomentTearNothingAndLoseOnlyWhatNobodyCouldSave(t *testing.T) {
	page := newSection("crashes", crashHead)
	forEachStore(t, func(t *testing.T, j job) {
		for _, kind := range crashServers {
			t.Run(kind.name, func(t *testing.T) {
				total := tally{Store: j.Store, Server: kind.name}
				for seed, begun := uint64(1), time.Now(); seed == 1 || time.Since(begun) < *soak/2; seed++ {
					srv := authtest.NewWith(t, authtest.Config{Profile: kind.profile, TokenDelay: 2 * time.Millisecond})
					j := newJob(t, j.Store)
					j.Deed, j.Server, j.Rotation = "rotate", srv.URL(), kind.rotation
					r := &massacre{t: t, srv: srv, job: j, book: newBook(), random: rand.New(rand.NewPCG(seed, 0)),
						lethal: kind.profile == authtest.Strict, size: 8}
					kills := kind.kills
					if j.Store == "keyring" {
						r.size, kills = 4, kills/3 // at what the daemon allows
					}
					total.add(r.run(kills))
				}
				t.Log(total)
				page.put(t, total.Store+total.Server, total.row())
			})
		}
	})
}

// massacre is one run: processes that rotate one session, and die.
type massacre struct {
	t      *testing.T
	srv    *authtest.Server
	job    job
	book   *book
	random *rand.Rand
	lethal bool // the server forgives nothing: sessions may be lost
	size   int  // so many processes at a time
	login  *client.Client

	alive  []*member
	logins int
	kills  int
}

// run kills so many processes and returns what came of it.
func (r *massacre) run(kills int) tally {
	t := r.t
	// A kill may as well fall between the commit and the answer.
	slow := r.srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Jitter: 4 * time.Millisecond, Times: authtest.Forever})
	defer slow.Remove()
	r.login = logIn(t, r.srv, r.job, 0, time.Hour)
	r.logins = 1
	watch, stop := context.WithCancel(t.Context())
	v := newVerifier(t, r.job, r.book)
	done := make(chan struct{})
	go func() { defer close(done); v.watch(watch) }()
	for len(r.alive) < r.size {
		r.spawn()
	}
	for r.kills < kills && !t.Failed() {
		r.pass()
		r.killOne(r.random.IntN(len(r.alive)))
		r.mourn()
	}
	for _, m := range r.alive {
		assert.NoError(t, m.stop())
	}
	stop()
	<-done
	r.epilogue()
	return r.book.audit(t, r.srv, v.tally.with(r))
}

func (r *massacre) spawn() {
	r.alive = append(r.alive, startHeard(r.t, r.job, r.book.hear))
}

// pass lets some time pass, and the fleet get on with it: a process that finds
// the mark of a dead one waits for a second, and killing it would make the next
// one wait anew.
func (r *massacre) pass() {
	before := r.srv.Stats().RefreshRequests
	enough := time.After(time.Duration(r.random.IntN(20_000)) * time.Microsecond)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	giveUp := time.After(4 * time.Second)
	<-enough
	for r.srv.Stats().RefreshRequests == before && r.lost() == 0 {
		select {
		case <-tick.C:
		case <-giveUp:
			return
		}
	}
}

func (r *massacre) killOne(i int) {
	m := r.alive[i]
	r.book.kill(m)
	r.kills++
	r.alive[i] = r.alive[len(r.alive)-1]
	r.alive = r.alive[:len(r.alive)-1]
	r.spawn()
}

// lost counts the sessions that have ended and were not replaced yet.
func (r *massacre) lost() int { return r.srv.Stats().FamiliesRevoked - (r.logins - 1) }

// mourn logs in again where the session is lost. Whoever was refused holds the
// lease for five seconds, to ask a server again that may lag: it dies as well.
func (r *massacre) mourn() {
	if r.lost() == 0 {
		return
	}
	if !assert.True(r.t, r.lethal, "a session was lost") {
		return
	}
	adopt(r.t, r.srv, r.login, 0, time.Hour)
	r.logins++
	refused := r.book.lastRefused(r.srv)
	for i, m := range r.alive {
		if m.name == refused {
			r.killOne(i)
			return
		}
	}
}

// epilogue: after all that, the session is good, or a login makes it so.
func (r *massacre) epilogue() {
	ctx := r.t.Context()
	tok, err := r.login.Session().Token(ctx)
	if err == nil {
		_, err = r.login.Session().Renew(ctx, tok)
	}
	if err != nil && assert.True(r.t, r.lethal, "%v", err) && assert.ErrorIs(r.t, err, tokensource.ErrLoginRequired) {
		adopt(r.t, r.srv, r.login, 0, time.Hour)
		r.logins++
		stillGood(r.t, r.login)
	}
}

// tally is a row of the table.
type tally struct {
	Store, Server                  string
	Kills, Rotations               int
	Reads, Torn, Bad, Back, Unread int
	Lost, Caught                   int
	Replays, AtOnce                int
}

func (a tally) with(r *massacre) tally {
	a.Kills = r.kills
	return a
}

func (a *tally) add(b tally) {
	a.Kills += b.Kills
	a.Rotations += b.Rotations
	a.Reads += b.Reads
	a.Torn += b.Torn
	a.Bad += b.Bad
	a.Back += b.Back
	a.Unread += b.Unread
	a.Lost += b.Lost
	a.Caught += b.Caught
	a.Replays += b.Replays
	a.AtOnce += b.AtOnce
}

var crashHead = []string{
	"| store | server | kills | rotations | torn | reads / bad / gone back | killed before the save | sessions lost | grace hits | two refreshes at once |",
	"|---|---|---|---|---|---|---|---|---|---|",
}

func (a tally) row() string {
	return fmt.Sprintf("| %s | %s | %d | %d | %d | %d / %d / %d | %d | %d | %d | %d |",
		a.Store, a.Server, a.Kills, a.Rotations, a.Torn, a.Reads, a.Bad, a.Back, a.Caught, a.Lost, a.Replays, a.AtOnce)
}

func (a tally) String() string {
	return a.row() + fmt.Sprintf(" the store did not answer %d reads", a.Unread)
}

// verifier reads without a lock all the time, through the real store and the
// real codec.
type verifier struct {
	t        *testing.T
	job      job
	store    tokensource.Store
	book     *book
	tally    tally
	families []string // in the order of their first reading
	last     tokensource.TokenID
}

func newVerifier(t *testing.T, j job, b *book) *verifier {
	store, err := j.store()
	require.NoError(t, err)
	return &verifier{t: t, job: j, store: store, book: b}
}
