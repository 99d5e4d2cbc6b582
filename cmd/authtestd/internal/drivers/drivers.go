// Package drivers opens the databases that the test server can keep its state
// in. The drivers are linked here, so that nobody who imports authtest is.
package drivers

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // registers itself as "sqlite"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// maxConns is how many requests may be in PostgreSQL at once. Those of one
// session wait for each other there, so it should be many.
const maxConns = 32

// Open opens what a name describes: sqlite:FILE, or postgres: and a connection
// string of PostgreSQL, as a URL or as key=value pairs. It does not connect
// yet. Errors do not quote the name, which may hold a password.
func Open(name string) (*sql.DB, testserver.SQLDialect, error) {
	kind, rest, _ := strings.Cut(name, ":")
	switch {
	case kind == "sqlite" && rest != "":
		db, err := openSQLite(rest)
		return db, testserver.SQLite, err
	case kind == "postgres" || kind == "postgresql":
		if strings.HasPrefix(rest, "//") {
			rest = name
		}
		db, err := openPostgres(rest)
		return db, testserver.PostgreSQL, err
	}
	return nil, 0, errors.New("drivers: want sqlite:FILE or postgres:DSN")
}

// openSQLite waits for another process's lock rather than fail at once. In this
// process there is one connection: SQLite has one writer, and who waits for it
// in Go is served in turn, while SQLite would sleep and try again. With WAL, a
// commit that a killed process left half-written never was.
func openSQLite(file string) (*sql.DB, error) {
	query := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)"},
	}
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: query.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("drivers: opening SQLite: %w", err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

func openPostgres(dsn string) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("drivers: the connection string of PostgreSQL cannot be read")
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	return db, nil
}
