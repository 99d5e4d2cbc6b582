package tokensource_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Guards extra in record: an older program must not drop what a newer one of
// the same major version wrote.
func TestFieldsOfANewerProgramSurviveARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		s := loggedIn(t, r, store)
		ver, data, err := store.Load(t.Context(), testKey)
		require.NoError(t, err)
		newer := strings.Replace(string(data), `{`, `{"dpop":{"kid":"k1","nonces":["a","b"]},`, 1)
		require.NoError(t, store.Swap(t.Context(), testKey, ver, tokensource.Version{9}, []byte(newer)))
		time.Sleep(2 * time.Hour)
		tok, err := newSession(t, r, store).Token(t.Context())
		require.NoError(t, err)
		require.Equal(t, uint64(2), tok.ID().Generation)

		_, data, err = store.Load(t.Context(), testKey)
		require.NoError(t, err)
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(data, &fields))
		assert.JSONEq(t, `{"kid":"k1","nonces":["a","b"]}`, string(fields["dpop"]))
		_ = s
	})
}

// The record of an ordinary session fits a keyring entry of every platform,
// with the marks of a refresh in it.
func TestARecordWithOrdinaryTokensFitsAKeyringEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		r.access = strings.Repeat("a", 900)
		r.edit = func(g *tokensource.Grant) {
			g.Scopes = []string{"openid", "profile", "email", "offline_access"}
			g.Subject = "auth0|0123456789abcdef01234567"
		}
		largest := 0
		store.swapped = func(data []byte) error { largest = max(largest, len(data)); return nil }
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		_, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Less(t, largest, 1800, "bytes of the largest record")
	})
}

// What a session knows comes back from the store whole.
func TestASessionGoesOnInTheNextProcessWithAllItKnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), tokensource.NewMemoryStore()
		r.edit = func(g *tokensource.Grant) {
			g.TokenType, g.Subject, g.Scopes = "bearer", "alice", []string{"a", "b"}
			g.IDToken = tokensource.NewSecret("id")
			g.HardEnd, g.IdleEnd = g.IssuedAt.Add(7*24*time.Hour), g.IssuedAt.Add(24*time.Hour)
		}
		a := loggedIn(t, r, store)
		b := newSession(t, r, store)
		want, err := a.Token(t.Context())
		require.NoError(t, err)
		got, err := b.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want.AccessToken().Reveal(), got.AccessToken().Reveal())
		assert.Equal(t, "Bearer "+want.AccessToken().Reveal(), got.Authorization().Reveal())
		assert.Equal(t, want.ID(), got.ID())
		x, y := a.Status(), b.Status()
		for _, st := range []*tokensource.Status{&x, &y} {
			st.IssuedAt, st.Expiry, st.HardEnd, st.IdleEnd = st.IssuedAt.Round(0).UTC(), st.Expiry.Round(0).UTC(), st.HardEnd.Round(0).UTC(), st.IdleEnd.Round(0).UTC()
		}
		assert.Equal(t, x, y)
	})
}

// FuzzRecord: whatever is in the store, reading it neither panics nor shows
// it; a record of a newer program is refused; one that can be read is written
// back to the same meaning, with all that a newer program has put into it.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"v":1,"family":"000102030405060708090a0b0c0d0e0f","gen":3,"access_token":"at","refresh_token":"rt","issued_at":1,"expiry":2,"scopes":[],"unknown":{"a":[1]}}`))
	f.Add([]byte(`{"v":1,"family":"000102030405060708090a0b0c0d0e0f","gen":3,"ended":"logged_out"}`))
	f.Add([]byte(`{"v":1,"family":"000102030405060708090a0b0c0d0e0f","gen":3,"ended":"a reason of tomorrow","mark":{"hash":"x","until":9},"suspect":{"count":-1},"not_before":{"until":-9}}`))
	f.Add([]byte(`{"v":99}`))
	f.Add([]byte(`{"v":1,"gen":18446744073709551615}`))
	f.Add([]byte("\xff\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var head struct {
			V int64 `json:"v"`
		}
		headErr := json.Unmarshal(data, &head)
		once, err := tokensource.RecodeRecord(data)
		if err != nil {
			if len(data) > 20 && strings.Contains(err.Error(), string(data)) {
				t.Errorf("the error shows the record: %v", err)
			}
			if newer := headErr == nil && head.V > 1; newer != tokensource.IsNewerRecord(err) {
				t.Errorf("format %d: %v", head.V, err)
			}
			return
		}
		if head.V != 1 {
			t.Errorf("format %d was read", head.V)
		}
		twice, err := tokensource.RecodeRecord(once)
		if err != nil {
			t.Fatalf("a record that was written cannot be read: %v", err)
		}
		if string(once) != string(twice) {
			t.Errorf("rewriting changes the record:\n%s\n%s", once, twice)
		}
		before, _ := tokensource.ViewRecord(data)
		after, _ := tokensource.ViewRecord(once)
		assert.Equal(t, before, after, "rewriting changes what the record means")
		assertExtrasSurvive(t, data, once)
	})
}

// assertExtrasSurvive compares the fields that this program does not know. One
// that json takes for a known field in another case is no field of its own.
func assertExtrasSurvive(t *testing.T, data, again []byte) {
	t.Helper()
	var before, after map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(data, &before))
	require.NoError(t, json.Unmarshal(again, &after))
	known := tokensource.KnownFields()
	for name, value := range before {
		if slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, name) }) {
			assert.True(t, slices.Contains(known, name) || after[name] == nil, "%q stays beside the field that it was read as", name)
			continue
		}
		assert.Equal(t, plain(t, value), plain(t, after[name]), "%q, which a newer program wrote", name)
	}
}

// plain returns value without spaces and with HTML escaped, as Go writes it.
func plain(t *testing.T, value json.RawMessage) string {
	t.Helper()
	var compact, escaped bytes.Buffer
	require.NoError(t, json.Compact(&compact, value))
	json.HTMLEscape(&escaped, compact.Bytes())
	return escaped.String()
}
