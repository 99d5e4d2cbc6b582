package testserver_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onlyFor asserts that a code is redeemed with a proof of h and nothing else.
func (b bench) onlyFor(t *testing.T, h holder, code string) {
	t.Helper()
	a := b.redeem(code, nil)
	assert.Equal(t, "invalid_dpop_proof", a.field("error"), "without a proof")
	a = b.do(newHolder(t).proven(t, formRequest(tokenPath, codeForm(code, nil)), b.Now()))
	assert.Equal(t, "invalid_dpop_proof", a.field("error"), "with another key")
	a = b.do(h.proven(t, formRequest(tokenPath, codeForm(code, nil)), b.Now()))
	require.Equal(t, http.StatusOK, a.Code, "and it was not spent: %s", a.Body)
	assert.Equal(t, "DPoP", a.field("token_type"))
}

func TestACodeIsBoundToTheKeyThatTheRequestNames(t *testing.T) {
	b, h := start(t, "strict", nil), newHolder(t)
	b.onlyFor(t, h, b.code(t, setting("dpop_jkt", h.thumbprint())))
	_, params := b.authorize(authRequest(setting("dpop_jkt", "short"))).redirect(t)
	assert.Equal(t, "invalid_request", params.Get("error"))
}

func TestACodeIsBoundToTheKeyThatThePushedRequestProves(t *testing.T) {
	b, h := start(t, "strict", approving), newHolder(t)
	a := b.do(h.proven(t, formRequest("/oauth/par", authRequest(nil)), b.Now()))
	require.Equal(t, http.StatusCreated, a.Code, a.Body)
	_, params := b.authorize(url.Values{"client_id": {"cli"}, "request_uri": {a.field("request_uri").(string)}}).redirect(t)
	b.onlyFor(t, h, params.Get("code"))

	a = b.do(h.proven(t, formRequest("/oauth/par", authRequest(setting("dpop_jkt", newHolder(t).thumbprint()))), b.Now()))
	assert.Equal(t, http.StatusBadRequest, a.Code, "RFC 9449 10.1: the two must agree")
}
