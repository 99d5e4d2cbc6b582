package authtest_test

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// A server that is followed by another one over the same file: the session
// goes on. The program imports a driver, here modernc.org/sqlite.
func ExampleDatabase() {
	db, err := sql.Open("sqlite", "file:sessions.db?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	cfg := authtest.Config{Database: authtest.Database{DB: db, Dialect: authtest.SQLite}}

	first, err := authtest.NewServer(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	session := first.Login("alice", "laptop").SessionID
	first.Close()

	second, err := authtest.NewServer(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer second.Close()
	fmt.Println(second.Sessions("alice")[0].ID == session)
}

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
