package drivers_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/cmd/authtestd/internal/drivers"
	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func TestADatabaseIsNamedByItsKindFirst(t *testing.T) {
	for name, want := range map[string]testserver.SQLDialect{
		"sqlite:/nowhere/x.db":         testserver.SQLite,
		"postgres:host=/nowhere":       testserver.PostgreSQL,
		"postgres://u:pw@localhost/db": testserver.PostgreSQL,
		"postgresql://localhost/db":    testserver.PostgreSQL,
	} {
		db, dialect, err := drivers.Open(name)
		require.NoError(t, err, name)
		assert.Equal(t, want, dialect, name)
		assert.NoError(t, db.Close())
	}
	for _, name := range []string{"", "sqlite:", "mysql:x", "x.db"} {
		_, _, err := drivers.Open(name)
		assert.EqualError(t, err, "drivers: want sqlite:FILE or postgres:DSN")
	}
	_, _, err := drivers.Open("postgres://u:hunter2@localhost:port/db")
	assert.EqualError(t, err, "drivers: the connection string of PostgreSQL cannot be read")
}
