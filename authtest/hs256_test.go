package authtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// A first-party API checks access tokens under a secret that it shares with the
// server. A test of it takes the secret from the server, or gives it one.
func ExampleServer_AccessSecret() {
	srv, err := authtest.NewServer(authtest.Config{
		SigningAlgorithm: authtest.HS256,
		AccessSecret:     []byte("the secret of the API that is under test"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	secret := func(*jwt.Token) (any, error) { return srv.AccessSecret(), nil }
	access := srv.Login("alice", "laptop").AccessToken
	token, err := jwt.Parse(access, secret, jwt.WithValidMethods([]string{"HS256"}))
	fmt.Println(token.Claims.(jwt.MapClaims)["sub"], err)

	srv.ReplaceKeys()
	_, err = jwt.Parse(access, secret, jwt.WithValidMethods([]string{"HS256"}))
	fmt.Println(err)
	// Output:
	// alice <nil>
	// token signature is invalid: signature is invalid
}

func TestTheSecretOfAccessTokensOpensNothingElse(t *testing.T) {
	srv := authtest.NewWith(t, authtest.Config{SigningAlgorithm: authtest.HS256, Profile: authtest.FirstParty})
	tokens := srv.Login("alice", "laptop")
	require.Len(t, srv.AccessSecret(), 32)
	assert.Equal(t, http.StatusOK, call(t, srv, srv.URL()+"/api/me", tokens.AccessToken).StatusCode)
	assert.Equal(t, http.StatusUnauthorized, call(t, srv, srv.URL()+"/api/me", tokens.RefreshToken).StatusCode)

	claims := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(tokens.RefreshToken, claims)
	require.NoError(t, err)
	forged := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	forged.Header["typ"] = "refresh+jwt"
	text, err := forged.SignedString(srv.AccessSecret())
	require.NoError(t, err)
	status, _, body := refresh(t, srv, text)
	assert.Equal(t, http.StatusUnauthorized, status, body)
	assert.Equal(t, http.StatusOK, func() int { s, _, _ := refresh(t, srv, tokens.RefreshToken); return s }())

	srv.RotateKeys()
	assert.Equal(t, http.StatusOK, call(t, srv, srv.URL()+"/api/me", tokens.AccessToken).StatusCode, "signed before")
	srv.ReplaceKeys()
	assert.Equal(t, http.StatusUnauthorized, call(t, srv, srv.URL()+"/api/me", tokens.AccessToken).StatusCode)
	assert.Nil(t, authtest.New(t).AccessSecret())

	tb := &fakeTB{}
	authtest.NewWith(tb, authtest.Config{AccessSecret: []byte("short")})
	require.Len(t, tb.fatals, 1)
	assert.False(t, strings.Contains(tb.fatals[0], "short"), "an error shows no secret")
}
