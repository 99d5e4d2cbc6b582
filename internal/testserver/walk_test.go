package testserver_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// Whatever is presented in whatever order, a branch of a family has one live
// token at most (the SQL stores have an index that says so), and only siblings
// have branches of their own.
func TestABranchHasOneLiveTokenWhateverIsPresented(t *testing.T) {
	for _, p := range testserver.Profiles() {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(p.Name, "/", seed), func(t *testing.T) {
				walk(t, start(t, p.Name, nil), p, rand.New(rand.NewPCG(seed, 1)))
			})
		}
	}
}

func walk(t *testing.T, b bench, p testserver.Profile, random *rand.Rand) {
	t.Helper()
	d := present(p)
	var session string
	var seen []string
	for range 60 {
		if len(seen) == 0 {
			tokens := b.login(t)
			session, seen = tokens.Session, []string{tokens.Refresh}
		}
		// The newest ones most often, the oldest ones sometimes.
		n := len(seen)
		got := b.do(d.request(seen[max(random.IntN(n), random.IntN(n))]))
		require.Less(t, got.Code, http.StatusInternalServerError, got.outcome())
		if _, refresh := got.tokens(); refresh != "" {
			seen = append(seen, refresh)
		}
		live, err := b.LiveTokens(session)
		require.NoError(t, err)
		for branch, n := range live {
			require.Equal(t, 1, n, "branch %d after %s", branch, got.outcome())
		}
		if p.Replay.Mode != testserver.Fork {
			assert.LessOrEqual(t, len(live), 1)
		}
		if got.outcome() == testserver.SessionRevoked {
			assert.Empty(t, live)
			seen = nil
		}
		b.Advance(time.Duration(random.IntN(20)) * time.Second)
	}
}
