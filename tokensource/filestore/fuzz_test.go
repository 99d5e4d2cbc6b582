package filestore_test

import (
	"encoding/base64"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-9a12f4e2/pawl/tokensource/filestore"
)

// Whatever stands where a key belongs, what is taken for one has 32 bytes, and
// they are the same in every spelling.
func FuzzKeyText(f *testing.F) {
	for _, text := range spellings {
		f.Add(text)
	}
	for _, text := range noKeys {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		raw := filestore.DecodeKey(text)
		if raw == nil {
			return
		}
		assert.Len(t, raw, 32)
		for _, again := range []string{
			hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw) + "\n",
		} {
			assert.Equal(t, raw, filestore.DecodeKey(again))
		}
	})
}
