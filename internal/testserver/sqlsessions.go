package testserver

import (
	"context"
	"errors"
	"time"
)

func (s *sqlStore) on(ctx context.Context) conn {
	if s.statements != nil {
		return conn{ctx, s.statements.outside()}
	}
	return conn{ctx, s.db}
}

func (s *sqlStore) documents() documents { return sqlDocuments{s} }

func (s *sqlStore) create(ctx context.Context, row session, fn func(*tx) error) error {
	var err error
	t := &tx{session: row, rows: noRows{}}
	if t.user, err = s.on(ctx).person(row.user); err != nil {
		return err
	}
	if err := fn(t); err != nil {
		return err
	}
	return s.inTx(ctx, func(c conn) error {
		if err := c.insert("sessions", sessionColumns, sessionRow(&t.session)); err != nil {
			return err
		}
		return c.write(t)
	})
}

// noRows are those of a session that is being made.
type noRows struct{}

func (noRows) refreshToken(digest) (refreshToken, error) { return refreshToken{}, errNoToken }
func (noRows) accessToken(string) (accessToken, error)   { return accessToken{}, errNoToken }
func (noRows) children(digest) ([]refreshToken, error)   { return nil, nil }
func (noRows) family() ([]refreshToken, error)           { return nil, nil }

// update locks by writing. What the lock made it wait for is read by
// statements of their own, after it: PostgreSQL reads the locked row afresh,
// but all else in the locking statement as it was before the wait.
func (s *sqlStore) update(ctx context.Context, id string, fn func(*tx) error) error {
	return s.inTx(ctx, func(c conn) error {
		t := &tx{rows: sqlRows{c, id}}
		err := c.one(errNoSession, sessionRow(&t.session),
			`UPDATE sessions SET lock_seq = lock_seq + 1 WHERE id = $1 RETURNING `+sessionColumns, id)
		if err != nil {
			return err
		}
		if t.user, err = c.person(t.session.user); err != nil {
			return err
		}
		if err := fn(t); err != nil {
			return err
		}
		if err := c.write(t); err != nil {
			return err
		}
		return c.writeSession(&t.session)
	})
}

// updateAll locks them all by its second statement, each as its last change
// left it.
func (s *sqlStore) updateAll(ctx context.Context, name, client, id string, fn func([]*tx) error) error {
	return s.inBulk(ctx, func(c conn) error {
		locked, err := list(c, sessionRow, `UPDATE sessions SET lock_seq = lock_seq + 1
			WHERE id = $1 OR user_id = $2 AND revoked_at IS NULL AND (client_id = $3 OR $3 = '') RETURNING `+sessionColumns,
			id, name, client)
		if err != nil {
			return err
		}
		person, err := c.person(name)
		if err != nil {
			return err
		}
		all := make([]*tx, len(locked))
		for i, row := range locked {
			all[i] = &tx{session: row, user: person, rows: sqlRows{c, row.id}}
		}
		if err := fn(all); err != nil {
			return err
		}
		for _, t := range all {
			if err := c.write(t); err != nil {
				return err
			}
			if err := c.writeSession(&t.session); err != nil {
				return err
			}
		}
		return nil
	})
}

// view takes no lock, and so sees each row as it was last committed.
func (s *sqlStore) view(ctx context.Context, id string, fn func(*tx) error) error {
	c := s.on(ctx)
	row, err := s.session(ctx, id)
	if err != nil {
		return err
	}
	t := &tx{session: row, rows: sqlRows{c, id}}
	if t.user, err = c.person(row.user); err != nil {
		return err
	}
	return fn(t)
}

func (s *sqlStore) session(ctx context.Context, id string) (row session, err error) {
	err = s.on(ctx).one(errNoSession, sessionRow(&row), `SELECT `+sessionColumns+` FROM sessions WHERE id = $1`, id)
	return row, err
}

func (s *sqlStore) sessionOf(ctx context.Context, hash digest) (session, refreshToken, error) {
	c := s.on(ctx)
	var t refreshToken
	err := c.one(errNoSession, refreshRow(&t), `SELECT `+refreshColumns+` FROM refresh_tokens WHERE hash = $1`, hash)
	if err != nil {
		return session{}, refreshToken{}, err
	}
	row, err := s.session(ctx, t.session)
	return row, t, err
}

func (s *sqlStore) sessions(ctx context.Context, name string) ([]session, error) {
	return list(s.on(ctx), sessionRow, `SELECT `+sessionColumns+` FROM sessions
		WHERE user_id = $1 OR $1 = '' ORDER BY created_at, id`, name)
}

