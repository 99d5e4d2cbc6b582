package drivers_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"maps"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// parsing is a driver of SQLite that counts how often each text is parsed.
type parsing struct {
	sqlite driver.Driver
	dsn    string

	mu    sync.Mutex // guards count; never held across I/O, timers or callbacks
	count map[string]int
}

func (p *parsing) Connect(context.Context) (driver.Conn, error) {
	c, err := p.sqlite.Open(p.dsn)
	return counted{c, p}, err
}

func (p *parsing) Driver() driver.Driver { return p.sqlite }

// counted can run nothing that was not prepared, so that database/sql has to
// prepare whatever it is asked to run.
type counted struct {
	driver.Conn
	by *parsing
}

func (c counted) Prepare(query string) (driver.Stmt, error) {
	c.by.mu.Lock()
	c.by.count[query]++
	c.by.mu.Unlock()
	return c.Conn.Prepare(query)
}

// Guards statements.find and statements.parse: what a server has run before is
// not parsed again. There is one connection, as there always is with SQLite, so
// parsing inside a transaction would never end.
func TestSQLiteParsesNothingThatItHasRunBefore(t *testing.T) {
	t.Parallel()
	p := fresh(t, "sqlite")
	counting := &parsing{sqlite: p.peek.Driver(), dsn: "file:" + t.TempDir() + "/counted.db?_txlock=immediate", count: make(map[string]int)}
	db := sql.OpenDB(counting)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	store, err := testserver.OpenSQL(t.Context(), db, testserver.SQLite)
	require.NoError(t, err)
	n := p.serve(t, "grace", func(c *testserver.Config) { c.Store = store })
	token := n.login(t).Refresh
	round := func(racers int) {
		a := race(token, racers, nil, n)[0]
		require.NotEmpty(t, a.refresh, a.outcome)
		require.Equal(t, a.refresh, n.refresh(token).refresh)
		token = a.refresh
	}
	for range 3 { // one to run, one to parse, one that may want nothing any more
		round(1)
	}
	before := maps.Clone(counting.count)
	require.Greater(t, len(before), 10)
	for range 3 {
		round(8)
	}
	assert.Equal(t, before, counting.count)
}
