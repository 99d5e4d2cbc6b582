package keyringstore_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

func TestWhatAKeyringDoesNotTakeIsRefusedBeforeItIsGiven(t *testing.T) {
	long := strings.Repeat
	rows := []struct {
		goos, service, user, secret string
		ok                          bool
	}{
		{"linux", "a'b", `c\d`, long("x", 1<<20), true},
		{"linux", "a\x00b", "c", "x", false},
		{"windows", "a", "b", long("x", 2560), true},
		{"windows", "a", "b", long("x", 2561), false},
		{"windows", long("s", 511), "b", "x", true},
		{"windows", long("s", 512), "b", "x", false},
		{"windows", "a", long("u", 513), "x", true},
		{"windows", "a", long("u", 514), "x", false},
		{"windows", "a:b", "c", "x", false},
		{"windows", "a", "b:c", "x", true},
		{"windows", "a", "b\x00", "x", false},
		{"darwin", "a", "b", long("x", 2900), true},
		{"darwin", "a", "b", long("x", 2901), false},
		{"darwin", long("s", 50), long("u", 50), long("x", 2900), false}, // the line
		{"darwin", "it's", "b", "x", false},
		{"darwin", "a", `b"`, "x", false},
		{"darwin", "a", `b\`, "x", false},
		{"darwin", "a\n", "b", "x", false},
	}
	for _, row := range rows {
		err := keyringstore.Acceptable(row.goos, row.service, row.user, row.secret)
		if row.ok {
			assert.NoError(t, err, "%s %.10q %.10q %d", row.goos, row.service, row.user, len(row.secret))
			continue
		}
		require.ErrorIs(t, err, keyringstore.ErrFailed, "%s %.10q %.10q %d", row.goos, row.service, row.user, len(row.secret))
		assert.NotContains(t, err.Error(), "xx")
	}
}

// Guards maxEntry and the names: whatever a store writes, every system takes.
func TestEveryEntryOfAStoreFitsEverySystem(t *testing.T) {
	r, key := newRing(), newKey()
	service := strings.Repeat("s", 64)
	longest := 0
	v := r.vault()
	v.Set = func(service, user, secret string) error {
		longest = max(longest, len(secret))
		for _, goos := range []string{"linux", "windows", "darwin"} {
			assert.NoError(t, keyringstore.Acceptable(goos, service, user, secret))
		}
		return r.set(service, user, secret)
	}
	stores, err := keyringstore.NewVaultStores(v, keyringstore.Config{Service: service, Dir: t.TempDir()})
	require.NoError(t, err)
	// The lengths around the one from which on a record goes into the file.
	for n := range uint64(20) {
		require.NoError(t, stores[0].Swap(t.Context(), key, version(n), version(n+1), make([]byte, 1730+n)))
	}
	assert.LessOrEqual(t, longest, 2400)
	assert.Greater(t, longest, 2390)
}
