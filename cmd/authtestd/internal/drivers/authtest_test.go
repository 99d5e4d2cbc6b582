package drivers_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

func TestServersOfAuthtestShareADatabase(t *testing.T) {
	dialects := map[string]authtest.Dialect{"sqlite": authtest.SQLite, "postgres": authtest.PostgreSQL}
	for kind, dialect := range dialects {
		t.Run(kind, func(t *testing.T) {
			p := fresh(t, kind)
			db, _ := p.open(t)
			cfg := authtest.Config{Profile: authtest.Grace, Database: authtest.Database{DB: db, Dialect: dialect}}
			one, two := authtest.NewWith(t, cfg), authtest.NewWith(t, cfg)
			tokens := one.Login("alice", "laptop")
			res, err := two.Client().PostForm(two.URL()+"/oauth/token", refreshForm(tokens.RefreshToken))
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, http.StatusOK, res.StatusCode)
			two.RevokeSession(tokens.SessionID, "admin")
			assert.Equal(t, "admin", one.Sessions("alice")[0].Ended)
		})
	}
	_, err := authtest.NewServer(authtest.Config{Database: authtest.Database{DB: closed(t), Dialect: authtest.SQLite}})
	assert.ErrorContains(t, err, "authtest: testserver: making the tables:")
}
