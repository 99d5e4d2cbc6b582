package testserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

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

func TestAReplicaHearsOfATokenLate(t *testing.T) {
	b := start(t, "strict", nil)
	b.SetAccessLag(2 * time.Second)
	access := b.login(t).Access
	b.Advance(2*time.Second - 1)
	assert.Equal(t, testserver.AccessInvalid, b.get("/api/me", access).outcome())
	b.Advance(1)
	assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
}
