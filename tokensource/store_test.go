package tokensource_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

func TestNoTwoSessionsShareAKey(t *testing.T) {
	seen := map[string][]string{}
	for _, parts := range [][]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "ab", "c"}, {"a", "b", "d"}} {
		key := tokensource.NewKey(parts[0], parts[1], parts[2])
		assert.Empty(t, seen[key.String()], "%q", parts)
		seen[key.String()] = parts
		assert.Regexp(t, "^[0-9a-f]{64}$", key.String())
		assert.False(t, key.IsZero())
	}
	// Part of the format: another value would log every user out.
	assert.Equal(t, "e615c7faee5e8d16741c89837d44e9a8c0fedf07fdc9074fda023ef8ddad7738", tokensource.NewKey("https://as.example", "cli", "alice").String())
}

// Guards the order of release and runAfter in fly: a hook may use the store.
func TestHooksRunAfterTheLeaseWasReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		var order []string
		free := func(name string) {
			lease, err := store.Lock(t.Context(), testKey)
			require.NoError(t, err)
			require.NoError(t, lease.Release())
			order = append(order, name)
		}
		s := loggedIn(t, r, store, func(c *tokensource.Config) {
			c.Hooks = tokensource.Hooks{
				RefreshStart: func(tokensource.RefreshStartInfo) { free("start") },
				RefreshDone:  func(i tokensource.RefreshDoneInfo) { assert.NoError(t, i.Err); free("done") },
				TokenStored:  func(tokensource.TokenStoredInfo) { free("stored"); panic("a hook's own affair") },
			}
		})
		time.Sleep(2 * time.Hour)
		_, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"start", "done", "stored"}, order)
	})
}
