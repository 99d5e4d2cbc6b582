package testserver

import (
	"context"
	"time"
)

// sqlDocuments are documents in a database.
type sqlDocuments struct{ store *sqlStore }

var _ documents = sqlDocuments{}

// put overwrites what has expired. Of any number of such statements at once,
// each waits for the one before and then sees its row.
func (d sqlDocuments) put(ctx context.Context, now time.Time, kind, id string, data []byte, expires time.Time) (bool, error) {
	n, err := d.store.on(ctx).exec(`INSERT INTO documents (kind, id, data, expires_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (kind, id) DO UPDATE SET data = excluded.data, expires_at = excluded.expires_at
		WHERE documents.expires_at <= $5`, kind, id, filled(data), at(expires), at(now))
	return n == 1, err
}

// filled is never nil, which would be NULL.
func filled(data []byte) []byte { return append([]byte{}, data...) }

func (d sqlDocuments) get(ctx context.Context, now time.Time, kind, id string) (data []byte, err error) {
	err = d.store.on(ctx).one(errNoDocument, []any{&data}, `SELECT data FROM documents
		WHERE kind = $1 AND id = $2 AND (expires_at IS NULL OR expires_at > $3)`, kind, id, at(now))
	return data, err
}

func (d sqlDocuments) take(ctx context.Context, now time.Time, kind, id string) (data []byte, err error) {
	err = d.store.on(ctx).one(errNoDocument, []any{&data}, `DELETE FROM documents
		WHERE kind = $1 AND id = $2 AND (expires_at IS NULL OR expires_at > $3) RETURNING data`, kind, id, at(now))
	return data, err
}

func (d sqlDocuments) update(ctx context.Context, now time.Time, kind, id string, fn func([]byte) ([]byte, error)) error {
	return d.store.inTx(ctx, func(c conn) error {
		var data []byte
		err := c.one(errNoDocument, []any{&data}, `UPDATE documents SET lock_seq = lock_seq + 1
			WHERE kind = $1 AND id = $2 AND (expires_at IS NULL OR expires_at > $3) RETURNING data`, kind, id, at(now))
		if err != nil {
			return err
		}
		if data, err = fn(data); err != nil {
			return err
		}
		return c.must(`UPDATE documents SET data = $1 WHERE kind = $2 AND id = $3`, filled(data), kind, id)
	})
}
