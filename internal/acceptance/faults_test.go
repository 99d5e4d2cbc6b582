package acceptance_test

import (
	"context"
	"net/http"
	"time"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// loss is what a fault takes away.
type loss int

const (
	nothing   loss = iota
	request        // the server has done nothing
	answer         // the server has rotated
	session        // the session has ended at the server
	successor      // the answer lacks the new refresh token
)

// fault is a column of the matrix.
type fault struct {
	name    string
	means   string // for the legend
	loses   loss
	refuses bool // the client is told to come again
	hangs   bool // nothing comes
	kills   bool // a process
	// takes is how long the first wave may have to wait where no grace is known.
	takes time.Duration
	rule  authtest.Fault
	// config changes the server.
	config func(*authtest.Config)
}

// times is how many requests it hits.
func (f fault) times() int { return max(f.rule.Times, 1) }

func faults() []fault {
	refusal := func(status, times int) authtest.Fault {
		return authtest.Fault{Times: times, Answer: &authtest.Answer{
			Status: status, RetryAfter: "1s", Body: `{"error":"temporarily_unavailable"}`,
			Header: http.Header{"Content-Type": {"application/json"}},
		}}
	}
	return []fault{
		{name: "none", means: "nothing happens", loses: nothing},
		{name: "drop", means: "BeforeCommit drop: the connection ends before the server has changed anything", loses: request,
			rule: authtest.Fault{At: authtest.BeforeCommit, Drop: true}},
		{name: "drop, rotated", means: "AfterCommit drop: the connection ends when the server has rotated", loses: answer,
			rule: authtest.Fault{At: authtest.AfterCommit, Drop: true}},
		{name: "truncate", means: "the answer to a rotation ends in its middle", loses: answer,
			rule: authtest.Fault{At: authtest.Rewriting, Edit: authtest.Truncated}},
		{name: "503 burst", means: "two answers of 503 with a Retry-After of 1 s", loses: request, refuses: true, takes: 3 * time.Second,
			rule: refusal(http.StatusServiceUnavailable, 2)},
		{name: "429", means: "an answer of 429 with a Retry-After of 1 s", loses: request, refuses: true, takes: 2 * time.Second,
			rule: refusal(http.StatusTooManyRequests, 1)},
		{name: "hang", means: "nothing comes; the server has done nothing", loses: request, hangs: true, takes: time.Minute,
			rule: authtest.Fault{Hang: true}},
		{name: "hang, rotated", means: "nothing comes; the server has rotated", loses: answer, hangs: true, takes: time.Minute,
			rule: authtest.Fault{At: authtest.AfterCommit, Hang: true}},
		{name: "revoke", means: "revoke mid-flight: the session is revoked while the refresh is under way", loses: session,
			rule: authtest.Fault{At: authtest.BeforeCommit, Do: revoke}},
		{name: "hard end", means: "absolute expiry: the session has reached its hard end", loses: session,
			config: func(cfg *authtest.Config) { cfg.AbsoluteTTL = 10 * time.Minute }},
		{name: "kill -9", means: "the process that refreshes is killed between the response and its save", loses: answer, kills: true, takes: killGrace},
		{name: "omitted", means: "new refresh token omitted: the server has rotated, and its answer does not say to what", loses: successor,
			rule: authtest.Fault{At: authtest.Rewriting, Edit: authtest.NoRefreshToken}},
	}
}

func revoke(_ context.Context, srv *authtest.Server) {
	for _, s := range srv.Sessions("alice") {
		srv.RevokeSession(s.ID, "admin")
	}
}

// silence is how long a server hangs before it ends the connection, in the
// cells of one process over sockets: 92 that wait for the client's budget of
// 30 s would all wake up at once, and starve each other. In the bubbles, and
// over four processes, it hangs until the client gives up.
const silence = 3 * time.Second

// short reports that the server ends what it makes hang.
func (f fault) short(l layout) bool { return f.hangs && l.transport != pipe && l.processes == 1 }

// set puts the fault in force.
func (f fault) set(srv *authtest.Server, l layout) {
	if f.loses == nothing || f.config != nil || f.kills {
		return
	}
	rule := f.rule
	rule.On = authtest.Refresh
	if f.short(l) {
		rule.Hang, rule.Drop, rule.Delay = false, true, silence
	}
	srv.Fault(rule)
}
