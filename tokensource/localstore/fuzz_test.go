package localstore_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-9a12f4e2/pawl/tokensource/localstore"
)

// Whatever the file of a choice holds, it names a place that is recorded, and in
// the one way that it is written in, or none.
func FuzzChoice(f *testing.F) {
	for _, text := range []string{
		"pawl localstore 1\nkeyring\n", "pawl localstore 1\nmemory\n", "pawl localstore 2\nkeyring\n", "pawl localstore 1\n", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, known := localstore.ParseChoice(text)
		if b == localstore.Auto {
			return
		}
		assert.True(t, known)
		assert.Contains(t, []localstore.Backend{localstore.Keyring, localstore.Sealed, localstore.KernelKey, localstore.Plain}, b)
		assert.Contains(t, []string{"pawl localstore 1\n" + b.String() + "\n", "pawl localstore 1\n" + b.String()}, text)
	})
}
