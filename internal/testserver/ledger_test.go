package testserver_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

func TestAGoodClientBreaksNoRule(t *testing.T) {
	for _, profile := range profiles() {
		b := start(t, profile, nil)
		tokens := b.login(t)
		access, refresh := tokens.Access, tokens.Refresh
		for range 5 {
			b.Advance(15 * time.Minute)
			require.Equal(t, http.StatusUnauthorized, b.get("/api/me", access).Code)
			access, refresh = b.refresh(refresh).tokens()
			require.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
		}
		assert.Empty(t, b.rules())
		assert.Equal(t, 1, b.MaxRedemptions())
		assert.Equal(t, testserver.Stats{RefreshRequests: 5, Rotations: 5, APIRequests: 10, APIUnauthorized: 5}, b.Stats())
	}
}

func TestARetiredTokenThatComesBackIsAViolation(t *testing.T) {
	for _, profile := range []string{"strict", "grace"} {
		b := start(t, profile, nil)
		tokens := b.login(t)
		b.refresh(tokens.Refresh)
		b.refresh(tokens.Refresh)
		require.Len(t, b.Violations(), 1)
		v := b.Violations()[0]
		assert.Equal(t, testserver.RefreshReused, v.Rule)
		assert.Equal(t, tokens.Session, v.Session)
		assert.Equal(t, b.Now(), v.Time)
	}
}

func TestTwoRefreshesOfASessionAtOnceAreAViolation(t *testing.T) {
	b := start(t, "grace", nil)
	token := b.login(t).Refresh
	gate := b.Gate(testserver.Refresh, testserver.BeforeCommit)
	done := make(chan answer)
	for range 2 {
		go func() { done <- b.refresh(token) }()
	}
	require.NoError(t, gate.Wait(t.Context(), 2))
	gate.ReleaseAll()
	<-done
	<-done
	assert.Contains(t, b.rules(), testserver.RefreshOverlap)
}

func TestARefreshWhoseClientHasLeftIsNoOverlap(t *testing.T) {
	b := start(t, "grace", nil)
	token := b.login(t).Refresh
	gate := b.Gate(testserver.Refresh, testserver.BeforeCommit)
	ctx, cancel := context.WithCancel(t.Context())
	abandoned, patient := make(chan answer, 1), make(chan answer, 1)
	go func() { abandoned <- b.refreshAs(ctx, token) }()
	require.NoError(t, gate.Wait(t.Context(), 1))
	cancel()
	go func() { patient <- b.refresh(token) }()
	require.NoError(t, gate.Wait(t.Context(), 2))
	gate.ReleaseAll()
	<-abandoned
	<-patient
	assert.Empty(t, b.rules())
}

// hangUp is a client that leaves as its answer begins.
type hangUp struct {
	http.ResponseWriter
	leave context.CancelFunc
}

func (h hangUp) WriteHeader(status int) {
	h.leave()
	h.ResponseWriter.WriteHeader(status)
}

// A client may use a connection for one request alone and close it at once.
func TestAClientThatHangsUpWithItsAnswerHasWaitedForIt(t *testing.T) {
	b := start(t, "grace", nil)
	token := b.login(t).Refresh
	gate := b.Gate(testserver.Refresh, testserver.BeforeCommit)
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan struct{}), make(chan answer, 1)
	go func() {
		defer close(first)
		b.Handler().ServeHTTP(hangUp{httptest.NewRecorder(), cancel}, oauth().request(token).WithContext(ctx))
	}()
	require.NoError(t, gate.Wait(t.Context(), 1))
	go func() { second <- b.refresh(token) }()
	require.NoError(t, gate.Wait(t.Context(), 2))
	gate.ReleaseOne()
	<-first
	gate.ReleaseAll()
	<-second
	assert.Equal(t, []string{testserver.RefreshOverlap, testserver.RefreshReused}, b.rules())
}

func TestATokenRefusedMayBeTestedAgainNowAndThen(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	b.RevokeSession(tokens.Session, "admin")
	b.refresh(tokens.Refresh)
	b.Advance(5 * time.Second)
	b.refresh(tokens.Refresh)
	b.Advance(time.Hour)
	b.refresh(tokens.Refresh)
	assert.Empty(t, b.rules())
	b.Advance(time.Hour)
	b.refresh(tokens.Refresh)
	assert.Equal(t, []string{testserver.RefreshAfterEnd}, b.rules(), "once too often")
}

func TestATokenRefusedAMomentAgoIsAViolation(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	b.RevokeSession(tokens.Session, "admin")
	b.refresh(tokens.Refresh)
	b.Advance(5*time.Second - 1)
	b.refresh(tokens.Refresh)
	assert.Equal(t, []string{testserver.RefreshAfterEnd}, b.rules())
}

func TestARefusalThatNobodyHeardIsNone(t *testing.T) {
	b := start(t, "strict", nil)
	tokens := b.login(t)
	b.RevokeSession(tokens.Session, "admin")
	b.fault(t, testserver.Fault{On: testserver.Refresh, At: testserver.AfterCommit, Answer: &testserver.Answer{Status: 503}})
	b.refresh(tokens.Refresh)
	b.refresh(tokens.Refresh)
	assert.Empty(t, b.rules())
}

func TestATokenOutOfPlaceIsAViolation(t *testing.T) {
	b := start(t, "strict", nil)
	keyed := oauth().request(b.login(t).Refresh)
	keyed.Header.Set("Idempotency-Key", "1")
	token := b.login(t).Refresh
	inURL := formRequest("/oauth/token?refresh_token="+token, refreshForm(token))
	for rule, r := range map[string]*http.Request{testserver.RefreshKeyed: keyed, testserver.RefreshInURL: inURL} {
		before := len(b.rules())
		b.do(r)
		assert.Equal(t, []string{rule}, b.rules()[before:])
	}
	before := len(b.rules())
	b.get("/api/me", token)
	assert.Equal(t, []string{testserver.RefreshMisplaced}, b.rules()[before:])
}

func TestNoTokenIsLoggedOrPrinted(t *testing.T) {
	for _, profile := range profiles() {
		var log bytes.Buffer
		b := start(t, profile, func(c *testserver.Config) {
			c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		tokens := b.login(t)
		secrets := []string{tokens.Access, tokens.Refresh, "hunter2", serviceSecret}
		got := b.refresh(tokens.Refresh)
		access, refresh := got.tokens()
		secrets = append(secrets, access, refresh)
		b.refresh(tokens.Refresh)
		b.get("/api/me?access_token="+access, access)
		b.do(loginRequest("bob", "hunter2", ""))
		require.Contains(t, log.String(), "outcome=rotated")

		printed := log.String() + fmt.Sprintf("%v %+v %v %+v", b.Server, b.Server, b.Violations(), b.sessions(t, "alice"))
		for _, secret := range secrets {
			assert.NotContains(t, printed, secret)
		}
	}
}
