package authtest_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// What works is tested where drivers are: in cmd/authtestd/internal/drivers.
func TestADatabaseThatMakesNoSenseIsRefused(t *testing.T) {
	for want, db := range map[string]authtest.Database{
		"authtest: Database has a Dialect and no DB": {Dialect: authtest.SQLite},
		"authtest: Database needs a Dialect":         {DB: new(sql.DB)},
	} {
		_, err := authtest.NewServer(authtest.Config{Database: db})
		assert.EqualError(t, err, want)
	}
}
