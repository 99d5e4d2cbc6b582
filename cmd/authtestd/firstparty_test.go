package main_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The JSON dialect with curl alone, on the real clock: an access token of two
// seconds, a session of nine.
func TestCurlAloneDrivesTheFirstPartyDialect(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	p := run(t, "-profile", "firstparty", "-user", "alice:secret", "-access-ttl", "2s", "-idle", "60s", "-absolute", "9s")

	status, body := curl(t, p.url()+"/login", "--json", `{"username":"alice","password":"wrong"}`)
	assert.Equal(t, "401", status)
	assert.JSONEq(t, `{"error":"Invalid credentials"}`, body)
	status, body = curl(t, p.url()+"/refresh", "--json", `{}`)
	assert.Equal(t, "401", status)
	assert.JSONEq(t, `{"error":"No refresh token"}`, body)

	t.Run("expiry", func(t *testing.T) {
		t.Parallel()
		began := time.Now()
		pace := time.NewTicker(200 * time.Millisecond) // a process for each request is work enough
		defer pace.Stop()
		tokens := p.login(t)
		assert.EqualValues(t, 2, tokens.ExpiresIn)
		status, body := p.me(t, tokens)
		require.Equal(t, "200", status, body)
		for status == "200" {
			<-pace.C
			status, body = p.me(t, tokens)
		}
		assert.WithinRange(t, time.Now(), began.Add(2*time.Second), began.Add(5*time.Second))
		assert.Equal(t, "401", status)
		assert.JSONEq(t, `{"error":"Token expired"}`, body)

		// The expired token in the header does not matter, and no rotation moves
		// the hard end of the session.
		for refreshes := 0; ; refreshes++ {
			<-pace.C
			status, body = curl(t, p.url()+[]string{"/refresh", "/refresh-token"}[refreshes%2],
				"--json", `{"refreshToken":"`+tokens.RefreshToken+`"}`, "-H", "Authorization: Bearer "+tokens.AccessToken)
			if status != "200" {
				assert.Greater(t, refreshes, 2)
				break
			}
			retired := tokens.RefreshToken
			require.NoError(t, json.Unmarshal([]byte(body), &tokens))
			require.NotEqual(t, retired, tokens.RefreshToken)
		}
		assert.Equal(t, "403", status)
		assert.JSONEq(t, `{"message":"Session expired. Please log in again."}`, body)
		assert.WithinRange(t, time.Now(), began.Add(9*time.Second), began.Add(12*time.Second))
	})
	t.Run("reuse", func(t *testing.T) {
		t.Parallel()
		first := p.login(t)
		status, second := p.refresh(t, first.RefreshToken)
		require.Equal(t, "200", status)
		for _, dead := range []string{first.RefreshToken, second.RefreshToken} {
			status, body := curl(t, p.url()+"/refresh", "--json", `{"refreshToken":"`+dead+`"}`)
			assert.Equal(t, "401", status)
			assert.JSONEq(t, `{"error":"Invalid refresh token"}`, body)
		}
	})
	t.Run("logout", func(t *testing.T) {
		t.Parallel()
		tokens := p.login(t)
		for range 2 { // doing it again is no error
			status, body := curl(t, p.url()+"/logout", "--json", `{"refreshToken":"`+tokens.RefreshToken+`"}`)
			assert.Equal(t, "204", status)
			assert.Empty(t, body)
		}
		status, _ := p.refresh(t, tokens.RefreshToken)
		assert.Equal(t, "401", status)
		status, body := p.me(t, tokens)
		assert.Equal(t, "401", status)
		assert.JSONEq(t, `{"error":"Invalid token"}`, body)
	})
	t.Run("devices", func(t *testing.T) {
		t.Parallel()
		tokens := p.login(t)
		bearer := "Authorization: Bearer " + tokens.AccessToken
		status, body := curl(t, p.url()+"/sessions", "-H", bearer)
		assert.Equal(t, "200", status)
		var rows []struct {
			ID, Device string
			Current    bool
		}
		require.NoError(t, json.Unmarshal([]byte(body), &rows))
		for _, row := range rows {
			if row.Current {
				assert.Equal(t, "test", row.Device)
				status, _ = curl(t, p.url()+"/sessions/"+row.ID, "-X", "DELETE", "-H", bearer)
				assert.Equal(t, "204", status)
			}
		}
		status, _ = p.me(t, tokens)
		assert.Equal(t, "401", status)
	})
}

type tokens struct {
	AccessToken, RefreshToken string
	ExpiresIn                 int
}

func (p *program) login(t *testing.T) tokens {
	t.Helper()
	return login(t, p.url())
}

func login(t *testing.T, url string) (tk tokens) {
	t.Helper()
	status, body := curl(t, url+"/login", "--json", `{"username":"alice","password":"secret","device":"test"}`)
	require.Equal(t, "200", status, body)
	require.NoError(t, json.Unmarshal([]byte(body), &tk))
	return tk
}

func (p *program) refresh(t *testing.T, token string) (status string, tk tokens) {
	t.Helper()
	status, body := curl(t, p.url()+"/refresh", "--json", `{"refreshToken":"`+token+`"}`)
	if status == "200" {
		require.NoError(t, json.Unmarshal([]byte(body), &tk))
	}
	return status, tk
}

func (p *program) me(t *testing.T, tk tokens) (status, body string) {
	t.Helper()
	return curl(t, p.url()+"/api/me", "-H", "Authorization: Bearer "+tk.AccessToken)
}
