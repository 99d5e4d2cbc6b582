package testserver

import (
	"errors"
	"fmt"
)

// sessionRow lists the columns of a session, both to scan and as arguments.
func sessionRow(s *session) []any {
	return []any{
		&s.id, optional{&s.user}, &s.client, &s.issuer, &s.scope, &s.deviceID, &s.device, &s.userAgent, &s.ip,
		&s.jkt, &s.x5t, &s.acr, millis{&s.authTime}, &s.version, millis{&s.created}, millis{&s.absolute},
		millis{&s.lastUsed}, millis{&s.idleExpires}, &s.refreshes, &s.branches, millis{&s.endedAt}, &s.ended,
	}
}

func refreshRow(r *refreshToken) []any {
	r.kept = true
	return []any{
		&r.hash, &r.session, &r.generation, &r.branch, &r.nonce, &r.parent, &r.child, (*int64)(&r.status),
		millis{&r.issued}, millis{&r.expires}, (*int64)(&r.skew), millis{&r.used}, &r.uses, &r.accessJTI,
	}
}

func accessRow(a *accessToken) []any {
	a.kept = true
	return []any{
		&a.jti, &a.session, &a.scope, &a.generation,
		millis{&a.issued}, millis{&a.expires}, millis{&a.used}, millis{&a.revoked},
	}
}

// sqlRows are the tokens of one session in a database.
type sqlRows struct {
	conn
	session string
}

var _ rows = sqlRows{}

func (r sqlRows) refreshToken(hash digest) (t refreshToken, err error) {
	err = r.one(errNoToken, refreshRow(&t),
		`SELECT `+refreshColumns+` FROM refresh_tokens WHERE hash = $1 AND session_id = $2`, hash, r.session)
	return t, err
}

func (r sqlRows) accessToken(jti string) (t accessToken, err error) {
	err = r.one(errNoToken, accessRow(&t),
		`SELECT `+accessColumns+` FROM access_tokens WHERE jti = $1 AND session_id = $2`, jti, r.session)
	return t, err
}

func (r sqlRows) children(parent digest) ([]refreshToken, error) {
	return list(r.conn, refreshRow, `SELECT `+refreshColumns+` FROM refresh_tokens
		WHERE parent_hash = $1 AND session_id = $2 ORDER BY issued_at, generation, branch`, parent, r.session)
}

func (r sqlRows) family() ([]refreshToken, error) {
	return list(r.conn, refreshRow, `SELECT `+refreshColumns+` FROM refresh_tokens
		WHERE session_id = $1 ORDER BY issued_at, generation, branch`, r.session)
}

// errLost says that a row was not there to be changed: somebody else wrote to
// the database, without the session's lock.
var errLost = errors.New("testserver: a row that was read under the lock is gone")

// write puts what was written to t into the database; the session itself is
// there already.
func (c conn) write(t *tx) error {
	id := t.session.id
	if !t.retire.IsZero() {
		if _, err := c.exec(`UPDATE access_tokens SET revoked_at = $1 WHERE session_id = $2 AND revoked_at IS NULL`,
			at(t.retire), id); err != nil {
			return err
		}
	}
	if !t.expired.IsZero() {
		if _, err := c.exec(`DELETE FROM access_tokens WHERE session_id = $1 AND expires_at < $2`,
			id, at(t.expired)); err != nil {
			return err
		}
	}
	for i := range t.refresh {
		if err := c.writeRefresh(&t.refresh[i]); err != nil {
			return err
		}
	}
	for i := range t.access {
		if err := c.writeAccess(&t.access[i]); err != nil {
			return err
		}
	}
	if !t.ending {
		return nil
	}
	_, err := c.exec(`UPDATE refresh_tokens SET status = 2 WHERE session_id = $1 AND status = 0`, id)
	return err
}

func (c conn) writeRefresh(r *refreshToken) error {
	if !r.kept {
		return c.insert("refresh_tokens", refreshColumns, refreshRow(r))
	}
	return c.must(`UPDATE refresh_tokens SET status = $1, expires_at = $2, used_at = $3, use_count = $4,
		child_hash = $5, access_jti = $6 WHERE hash = $7`,
		int64(r.status), at(r.expires), at(r.used), r.uses, r.child, r.accessJTI, r.hash)
}

func (c conn) writeAccess(a *accessToken) error {
	if !a.kept {
		return c.insert("access_tokens", accessColumns, accessRow(a))
	}
	_, err := c.exec(`UPDATE access_tokens SET first_used_at = $1, revoked_at = $2 WHERE jti = $3`,
		at(a.used), at(a.revoked), a.jti) // one that has expired meanwhile was just forgotten
	return err
}

func (c conn) writeSession(s *session) error {
	return c.must(`UPDATE sessions SET scope = $1, dpop_jkt = $2, mtls_x5t = $3, acr = $4, auth_time = $5,
		device_name = $6, user_agent = $7, ip = $8, last_used_at = $9, idle_expires_at = $10,
		refresh_count = $11, branches = $12, revoked_at = $13, revoke_reason = $14 WHERE id = $15`,
		s.scope, s.jkt, s.x5t, s.acr, at(s.authTime), s.device, s.userAgent, s.ip, at(s.lastUsed),
		at(s.idleExpires), s.refreshes, s.branches, at(s.endedAt), s.ended, s.id)
}

// must is exec of a statement that has to change one row.
func (c conn) must(query string, args ...any) error {
	n, err := c.exec(query, args...)
	if err == nil && n != 1 {
		err = errLost
	}
	return err
}

// insert takes the values as they are scanned: pointers and Valuers.
func (c conn) insert(table, columns string, row []any) error {
	marks := make([]byte, 0, 4*len(row))
	for i := range row {
		marks = fmt.Appendf(marks, ", $%d", i+1)
	}
	_, err := c.exec(`INSERT INTO `+table+` (`+columns+`) VALUES (`+string(marks[2:])+`)`, row...)
	return err
}
