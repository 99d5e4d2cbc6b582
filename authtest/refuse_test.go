package authtest_test

import (
	"net/http"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

func TestAServerThatRefusesIsOneThatIsNotThere(t *testing.T) {
	for name, srv := range servers(t, authtest.Config{}) {
		t.Run(name, func(t *testing.T) {
			token := srv.Login("alice", "laptop").RefreshToken
			for range 2 {
				assert.Equal(t, http.StatusBadRequest, refreshSeen(srv, "rt_unknown").status)
				again := srv.Refuse()
				srv.Refuse() // it may be said twice
				for range 2 {
					assert.ErrorIs(t, refreshSeen(srv, token).err, syscall.ECONNREFUSED)
				}
				again()
				again()
			}
			assert.Equal(t, http.StatusOK, refreshSeen(srv, token).status)
			assert.Equal(t, 1, srv.Redemptions(token))
			srv.Refuse() // guards Close: it must not wait for a door that is shut
		})
	}
}
