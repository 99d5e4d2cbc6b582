package authtest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// refresh posts a refresh token in the JSON dialect; the body is returned, and
// what the server calls the outcome.
func refresh(t *testing.T, srv *authtest.Server, token string) (status int, outcome, body string) {
	t.Helper()
	resp, err := srv.Client().Post(srv.URL()+"/refresh", "application/json",
		strings.NewReader(fmt.Sprintf(`{"refreshToken":%q}`, token)))
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header.Get("X-Authtest-Outcome"), string(data)
}

// call asks the API as the holder of an access token.
func call(t *testing.T, srv *authtest.Server, url, token string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := srv.Client().Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func TestASevenDaySessionPassesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{TokenDelay: 30 * time.Second})
		tokens := srv.Login("alice", "laptop")

		began := time.Now()
		status, outcome, _ := refresh(t, srv, tokens.RefreshToken)
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, "rotated", outcome)
		assert.Equal(t, 30*time.Second, time.Since(began))

		time.Sleep(7 * 24 * time.Hour)
		status, outcome, _ = refresh(t, srv, tokens.RefreshToken)
		assert.Equal(t, http.StatusForbidden, status)
		assert.Equal(t, "session_expired", outcome)
	})
}
