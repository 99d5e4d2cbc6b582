package authtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// Dialect names a kind of database.
type Dialect uint8

// The databases. The zero Dialect is none of them.
const (
	SQLite     Dialect = iota + 1 // 3.35 or newer
	PostgreSQL                    // 9.5 or newer
)

// Database is a database that a server keeps its state in: its tables are made
// there if they are missing, and tokens are kept as hashes. Servers that share
// one, in this process or in several, behave as one server, and a server that
// was ended or killed can be followed by another one. What belongs to a test and
// not to the service is each server's own: its faults, gates and clock, what it
// counted, and the buckets of RateLimits, so that two servers let twice as many
// requests through.
//
// The driver is the caller's choice, and so is closing DB after the servers.
// Give SQLite a busy_timeout, so that it waits for its lock, and a single
// connection (SetMaxOpenConns), so that requests are served in turn.
type Database struct {
	DB      *sql.DB // nil: the state is in memory
	Dialect Dialect // what DB speaks
}

func (d Database) store() (testserver.Store, error) {
	var inner testserver.SQLDialect
	switch {
	case d.DB == nil && d.Dialect == 0:
		return nil, nil
	case d.DB == nil:
		return nil, errors.New("authtest: Database has a Dialect and no DB")
	case d.Dialect == SQLite:
		inner = testserver.SQLite
	case d.Dialect == PostgreSQL:
		inner = testserver.PostgreSQL
	default:
		return nil, errors.New("authtest: Database needs a Dialect")
	}
	store, err := testserver.OpenSQL(context.Background(), d.DB, inner)
	if err != nil {
		return nil, fmt.Errorf("authtest: %w", err)
	}
	return store, nil
}
