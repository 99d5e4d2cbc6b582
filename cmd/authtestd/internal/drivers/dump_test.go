package drivers_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// dumped is all that a table holds, as text.
func dumped(tb testing.TB, db *sql.DB, table string) string {
	tb.Helper()
	rows, err := db.Query("SELECT * FROM " + table)
	require.NoError(tb, err)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	require.NoError(tb, err)
	var out strings.Builder
	for rows.Next() {
		values, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		require.NoError(tb, rows.Scan(dest...))
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			fmt.Fprintln(&out, v)
		}
	}
	require.NoError(tb, rows.Err())
	return out.String()
}
