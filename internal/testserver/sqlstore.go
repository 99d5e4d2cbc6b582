package testserver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"
)

// SQLDialect names a kind of database.
type SQLDialect uint8

// The databases that share the server's one SQL text.
const (
	SQLite     SQLDialect = iota // 3.35 or newer, for RETURNING
	PostgreSQL                   // 9.5 or newer, for ON CONFLICT
)

// bytesType is the one word in which the two differ.
func (d SQLDialect) bytesType() string {
	if d == PostgreSQL {
		return "BYTEA"
	}
	return "BLOB"
}

// options are those of a transaction. Under PostgreSQL each statement must see
// what was committed while the one before waited for a lock, which a stricter
// level would refuse; SQLite has one writer at a time and no choice.
func (d SQLDialect) options() *sql.TxOptions {
	if d == PostgreSQL {
		return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	return nil
}

// sqlStore keeps everything in a database, which any number of processes may
// share.
//
// The first statement of every transaction is a write that takes the lock it
// needs: the row of its session or, for what concerns many sessions, first the
// one row of bulk. So nobody who holds a session waits for another one, and
// SQLite never has to make a writer of a reader, which it refuses under load.
type sqlStore struct {
	db         *sql.DB
	dialect    SQLDialect
	statements *statements // nil: each is sent as its text
}

var _ Store = (*sqlStore)(nil)

// OpenSQL returns a store in a database, and makes its tables if they are not
// there. The database is the caller's to open and to close. One of SQLite
// should wait for its lock (busy_timeout) and be a file in WAL mode; one in
// memory must have a single connection.
func OpenSQL(ctx context.Context, db *sql.DB, dialect SQLDialect) (Store, error) {
	s := &sqlStore{db: db, dialect: dialect}
	text := strings.ReplaceAll(schema, "BLOB", dialect.bytesType())
	var err error
	// Two processes that start at once may both find a table missing; the one
	// that is told it exists finds it at the next try.
	for range 5 {
		if err = s.inTx(ctx, func(c conn) error { return c.script(text) }); err == nil {
			if dialect == SQLite {
				s.statements = &statements{db: db}
			}
			return s, nil
		}
	}
	return nil, fmt.Errorf("testserver: making the tables: %w", err)
}

// inTx runs fn in a transaction, which is committed if fn returns nil.
func (s *sqlStore) inTx(ctx context.Context, fn func(conn) error) error {
	if s.statements != nil {
		s.statements.parse(ctx)
	}
	t, err := s.db.BeginTx(ctx, s.dialect.options())
	if err != nil {
		return fmt.Errorf("testserver: beginning a transaction: %w", err)
	}
	c := conn{ctx, t}
	if s.statements != nil {
		c.db = s.statements.within(t)
	}
	if err := fn(c); err != nil {
		_ = t.Rollback() // err says more
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("testserver: committing: %w", err)
	}
	return nil
}

// conn is a transaction or the database, with the context to ask it in.
type conn struct {
	ctx context.Context
	db  querier
}

// exec returns the number of rows that were changed.
func (c conn) exec(query string, args ...any) (int64, error) {
	res, err := c.db.ExecContext(c.ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("testserver: database: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("testserver: database: %w", err)
	}
	return n, nil
}

// run executes statements in their order, with the same arguments.
func (c conn) run(statements []string, args ...any) error {
	for _, query := range statements {
		if _, err := c.exec(query, args...); err != nil {
			return err
		}
	}
	return nil
}

// script runs one statement at a time: not every driver takes more.
func (c conn) script(text string) error {
	for query := range strings.SplitSeq(text, ";\n") {
		if strings.TrimSpace(query) == "" {
			continue
		}
		if _, err := c.exec(query); err != nil {
			return err
		}
	}
	return nil
}

// one scans a row; what is not there is absent.
func (c conn) one(absent error, dest []any, query string, args ...any) error {
	err := c.db.QueryRowContext(c.ctx, query, args...).Scan(dest...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return absent
	case err != nil:
		return fmt.Errorf("testserver: database: %w", err)
	}
	return nil
}

// list scans any number of rows.
func list[T any](c conn, columns func(*T) []any, query string, args ...any) (out []T, err error) {
	rows, err := c.db.QueryContext(c.ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("testserver: database: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has what matters
	for rows.Next() {
		var row T
		if err := rows.Scan(columns(&row)...); err != nil {
			return nil, fmt.Errorf("testserver: database: %w", err)
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("testserver: database: %w", err)
	}
	return out, nil
}

// millis is a time as a column has it.
type millis struct{ t *time.Time }

// Scan implements sql.Scanner.
func (m millis) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*m.t = time.Time{}
	case int64:
		*m.t = time.UnixMilli(v).UTC()
	default:
		return fmt.Errorf("testserver: a time column holds a %T", src)
	}
	return nil
}

// Value implements driver.Valuer.
func (m millis) Value() (driver.Value, error) {
	if m.t.IsZero() {
		return nil, nil
	}
	return m.t.UnixMilli(), nil
}

// at is a time as an argument.
func at(t time.Time) millis { return millis{&t} }

// Scan implements sql.Scanner.
func (d *digest) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d = digest{}
	case []byte:
		if len(v) != len(d) {
			return errors.New("testserver: a hash column holds no hash")
		}
		copy(d[:], v)
	default:
		return fmt.Errorf("testserver: a hash column holds a %T", src)
	}
	return nil
}

// Value implements driver.Valuer.
func (d digest) Value() (driver.Value, error) {
	if d == (digest{}) {
		return nil, nil
	}
	return d[:], nil
}

// optional is a text whose emptiness is NULL: a session without a user refers
// to none.
type optional struct{ s *string }

// Scan implements sql.Scanner.
func (o optional) Scan(src any) error {
	var text sql.NullString
	err := text.Scan(src)
	*o.s = text.String
	return err
}

// Value implements driver.Valuer.
func (o optional) Value() (driver.Value, error) {
	if *o.s == "" {
		return nil, nil
	}
	return *o.s, nil
}
