package sealedfile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// fuzzKey sealed the files in testdata.
func fuzzKey(t testing.TB) sealedfile.Key {
	t.Helper()
	k, err := sealedfile.KeyOf([]byte("the key of the files in testdata"))
	require.NoError(t, err)
	return k
}

// written are all the records that were ever sealed under fuzzKey.
var written = []sealedfile.Record{
	{Counter: 1, Version: tokensource.Version{1}, Data: []byte("x")},
	{Counter: 2, Version: tokensource.Version{2}, Data: []byte{}},
	{Counter: sealedfile.MaxCounter, Version: tokensource.Version{3}, Data: bytes.Repeat([]byte{3}, 5000)},
}

// Whatever a file holds, reading and opening it never panics. What opens under
// a key is a record that was sealed under it; what opens in the clear is what
// the file says, and every byte of it.
func FuzzOpen(f *testing.F) {
	k := fuzzKey(f)
	for _, r := range written {
		f.Add(sealed(f, k, r))
		f.Add(sealed(f, sealedfile.Plain(), r))
	}
	f.Add(sealed(f, sealedfile.NewKey(), written[0]))
	f.Add([]byte("pawlseal\x02 of a later version"))
	dir := privateDir(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(dir, "a.sealed")
		require.NoError(t, os.WriteFile(path, raw, 0o600))
		s, err := sealedfile.Read(path)
		if err != nil {
			return
		}
		if r, err := s.Open(k, session); err == nil {
			assert.Contains(t, written, r)
			assert.False(t, s.Plain())
		}
		if r, err := s.Open(sealedfile.Plain(), session); err == nil {
			assert.True(t, s.Plain())
			again, err := open(sealed(t, sealedfile.Plain(), r), sealedfile.Plain(), session)
			require.NoError(t, err)
			assert.Equal(t, r, again)
		}
	})
}
