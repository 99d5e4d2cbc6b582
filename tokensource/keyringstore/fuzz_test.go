package keyringstore_test

import (
	"testing"

	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// An entry that is accepted is written again as the very same text: there is
// one text for each entry, so that comparing texts, as reading back does,
// compares entries.
func FuzzEntry(f *testing.F) {
	f.Add("")
	f.Add("v1:")
	f.Add("v2:anything")
	f.Add("v1:" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		counter, v, data, again, err := keyringstore.DecodeEntry(text)
		if err != nil {
			return
		}
		if again != text {
			t.Errorf("%q is written again as %q", text, again)
		}
		if counter > 1<<62 || v == [16]byte{} && len(data) > 0 {
			t.Errorf("accepted counter %d, version %x, %d bytes", counter, v, len(data))
		}
	})
}
