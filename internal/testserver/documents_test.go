package testserver_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func TestDocumentsInMemory(t *testing.T) {
	testDocuments(t, func(*testing.T) testserver.Documents { return testserver.MemoryDocuments() })
}

// testDocuments is what every implementation promises.
func testDocuments(t *testing.T, open func(*testing.T) testserver.Documents) {
	for name, test := range map[string]func(*testing.T, testserver.Documents){
		"a document is read back until it expires":     documentsExpire,
		"a second put changes nothing":                 documentsPutOnce,
		"a document is taken once":                     documentsTakenOnce,
		"one of many puts wins":                        documentsPutRace,
		"one of many takes wins":                       documentsTakeRace,
		"no update is lost":                            documentsUpdateRace,
		"a failed update changes nothing":              documentsUpdateFails,
		"an update keeps the expiry":                   documentsUpdateExpiry,
		"kinds do not meet":                            documentsKinds,
		"data belongs to the caller before and after":  documentsCopy,
		"an expired document makes room for a new one": documentsReborn,
		"many expired documents are no hindrance":      documentsMany,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// documentTime is the clock of these tests: the documents have none.
func documentTime() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func keep(t *testing.T, d testserver.Documents, kind, id, data string, expires time.Time) {
	t.Helper()
	fresh, err := d.Put(t.Context(), documentTime(), kind, id, []byte(data), expires)
	require.NoError(t, err)
	require.True(t, fresh)
}

func documentsExpire(t *testing.T, d testserver.Documents) {
	now := documentTime()
	keep(t, d, "code", "a", "mortal", now.Add(time.Minute))
	keep(t, d, "code", "b", "immortal", time.Time{})
	for _, at := range []time.Duration{0, time.Minute - time.Millisecond} {
		data, err := d.Get(t.Context(), now.Add(at), "code", "a")
		require.NoError(t, err)
		assert.Equal(t, "mortal", string(data))
	}
	then := now.Add(time.Minute)
	_, err := d.Get(t.Context(), then, "code", "a")
	assert.ErrorIs(t, err, testserver.ErrNoDocument)
	_, err = d.Take(t.Context(), then, "code", "a")
	assert.ErrorIs(t, err, testserver.ErrNoDocument)
	err = d.Update(t.Context(), then, "code", "a", func(b []byte) ([]byte, error) { return b, nil })
	assert.ErrorIs(t, err, testserver.ErrNoDocument)
	data, err := d.Get(t.Context(), now.AddDate(100, 0, 0), "code", "b")
	require.NoError(t, err)
	assert.Equal(t, "immortal", string(data))
}

func documentsPutOnce(t *testing.T, d testserver.Documents) {
	now := documentTime()
	keep(t, d, "jti", "x", "first", now.Add(time.Hour))
	fresh, err := d.Put(t.Context(), now, "jti", "x", []byte("second"), now.Add(2*time.Hour))
	require.NoError(t, err)
	assert.False(t, fresh)
	data, err := d.Get(t.Context(), now, "jti", "x")
	require.NoError(t, err)
	assert.Equal(t, "first", string(data))
}

func documentsTakenOnce(t *testing.T, d testserver.Documents) {
	keep(t, d, "code", "x", "once", time.Time{})
	data, err := d.Take(t.Context(), documentTime(), "code", "x")
	require.NoError(t, err)
	assert.Equal(t, "once", string(data))
	_, err = d.Take(t.Context(), documentTime(), "code", "x")
	assert.ErrorIs(t, err, testserver.ErrNoDocument)
	_, err = d.Get(t.Context(), documentTime(), "code", "x")
	assert.ErrorIs(t, err, testserver.ErrNoDocument)
}

// tellWinners runs fn in eight goroutines and counts how many of them say yes.
func tellWinners(fn func() bool) int64 {
	var won atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if fn() {
				won.Add(1)
			}
		})
	}
	all.Wait()
	return won.Load()
}

func documentsPutRace(t *testing.T, d testserver.Documents) {
	for i := range 25 {
		assert.EqualValues(t, 1, tellWinners(func() bool {
			fresh, err := d.Put(context.Background(), documentTime(), "jti", strconv.Itoa(i), nil, time.Time{})
			return assert.NoError(t, err) && fresh
		}))
	}
}

