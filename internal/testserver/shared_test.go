package testserver_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// Two processes over one store are one server to a proof, a nonce, an assertion
// and an opaque token: all that they need to know of each other is in it.
func TestASecondServerOverTheStoreKnowsWhatTheFirstHasSeen(t *testing.T) {
	store, h := testserver.MemoryStore(), newHolder(t)
	open := func() bench {
		return start(t, "strict", func(c *testserver.Config) {
			c.Store, c.Access, c.DPoPNonces = store, testserver.OpaqueAccess, testserver.SingleUseNonces
			c.Clients = append(c.Clients, testserver.Client{ID: "signer", JWKS: h.jwks()})
		})
	}
	one, two := open(), open()

	_, nonce := nonced(t, one, h, "")
	got, next := nonced(t, two, h, nonce)
	require.Equal(t, http.StatusOK, got.Code, "the other's nonce is good")
	again, _ := nonced(t, one, h, nonce)
	assert.Equal(t, testserver.NonceNeeded, again.outcome(), "and spent for both")

	r := h.proven(t, formRequest(tokenPath, passwordForm("")), one.Now(), setClaim("nonce", next), setClaim("jti", "one"))
	require.Equal(t, http.StatusOK, one.do(r).Code)
	fresh := two.do(h.proven(t, formRequest(tokenPath, passwordForm("")), two.Now())).Header().Get("DPoP-Nonce")
	r = h.proven(t, formRequest(tokenPath, passwordForm("")), two.Now(), setClaim("nonce", fresh), setClaim("jti", "one"))
	assert.Equal(t, testserver.ProofInvalid, two.do(r).outcome())

	assertion := h.assertion(t, "signer", one.Now())
	require.Equal(t, http.StatusOK, one.do(formRequest(tokenPath, assertionForm(assertion))).Code)
	assert.Equal(t, testserver.ClientRefused, two.do(formRequest(tokenPath, assertionForm(assertion))).outcome())

	assert.Equal(t, http.StatusOK, two.get("/api/opaque", one.login(t).Access).Code)
}
