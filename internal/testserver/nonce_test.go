package testserver_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func withNonces(mode testserver.NonceMode) func(*testserver.Config) {
	return func(c *testserver.Config) { c.DPoPNonces = mode }
}

// nonced sends a proof with a nonce, and returns the one to use next.
func nonced(t *testing.T, b bench, h holder, nonce string) (answer, string) {
	t.Helper()
	var changes []change
	if nonce != "" {
		changes = append(changes, setClaim("nonce", nonce))
	}
	got := b.do(h.proven(t, formRequest(tokenPath, passwordForm("")), b.Now(), changes...))
	require.Len(t, got.Header().Values("DPoP-Nonce"), 1, "RFC 9449 8.2: exactly one")
	return got, got.Header().Get("DPoP-Nonce")
}

func TestAProofWithoutANonceIsToldWhichToUse(t *testing.T) {
	for name, mode := range map[string]testserver.NonceMode{
		"timed": testserver.TimedNonces, "single use": testserver.SingleUseNonces,
	} {
		t.Run(name, func(t *testing.T) {
			b, h := start(t, "strict", withNonces(mode)), newHolder(t)
			got, nonce := nonced(t, b, h, "")
			assert.Equal(t, http.StatusBadRequest, got.Code)
			assert.Equal(t, "use_dpop_nonce", got.field("error"))
			assert.Equal(t, testserver.NonceNeeded, got.outcome())
			got, _ = nonced(t, b, h, nonce)
			assert.Equal(t, http.StatusOK, got.Code, got.Body)
		})
	}
}

func TestTheAPIAsksForANonceOfItsOwn(t *testing.T) {
	b, h := start(t, "strict", withNonces(testserver.TimedNonces)), newHolder(t)
	_, nonce := nonced(t, b, h, "")
	got, nonce := nonced(t, b, h, nonce)
	access, _ := got.tokens()
	api := func(changes ...change) answer {
		return b.do(h.shown(t, request(http.MethodGet, "/api/dpop", "", ""), access, b.Now(), changes...))
	}
	for _, changes := range [][]change{nil, {setClaim("nonce", nonce)}} { // RFC 9449 9: that one is another server's
		got := api(changes...)
		assert.Equal(t, http.StatusUnauthorized, got.Code)
		assert.Contains(t, got.Header().Get("WWW-Authenticate"), `DPoP realm="authtest"`)
		assert.Contains(t, got.Header().Get("WWW-Authenticate"), `error="use_dpop_nonce"`)
		assert.Equal(t, http.StatusOK, api(setClaim("nonce", got.Header().Get("DPoP-Nonce"))).Code)
	}
}

func TestATimedNonceIsGoodForThisPeriodAndTheNext(t *testing.T) {
	b, h := start(t, "strict", func(c *testserver.Config) {
		c.DPoPNonces, c.DPoPNoncePeriod = testserver.TimedNonces, time.Minute
	}), newHolder(t)
	_, first := nonced(t, b, h, "")
	got, same := nonced(t, b, h, first)
	require.Equal(t, http.StatusOK, got.Code)
	assert.Equal(t, first, same, "the same within a period")

	b.Advance(time.Minute)
	got, second := nonced(t, b, h, first)
	assert.Equal(t, http.StatusOK, got.Code, "the one before is still good")
	assert.NotEqual(t, first, second, "RFC 9449 8.2: and the answer has the next")

	b.Advance(time.Minute)
	got, _ = nonced(t, b, h, first)
	assert.Equal(t, "use_dpop_nonce", got.field("error"))
	got, _ = nonced(t, b, h, second)
	assert.Equal(t, http.StatusOK, got.Code)
}

func TestANonceOfSingleUseChangesWithEveryAnswer(t *testing.T) {
	b, h := start(t, "strict", withNonces(testserver.SingleUseNonces)), newHolder(t)
	_, nonce := nonced(t, b, h, "")
	for range 3 {
		got, next := nonced(t, b, h, nonce)
		require.Equal(t, http.StatusOK, got.Code)
		assert.NotEqual(t, nonce, next)
		again, _ := nonced(t, b, h, nonce)
		assert.Equal(t, "use_dpop_nonce", again.field("error"))
		nonce = next
	}
}

func TestANonceThatWasNotMadeHereIsNone(t *testing.T) {
	b, h := start(t, "strict", withNonces(testserver.TimedNonces)), newHolder(t)
	elsewhere := start(t, "strict", withNonces(testserver.TimedNonces))
	_, foreign := nonced(t, elsewhere, h, "")
	for _, nonce := range []string{foreign, "nonce", strings.Repeat("A", 43), foreign[:len(foreign)-1]} {
		got, _ := nonced(t, b, h, nonce)
		assert.Equal(t, "use_dpop_nonce", got.field("error"), nonce)
	}
}

// RFC 9449 8: with a nonce it is the server that says how fresh a proof is.
func TestANonceExcusesAClockThatIsWrong(t *testing.T) {
	b, h := start(t, "strict", withNonces(testserver.TimedNonces)), newHolder(t)
	_, nonce := nonced(t, b, h, "")
	for _, skew := range []time.Duration{-time.Hour, time.Hour} {
		r := h.proven(t, formRequest(tokenPath, passwordForm("")), b.Now(),
			setClaim("nonce", nonce), setClaim("iat", b.Now().Add(skew).Unix()))
		assert.Equal(t, http.StatusOK, b.do(r).Code, skew)
	}
}

func TestARefreshThatIsAskedForANonceHasSpentNothing(t *testing.T) {
	b, h := start(t, "strict", withNonces(testserver.SingleUseNonces)), newHolder(t)
	_, nonce := nonced(t, b, h, "")
	got, _ := nonced(t, b, h, nonce)
	_, refresh := got.tokens()
	got = b.do(h.proven(t, oauth().request(refresh), b.Now()))
	require.Equal(t, testserver.NonceNeeded, got.outcome())
	got = b.do(h.proven(t, oauth().request(refresh), b.Now(), setClaim("nonce", got.Header().Get("DPoP-Nonce"))))
	assert.Equal(t, testserver.Rotated, got.outcome())
}