func documentsTakeRace(t *testing.T, d testserver.Documents) {
	for i := range 25 {
		keep(t, d, "code", strconv.Itoa(i), "x", time.Time{})
		assert.EqualValues(t, 1, tellWinners(func() bool {
			_, err := d.Take(context.Background(), documentTime(), "code", strconv.Itoa(i))
			return err == nil
		}))
	}
}

func documentsUpdateRace(t *testing.T, d testserver.Documents) {
	keep(t, d, "count", "x", "0", time.Time{})
	for range 25 {
		tellWinners(func() bool {
			return assert.NoError(t, d.Update(context.Background(), documentTime(), "count", "x",
				func(b []byte) ([]byte, error) {
					n, err := strconv.Atoi(string(b))
					return []byte(strconv.Itoa(n + 1)), err
				}))
		})
	}
	data, err := d.Get(t.Context(), documentTime(), "count", "x")
	require.NoError(t, err)
	assert.Equal(t, "200", string(data))
}

func documentsUpdateFails(t *testing.T, d testserver.Documents) {
	keep(t, d, "code", "x", "before", time.Time{})
	refused := errors.New("refused")
	err := d.Update(t.Context(), documentTime(), "code", "x", func(b []byte) ([]byte, error) {
		b[0] = 'X'
		return []byte("after"), refused
	})
	require.ErrorIs(t, err, refused)
	data, err := d.Get(t.Context(), documentTime(), "code", "x")
	require.NoError(t, err)
	assert.Equal(t, "before", string(data))
}

func documentsUpdateExpiry(t *testing.T, d testserver.Documents) {
	now := documentTime()
	keep(t, d, "code", "x", "before", now.Add(time.Minute))
	require.NoError(t, d.Update(t.Context(), now, "code", "x", func([]byte) ([]byte, error) { return []byte("after"), nil }))
	_, err := d.Get(t.Context(), now.Add(time.Minute), "code", "x")
	assert.ErrorIs(t, err, testserver.ErrNoDocument)
}

func documentsKinds(t *testing.T, d testserver.Documents) {
	keep(t, d, "code", "x", "a code", time.Time{})
	_, err := d.Get(t.Context(), documentTime(), "device", "x")
	require.ErrorIs(t, err, testserver.ErrNoDocument)
	keep(t, d, "device", "x", "a device", time.Time{})
}

func documentsCopy(t *testing.T, d testserver.Documents) {
	data := []byte("mine")
	_, err := d.Put(t.Context(), documentTime(), "code", "x", data, time.Time{})
	require.NoError(t, err)
	data[0] = 'X'
	got, err := d.Get(t.Context(), documentTime(), "code", "x")
	require.NoError(t, err)
	assert.Equal(t, "mine", string(got))
	got[0] = 'X'
	got, err = d.Get(t.Context(), documentTime(), "code", "x")
	require.NoError(t, err)
	assert.Equal(t, "mine", string(got))
}

func documentsReborn(t *testing.T, d testserver.Documents) {
	now := documentTime()
	keep(t, d, "jti", "x", "old", now.Add(time.Second))
	fresh, err := d.Put(t.Context(), now.Add(time.Second), "jti", "x", []byte("new"), time.Time{})
	require.NoError(t, err)
	assert.True(t, fresh)
	data, err := d.Get(t.Context(), now.Add(time.Hour), "jti", "x")
	require.NoError(t, err)
	assert.Equal(t, "new", string(data))
}

func documentsMany(t *testing.T, d testserver.Documents) {
	now := documentTime()
	keep(t, d, "jti", "kept", "kept", time.Time{})
	for i := range 1500 {
		at := now.Add(time.Duration(i) * time.Second)
		_, err := d.Put(t.Context(), at, "jti", strconv.Itoa(i), nil, at.Add(time.Second))
		require.NoError(t, err)
	}
	_, err := d.Get(t.Context(), now, "jti", "kept")
	assert.NoError(t, err)
}
