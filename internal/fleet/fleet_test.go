package fleet_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

var (
	crowdHead = []string{
		"| store | rotations | refresh requests | presentations of any one refresh token | families revoked | time per rotation |",
		"|---|---|---|---|---|---|",
	}
	togetherHead = []string{
		"| store | processes | refresh requests | p50 | p99 |",
		"|---|---|---|---|---|",
	}
)

// Guards rules 4 and 5: one flight per process, the lease of the store, and the
// look under it.
func TestEightProcessesOfSixteenGoroutinesRotateOneSessionWithoutAReuse(t *testing.T) {
	page := newSection("crowd", crowdHead)
	forEachStore(t, func(t *testing.T, j job) {
		srv := authtest.New(t)
		j.Deed, j.Server = "crowd", srv.URL()
		c := logIn(t, srv, j, 0, time.Hour)
		j.Rest = 50 * time.Millisecond
		if j.Store == "keyring" {
			j.Rest = 300 * time.Millisecond
		}
		rotations := 1000
		if *soak == 0 {
			switch j.Store {
			case "keyring":
				rotations = 50 // its daemon is one thread, which each of them keeps busy for 0.1 s and more
			case "file", "plain":
				rotations = 200 // what they do not share with the sealed one is the key alone
			}
		}
		begun := time.Now()
		members := make([]*member, 8)
		for i := range members {
			members[i] = start(t, j)
		}
		waitFor(t, func() bool { return srv.Stats().Rotations >= rotations })
		took := time.Since(begun)
		for _, m := range members {
			assert.NoError(t, m.stop())
		}
		stillGood(t, c)
		stats := srv.Stats()
		t.Logf("%d rotations in %s, %d refresh requests", stats.Rotations, took, stats.RefreshRequests)
		page.put(t, j.Store, fmt.Sprintf("| %s | %d | %d | %d | %d | %s |", j.Store, stats.Rotations, stats.RefreshRequests,
			srv.MaxRedemptions(), stats.FamiliesRevoked, (took/time.Duration(rotations)).Round(time.Millisecond/10)))
		assert.Equal(t, 1, srv.MaxRedemptions(), "presentations of any one refresh token")
		assert.Equal(t, stats.Rotations, stats.RefreshRequests)
		assert.Zero(t, stats.FamiliesRevoked)
		assert.Empty(t, violations(srv))
	})
}

// Guards rule 5: processes that start on an expired token make one request.
func TestFiftyProcessesThatStartTogetherOnAnExpiredTokenMakeOneRequest(t *testing.T) {
	page := newSection("together", togetherHead)
	forEachStore(t, func(t *testing.T, j job) {
		srv := authtest.NewWith(t, authtest.Config{TokenDelay: 50 * time.Millisecond})
		j.Deed, j.Server = "get", srv.URL()
		c := logIn(t, srv, j, 2*time.Hour, -time.Hour)
		members := make([]*member, 50)
		begun := make([]time.Time, len(members))
		took := make([]time.Duration, len(members))
		for i := range members {
			begun[i] = time.Now()
			members[i] = startHeard(t, j, func(report) { took[i] = time.Since(begun[i]) }) // the last report is of the answer
		}
		troubled := 0
		for _, m := range members {
			assert.NoError(t, m.finish())
			if m.hasTold("trouble") {
				troubled++
			}
		}
		slices.Sort(took)
		p50, p99 := took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond)
		t.Logf("from the start of a process to the answer of the API: p50 %s, p99 %s; %d had to try again", p50, p99, troubled)
		page.put(t, j.Store, fmt.Sprintf("| %s | %d | %d | %s | %s |", j.Store, len(members), srv.Stats().RefreshRequests, p50, p99))
		assert.Equal(t, 1, srv.Stats().RefreshRequests)
		stillGood(t, c)
	})
}

// Guards rule 2: the one caller that renews early waits for it. A process
// that returned at once would end between the server's commit and the save.
func TestAProcessThatEndsRightAfterItsRequestInTheAdvisoryWindowLosesNothing(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, j job) {
		srv := authtest.NewWith(t, authtest.Config{TokenDelay: 300 * time.Millisecond})
		j.Deed, j.Server = "get", srv.URL()
		c := logIn(t, srv, j, 9*time.Minute, time.Minute) // the window is the last two minutes
		require.NoError(t, start(t, j).finish())
		assert.Equal(t, 1, srv.Stats().Rotations)
		stillGood(t, c)
		assert.Equal(t, 1, srv.MaxRedemptions())
		assert.Zero(t, srv.Stats().FamiliesRevoked)
	})
}

// Guards rule 9 across processes.
func TestLostAnswersCostNobodyTheSessionWhereTheServerHasGrace(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, j job) {
		srv := authtest.NewWith(t, authtest.Config{Profile: authtest.Grace})
		j.Deed, j.Server = "rotate", srv.URL()
		c := logIn(t, srv, j, 0, time.Hour)
		for nth := 4; nth <= 20; nth += 4 {
			srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Nth: nth, Drop: true})
		}
		members := []*member{start(t, j), start(t, j), start(t, j)}
		waitFor(t, func() bool { return srv.Stats().Rotations >= 30 })
		for _, m := range members {
			assert.NoError(t, m.stop())
			assert.False(t, m.hasTold("trouble"), "%v", m.reports())
		}
		stillGood(t, c)
		assert.Zero(t, srv.Stats().FamiliesRevoked)
		assert.Empty(t, violations(srv))
	})
}

// violations leaves out the one that these tests commit on purpose: they
// refresh as often as they can.
func violations(srv *authtest.Server) []authtest.Violation {
	return slices.DeleteFunc(srv.Violations(), func(v authtest.Violation) bool { return v.Rule == authtest.RefreshLoop })
}

// waitFor polls what the server counts: other processes give no signal.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	patience := 3 * time.Minute
	if *soak > 0 {
		patience = 12 * time.Minute // a thousand rotations in the keyring
	}
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the processes do not get there")
		}
	}
}
