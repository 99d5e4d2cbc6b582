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

func opaqueServer(t *testing.T) bench {
	t.Helper()
	return start(t, "strict", func(c *testserver.Config) { c.Access = testserver.OpaqueAccess })
}

func TestAnOpaqueTokenIsGoodForWhatAJWTIsGoodFor(t *testing.T) {
	b := opaqueServer(t)
	access, refresh := b.do(formRequest(tokenPath, passwordForm("read"))).tokens()
	require.True(t, strings.HasPrefix(access, "at_"))
	assert.NotContains(t, access, ".")
	me := b.get("/api/me", access)
	require.Equal(t, http.StatusOK, me.Code)
	assert.Equal(t, "alice", me.field("sub"))
	assert.Equal(t, http.StatusOK, b.get("/api/scope/read", access).Code)
	assert.Equal(t, http.StatusForbidden, b.get("/api/scope/write", access).Code)
	next, _ := b.refresh(refresh).tokens()
	assert.Equal(t, http.StatusOK, b.get("/api/opaque", next).Code)
}

func TestEachFormHasAnAPIThatTakesNoOther(t *testing.T) {
	opaque, signed := opaqueServer(t), start(t, "strict", nil)
	for path, want := range map[string][2]int{
		"/api/opaque": {http.StatusOK, http.StatusUnauthorized},
		"/api/jwt":    {http.StatusUnauthorized, http.StatusOK},
	} {
		assert.Equal(t, want[0], opaque.get(path, opaque.login(t).Access).Code, path)
		assert.Equal(t, want[1], signed.get(path, signed.login(t).Access).Code, path)
	}
}

func TestAnOpaqueTokenDiesLikeAnyOther(t *testing.T) {
	b := opaqueServer(t)
	for name, end := range map[string]func(tokens testserver.Tokens){
		"its session": func(tok testserver.Tokens) { require.NoError(t, b.RevokeSession(tok.Session, "admin")) },
		"its jti":     func(tok testserver.Tokens) { require.NoError(t, b.RevokeAccessToken(tok.Access)) },
		"its time":    func(testserver.Tokens) { b.Advance(15 * time.Minute) },
		"its user":    func(testserver.Tokens) { require.NoError(t, b.RevokeUser("alice")) },
	} {
		tokens := b.login(t)
		require.Equal(t, http.StatusOK, b.get("/api/me", tokens.Access).Code, name)
		end(tokens)
		assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", tokens.Access).Code, name)
	}
}

func TestAnOpaqueTokenCannotBeForgedOrPassedOff(t *testing.T) {
	b, elsewhere := opaqueServer(t), opaqueServer(t)
	tokens := b.login(t)
	middle := len(tokens.Access) / 2
	flipped := tokens.Access[:middle] + string(tokens.Access[middle]^1) + tokens.Access[middle+1:]
	for _, token := range []string{
		"at_", "at_AAAA", "at_" + strings.Repeat("A", 200), tokens.Access + "A", flipped,
		strings.TrimPrefix(tokens.Access, "at_"), elsewhere.login(t).Access,
	} {
		assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", token).Code)
	}
	// Nor is one a refresh token, or the other way round.
	assert.Equal(t, testserver.Unknown, b.refresh(tokens.Access).outcome())
	assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", tokens.Refresh).Code)
	assert.Equal(t, http.StatusOK, b.get("/api/me", tokens.Access).Code)
}

func TestOneAccessTokenCanBeRevokedAlone(t *testing.T) {
	for name, b := range map[string]bench{"opaque": opaqueServer(t), "JWT": start(t, "strict", nil)} {
		tokens := b.login(t)
		require.NoError(t, b.RevokeAccessToken(tokens.Access), name)
		assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", tokens.Access).Code, name)
		access, _ := b.refresh(tokens.Refresh).tokens()
		assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code, name)
		assert.Error(t, b.RevokeAccessToken("garbage"), name)
	}
}
