package testserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func TestAClockThatIsWrongIsShownAndNotDecidedBy(t *testing.T) {
	b := start(t, "strict", nil)
	b.Skew(-time.Hour)
	tokens := b.login(t)
	claims := part(t, tokens.Access, 1)
	assert.EqualValues(t, b.Now().Add(-time.Hour).Unix(), claims["iat"])
	assert.EqualValues(t, b.Now().Add(-time.Hour+15*time.Minute).Unix(), claims["exp"], "expired on arrival, to who looks inside")
	assert.Equal(t, 15*time.Minute, tokens.ExpiresIn)

	got := b.get("/api/me", tokens.Access)
	assert.Equal(t, http.StatusOK, got.Code)
	assert.Equal(t, b.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), got.Header().Get("Date"))
	b.Advance(15 * time.Minute)
	assert.Equal(t, testserver.AccessExpired, b.get("/api/me", tokens.Access).outcome())
}

// The child is told again from its row, whatever the clock shows by then.
func TestARefreshTokenTellsItsTimesByTheClockThatWasShown(t *testing.T) {
	p, err := testserver.ProfileNamed("grace")
	require.NoError(t, err)
	p.RefreshFormat = testserver.JWT
	b := start(t, "grace", func(c *testserver.Config) { c.Profile = p })
	b.Skew(-time.Hour)
	token := b.login(t).Refresh
	_, child := b.refresh(token).tokens()
	for _, shown := range []string{token, child} {
		claims := part(t, shown, 1)
		assert.EqualValues(t, b.Now().Add(-time.Hour).Unix(), claims["iat"])
		assert.EqualValues(t, b.Now().Add(-time.Hour+7*24*time.Hour).Unix(), claims["exp"])
	}
	b.Skew(time.Hour)
	again := b.refresh(token)
	assert.Equal(t, testserver.ReplayedSame, again.outcome())
	_, same := again.tokens()
	assert.Equal(t, child, same)
	assert.Equal(t, testserver.Rotated, b.refresh(child).outcome())
}

func TestAReplicaHearsOfATokenLate(t *testing.T) {
	b := start(t, "strict", nil)
	b.SetAccessLag(2 * time.Second)
	access := b.login(t).Access
	b.Advance(2*time.Second - 1)
	assert.Equal(t, testserver.AccessInvalid, b.get("/api/me", access).outcome())
	b.Advance(1)
	assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
}
