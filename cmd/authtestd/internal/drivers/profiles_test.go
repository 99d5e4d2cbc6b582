package drivers_test

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

// Guards every row that a profile writes: what a store forgets or mixes up
// shows as another outcome somewhere down the walk, and two live tokens on one
// branch as an error of the index.
func TestEveryProfileDoesTheSameWhereverTheSessionIsKept(t *testing.T) {
	profiles := append(testserver.Profiles(), testserver.Profile{
		Name: "siblings until one is used", Replay: testserver.Replay{Mode: testserver.Fork, Window: testserver.Always, CloseOnChildUse: true},
	})
	walks := func(t *testing.T, p place) (stories [][]string) {
		n := p.serve(t, "strict", nil)
		for _, profile := range profiles {
			n.SetProfile(profile)
			stories = append(stories, walk(t, n))
		}
		return stories
	}
	want := walks(t, fresh(t, "memory"))
	shared(t, func(t *testing.T, p place) {
		for i, got := range walks(t, p) {
			assert.Equal(t, want[i], got, profiles[i].Name)
		}
	})
}

// walk presents whatever it was ever given, and uses an access token now and
// then. It tells what came of it.
func walk(t *testing.T, n node) []string {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 7))
	var story, seen []string
	for range 60 {
		if len(seen) == 0 {
			tokens := n.login(t)
			second := n.login(t) // which the reuse of another's token may end
			seen = []string{second.Refresh, tokens.Refresh}
		}
		i := max(random.IntN(len(seen)), random.IntN(len(seen)))
		a := n.refresh(seen[i])
		require.NotEqual(t, testserver.Failed, a.outcome)
		line := fmt.Sprint(i, " ", a.outcome)
		if a.access != "" && random.IntN(4) == 0 {
			line += fmt.Sprint(" ", n.me(a.access).status)
		}
		if a.refresh != "" {
			seen = append(seen, a.refresh)
		}
		if a.outcome == testserver.SessionRevoked || a.status == http.StatusForbidden {
			seen = nil
		}
		story = append(story, line)
		n.Advance(time.Duration(random.IntN(12)) * time.Second)
	}
	return story
}
