package testserver_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// A field that has no column would be lost at the next statement, and only
// where the server keeps its state in a database.
func TestEveryFieldOfASessionAndItsTokensHasAColumn(t *testing.T) {
	for name, row := range testserver.Rows() {
		assert.Equal(t, row.Fields, row.Columns, name)
		assert.Equal(t, row.Fields, row.Named, name)
	}
}
