package authtest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

func TestEveryProfileRunsUnderTheNameOfItsConstant(t *testing.T) {
	constants := []authtest.Profile{
		authtest.Strict, authtest.Grace, authtest.FAPI2, authtest.FirstParty, authtest.FirstPartyNoRotation, authtest.NonRotating,
		authtest.Hydra, authtest.HydraGrace, authtest.Dex, authtest.Supabase, authtest.BetterAuth,
		authtest.Keycloak, authtest.Auth0, authtest.Okta, authtest.Cognito, authtest.Duende, authtest.Spring, authtest.MAS,
		authtest.WSO2, authtest.FlowFuse, authtest.GitHub, authtest.Entra, authtest.Slack,
	}
	var listed []authtest.Profile
	for _, p := range authtest.Profiles() {
		listed = append(listed, p.Profile)
		srv := authtest.NewPipe(t, authtest.Config{Profile: p.Profile})
		status, _, _ := refresh(t, srv, srv.Login("alice", "laptop").RefreshToken)
		assert.Equal(t, http.StatusOK, status, p.Profile)
	}
	assert.Equal(t, constants, listed)
}

func TestTheProfileCanBeSwitched(t *testing.T) {
	srv := authtest.NewPipe(t, authtest.Config{})
	spent := srv.Login("alice", "laptop").RefreshToken
	_, outcome, _ := refresh(t, srv, spent)
	require.Equal(t, "rotated", outcome)
	for profile, want := range map[authtest.Profile]string{
		authtest.Duende: "replay_refused", authtest.Okta: "forked", authtest.MAS: "replaced",
	} {
		srv.SetProfile(profile)
		_, outcome, _ = refresh(t, srv, spent)
		assert.Equal(t, want, outcome)
	}
}

func TestGraceNeedsAProfileThatAnswersRetiredTokens(t *testing.T) {
	for profile, good := range map[authtest.Profile]bool{
		authtest.Okta: true, authtest.WSO2: true, authtest.Dex: true, authtest.Strict: false, authtest.Duende: false,
	} {
		srv, err := authtest.NewServer(authtest.Config{Profile: profile, Grace: time.Second})
		if good {
			require.NoError(t, err)
			srv.Close()
		} else {
			assert.ErrorContains(t, err, "Grace needs")
		}
	}
}

func ExampleProfiles() {
	for _, p := range authtest.Profiles() {
		if p.Profile == authtest.Keycloak {
			fmt.Println(p.TokenPath)
		}
	}
	// Output: /realms/test/protocol/openid-connect/token
}

// GitHub tells errors with status 200: only the body says that the token is
// spent.
func ExampleConfig_profile() {
	srv, err := authtest.NewServer(authtest.Config{Profile: authtest.GitHub})
	if err != nil {
		panic(err)
	}
	defer srv.Close()
	spent := srv.Login("alice", "laptop").RefreshToken
	for range 2 {
		resp, err := srv.Client().PostForm(srv.URL()+"/login/oauth/access_token", url.Values{
			"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {spent},
		})
		if err != nil {
			panic(err)
		}
		fmt.Println(resp.StatusCode, resp.Header.Get("X-Authtest-Outcome"))
		_ = resp.Body.Close()
	}
	// Output:
	// 200 rotated
	// 200 replay_refused
}
