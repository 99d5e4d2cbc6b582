package sealedfile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

var session = tokensource.NewKey("https://as.example", "test", "a")

func sealed(t testing.TB, k sealedfile.Key, r sealedfile.Record) []byte {
	t.Helper()
	raw, err := sealedfile.Seal(k, session, r)
	require.NoError(t, err)
	return raw
}

func open(raw []byte, k sealedfile.Key, session tokensource.Key) (sealedfile.Record, error) {
	s, err := sealedfile.Parse(raw)
	if err != nil {
		return sealedfile.Record{}, err
	}
	return s.Open(k, session)
}

func TestSealedRecordOpensAsItWasInWholePages(t *testing.T) {
	k := sealedfile.NewKey()
	for _, n := range []int{0, 1, 4016, 4017, 8112, 8113, 64 << 10, sealedfile.MaxData} {
		r := sealedfile.Record{Counter: 7, Version: tokensource.Version{1, 2}, Data: bytes.Repeat([]byte{9}, n)}
		raw := sealed(t, k, r)
		assert.Zero(t, len(raw)%4096)
		got, err := open(raw, k, session)
		require.NoError(t, err)
		assert.Equal(t, r, got, n)
		assert.False(t, bytes.Contains(raw, bytes.Repeat([]byte{9}, 16)))
	}
	_, err := sealedfile.Seal(k, session, sealedfile.Record{Data: make([]byte, sealedfile.MaxData+1)})
	require.ErrorIs(t, err, sealedfile.ErrTooLong)
	assert.Len(t, sealed(t, k, sealedfile.Record{}), 4096, "a mark claims the room that a token set needs")
	assert.Len(t, sealed(t, k, sealedfile.Record{Data: make([]byte, 4000)}), 4096)
}

// Guards the additional data: what is not encrypted is bound all the same.
func TestNoBitOfAFileCanBeChangedAndNoFileServesAnotherSession(t *testing.T) {
	k := sealedfile.NewKey()
	raw := sealed(t, k, sealedfile.Record{Counter: 7, Version: tokensource.Version{1}, Data: []byte("x")})
	for i := range 200 {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(raw)
			bad[i] ^= bit
			_, err := open(bad, k, session)
			assert.Error(t, err, "byte %d", i)
		}
	}
	_, err := open(raw, k, tokensource.NewKey("https://as.example", "test", "b"))
	require.ErrorIs(t, err, sealedfile.ErrDamaged)
	_, err = open(raw, sealedfile.NewKey(), session)
	require.ErrorIs(t, err, sealedfile.ErrOtherKey)
	for _, short := range []int{0, 8, 9, 44, 4095} {
		_, err = open(raw[:short], k, session)
		require.ErrorIs(t, err, sealedfile.ErrDamaged)
	}
	raw[8] = 2
	_, err = open(raw, k, session)
	require.ErrorIs(t, err, sealedfile.ErrNewer)
}

// Guards the magic of a plain file and the cases in Open: neither kind passes
// for the other, nor for damage that may be written over.
func TestPlainFileSaysThatItIsAndNeitherKindPassesForTheOther(t *testing.T) {
	plain, k := sealedfile.Plain(), sealedfile.NewKey()
	r := sealedfile.Record{Counter: 3, Version: tokensource.Version{4}, Data: []byte("in the clear")}
	raw := sealed(t, plain, r)
	assert.Equal(t, "pawlopen", string(raw[:8]))
	assert.Len(t, raw, 4096)
	assert.Contains(t, string(raw), "in the clear")
	got, err := open(raw, plain, session)
	require.NoError(t, err)
	assert.Equal(t, r, got)
	_, err = open(raw, k, session)
	require.ErrorIs(t, err, sealedfile.ErrPlain)
	_, err = open(sealed(t, k, r), plain, session)
	require.ErrorIs(t, err, sealedfile.ErrSealed)
	assert.False(t, plain.IsZero())
	assert.False(t, plain.Equal(k))
	for i := range 200 {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		_, err := open(bad, plain, session)
		assert.Error(t, err, "byte %d", i)
	}
	_, err = open(raw, plain, tokensource.NewKey("https://as.example", "test", "b"))
	require.ErrorIs(t, err, sealedfile.ErrDamaged)
}

func TestKeyIsNeverPrinted(t *testing.T) {
	raw := []byte("canary-canary-canary-canary-1234")
	k, err := sealedfile.KeyOf(raw)
	require.NoError(t, err)
	holder := struct{ k sealedfile.Key }{k} // fmt calls no method on what is in here
	numbers := fmt.Sprint(raw)
	for _, v := range []any{k, &k, holder, &holder, []sealedfile.Key{k}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			text := fmt.Sprintf(verb, v)
			assert.NotContains(t, text, "canary", verb)
			assert.NotContains(t, text, numbers[1:40], verb)
			assert.NotContains(t, text, fmt.Sprintf("%x", raw), verb)
		}
	}
	text, err := json.Marshal(k)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "canary")
	_, err = sealedfile.KeyOf(raw[:31])
	require.ErrorContains(t, err, "31 bytes")
	_, err = sealedfile.KeyOf(make([]byte, 32))
	require.ErrorContains(t, err, "all zeros")
}