func userRow(u *user) []any { return []any{&u.name, &u.version, millis{&u.disabled}, &u.password} }

const userColumns = `id, token_version, disabled_at, password`

func (c conn) user(name string) (u user, err error) {
	err = c.one(errUnknownUser, userRow(&u), `SELECT `+userColumns+` FROM users WHERE id = $1`, name)
	return u, err
}

// person is the user of a session, or nobody.
func (c conn) person(name string) (user, error) {
	u, err := c.user(name)
	if errors.Is(err, errUnknownUser) {
		err = nil
	}
	return u, err
}

func (s *sqlStore) addUser(ctx context.Context, name string, password []byte) (bool, error) {
	n, err := s.on(ctx).exec(`INSERT INTO users (id, password) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, name, password)
	return n == 1, err
}

func (s *sqlStore) setPassword(ctx context.Context, name string, password []byte) error {
	return s.on(ctx).must(`UPDATE users SET password = $1 WHERE id = $2`, password, name)
}

func (s *sqlStore) user(ctx context.Context, name string) (user, error) { return s.on(ctx).user(name) }

func (s *sqlStore) users(ctx context.Context) ([]user, error) {
	return list(s.on(ctx), userRow, `SELECT `+userColumns+` FROM users ORDER BY id`)
}

// inBulk runs what concerns many sessions, one such transaction at a time: two
// that lock the same sessions in different orders would wait for each other.
func (s *sqlStore) inBulk(ctx context.Context, fn func(conn) error) error {
	return s.inTx(ctx, func(c conn) error {
		if err := c.must(`UPDATE bulk SET seq = seq + 1 WHERE id = 1`); err != nil {
			return err
		}
		return fn(c)
	})
}

func (s *sqlStore) bumpUser(ctx context.Context, name string) error {
	return s.changeUser(ctx, name, `UPDATE users SET token_version = token_version + 1 WHERE id = $1`, name)
}

func (s *sqlStore) disableUser(ctx context.Context, name string, now time.Time) error {
	return s.changeUser(ctx, name, `UPDATE users SET disabled_at = $1 WHERE id = $2`, at(now), name)
}

// changeUser holds the lock of each of the user's sessions until the change is
// committed.
func (s *sqlStore) changeUser(ctx context.Context, name, query string, args ...any) error {
	return s.inBulk(ctx, func(c conn) error {
		if _, err := c.exec(`UPDATE sessions SET lock_seq = lock_seq + 1 WHERE user_id = $1`, name); err != nil {
			return err
		}
		n, err := c.exec(query, args...)
		if err == nil && n == 0 {
			err = errUnknownUser
		}
		return err
	})
}

func (s *sqlStore) revokeAccess(ctx context.Context, now time.Time) error {
	return s.inBulk(ctx, func(c conn) error {
		if _, err := c.exec(`UPDATE sessions SET lock_seq = lock_seq + 1`); err != nil {
			return err
		}
		_, err := c.exec(`UPDATE access_tokens SET revoked_at = $1 WHERE revoked_at IS NULL`, at(now))
		return err
	})
}

func (s *sqlStore) wipe(ctx context.Context) error {
	return s.inBulk(ctx, func(c conn) error {
		err := c.run([]string{
			`UPDATE sessions SET lock_seq = lock_seq + 1`,
			`DELETE FROM access_tokens`, `DELETE FROM refresh_tokens`, `DELETE FROM sessions`,
		})
		if err != nil {
			return err
		}
		_, err = c.exec(`DELETE FROM documents WHERE kind NOT LIKE $1 AND kind NOT LIKE $2`, "%"+kindKeys, "%"+kindSecrets)
		return err
	})
}

func (s *sqlStore) sweep(ctx context.Context, before, now time.Time) error {
	return s.inBulk(ctx, func(c conn) error {
		err := c.run([]string{
			`UPDATE sessions SET lock_seq = lock_seq + 1 WHERE absolute_expires_at < $1`,
			`DELETE FROM access_tokens WHERE session_id IN (SELECT id FROM sessions WHERE absolute_expires_at < $1)`,
			`DELETE FROM refresh_tokens WHERE session_id IN (SELECT id FROM sessions WHERE absolute_expires_at < $1)`,
			`DELETE FROM sessions WHERE absolute_expires_at < $1`,
		}, at(before))
		if err != nil {
			return err
		}
		_, err = c.exec(`DELETE FROM documents WHERE expires_at <= $1`, at(now))
		return err
	})
}
