package testserver

import (
	"context"
	"database/sql"
	"sync"
)

// querier runs statements: a transaction, or the database.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// statements are those that the database has parsed already. SQLite parses a
// text for longer than it runs it, and its driver remembers none; that of
// PostgreSQL does.
type statements struct {
	db *sql.DB

	mu     sync.Mutex // guards what follows; never held across I/O, timers or callbacks
	parsed map[string]*sql.Stmt
	wanted map[string]bool // run since, and to be parsed
}

// find returns nil for what is not parsed yet, and has parse see to it.
func (s *statements) find(query string) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stmt := s.parsed[query]; stmt != nil {
		return stmt
	}
	if s.wanted == nil {
		s.wanted = make(map[string]bool)
	}
	s.wanted[query] = true
	return nil
}

// parse parses what was wanted. Whoever calls it must hold no connection:
// there may be no other, and parsing needs one.
func (s *statements) parse(ctx context.Context) {
	s.mu.Lock()
	wanted := s.wanted
	s.wanted = nil
	s.mu.Unlock()
	for query := range wanted {
		stmt, err := s.db.PrepareContext(ctx, query)
		if err != nil {
			continue // running it will say why
		}
		s.keep(query, stmt)
	}
}

// keep keeps one statement for a text, whoever parsed it first.
func (s *statements) keep(query string, stmt *sql.Stmt) {
	s.mu.Lock()
	if s.parsed == nil {
		s.parsed = make(map[string]*sql.Stmt)
	}
	late := s.parsed[query] != nil
	if !late {
		s.parsed[query] = stmt
	}
	s.mu.Unlock()
	if late {
		_ = stmt.Close()
	}
}

// parsed runs the statements that are, and has the others parsed.
type parsed struct {
	plain querier
	find  func(ctx context.Context, query string) *sql.Stmt
}

var _ querier = parsed{}

func (p parsed) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := p.find(ctx, query); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return p.plain.ExecContext(ctx, query, args...)
}

func (p parsed) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := p.find(ctx, query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return p.plain.QueryContext(ctx, query, args...)
}

func (p parsed) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := p.find(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return p.plain.QueryRowContext(ctx, query, args...)
}

// within is a transaction that runs parsed statements where there are any.
func (s *statements) within(t *sql.Tx) querier {
	return parsed{t, func(ctx context.Context, query string) *sql.Stmt {
		if stmt := s.find(query); stmt != nil {
			return t.StmtContext(ctx, stmt)
		}
		return nil
	}}
}

// outside is the database, in the same way.
func (s *statements) outside() querier {
	return parsed{s.db, func(_ context.Context, query string) *sql.Stmt { return s.find(query) }}
}
