package acceptance_test

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// mode is what a server does with a refresh token that comes back in time.
type mode string

const (
	strict     mode = "strict"      // ends the session
	same       mode = "same"        // tells the same successor again
	fork       mode = "fork"        // mints a sibling, and both live
	replace    mode = "replace"     // mints another successor, and the first one dies
	accessOnly mode = "access only" // gives an access token and no refresh token
	reject     mode = "reject"      // refuses, and ends nothing
	held       mode = "held"        // it was never retired: there is no rotation
)

const always = time.Duration(math.MaxInt64)

// kind is a kind of server: what it is known to do, from which the expectations
// follow, and the settings with which its user makes a Provider.
type kind struct {
	name authtest.Profile
	mode mode
	// answers is how long a retired token is answered, and ends says that one
	// which comes back unanswered ends the session.
	answers time.Duration
	ends    bool
	// seen: the first use of the successor's access token, too, shows that the
	// answer has arrived, and the retired token is answered no more.
	seen bool
	// untold: an answer does not say how long its access token lives.
	untold bool

	// What its user would set.
	rotation tokensource.Rotation
	reasons  map[string]tokensource.Reason
	bearer   []string // token types that are presented as Bearer
	json     *client.JSONConfig
}

func answered(grace time.Duration) tokensource.Rotation {
	return tokensource.Rotation{Replay: tokensource.ReplayAnswered, Grace: grace}
}

func lastWins(grace time.Duration) tokensource.Rotation {
	return tokensource.Rotation{Replay: tokensource.ReplayLastWins, Grace: grace}
}

type reasons = map[string]tokensource.Reason

// kinds are all profiles of authtest. Where nothing is set a user would leave
// the zero value, too.
func kinds() []kind {
	return []kind{
		{name: authtest.Strict, mode: strict, ends: true},
		{name: authtest.Grace, mode: same, answers: 10 * time.Second, ends: true, rotation: answered(10 * time.Second)},
		{name: authtest.FAPI2, mode: same, answers: always, ends: true, rotation: answered(0)},
		{name: authtest.FirstParty, mode: strict, ends: true, json: &client.JSONConfig{}},
		{name: authtest.FirstPartyNoRotation, mode: held, untold: true, rotation: answered(0), json: &client.JSONConfig{}},
		{name: authtest.NonRotating, mode: held, rotation: answered(0)},

		// "Please retry" comes as invalid_request.
		{name: authtest.Hydra, mode: strict, ends: true, reasons: reasons{"invalid_request": tokensource.ReasonServer}},
		{name: authtest.HydraGrace, mode: fork, answers: time.Minute, ends: true, rotation: answered(time.Minute),
			reasons: reasons{"invalid_request": tokensource.ReasonServer}},
		// So does everything else at Dex.
		{name: authtest.Dex, mode: same, answers: 3 * time.Second, rotation: answered(3 * time.Second),
			reasons: reasons{"invalid_request": tokensource.ReasonRejected}},
		{name: authtest.Supabase, mode: same, answers: always, ends: true, rotation: answered(0), json: goTrue(), reasons: goTrueReasons()},
		{name: authtest.BetterAuth, mode: strict, ends: true},

		{name: authtest.Keycloak, mode: strict, ends: true},
		{name: authtest.Auth0, mode: fork, answers: 30 * time.Second, ends: true, rotation: answered(30 * time.Second)},
		{name: authtest.Okta, mode: fork, answers: 30 * time.Second, ends: true, rotation: answered(30 * time.Second)},
		{name: authtest.Cognito, mode: fork, answers: time.Minute, rotation: answered(time.Minute)},
		{name: authtest.Duende, mode: reject},
		{name: authtest.Spring, mode: reject},
		{name: authtest.MAS, mode: replace, answers: always, ends: true, seen: true, rotation: lastWins(0)},
		{name: authtest.WSO2, mode: replace, answers: 30 * time.Second, ends: true, rotation: lastWins(30 * time.Second)},
		// What comes back is no good answer: it has no refresh token. So its
		// user claims no grace.
		{name: authtest.FlowFuse, mode: accessOnly, answers: time.Minute},
		{name: authtest.GitHub, mode: reject, reasons: reasons{"bad_refresh_token": tokensource.ReasonRejected}},
		{name: authtest.Entra, mode: fork, answers: always, rotation: answered(0)},
		{name: authtest.Slack, mode: reject, bearer: []string{"bot"}, reasons: reasons{"invalid_refresh_token": tokensource.ReasonRejected}},
	}
}

// representatives has one kind per mode of rotation, for four processes.
func representatives() []authtest.Profile {
	return []authtest.Profile{authtest.Strict, authtest.Grace, authtest.Okta, authtest.WSO2, authtest.FlowFuse, authtest.Duende}
}

// goTrue is how Supabase speaks: the grant in the query, the rest in JSON.
func goTrue() *client.JSONConfig {
	return &client.JSONConfig{
		LoginPath: "/token?grant_type=password", RefreshPath: "/token?grant_type=refresh_token", NoLogout: true,
		Members: client.JSONMembers{
			Username: "email", RefreshToken: "refresh_token", AccessToken: "access_token",
			ExpiresIn: "expires_in", TokenType: "token_type",
		},
	}
}

func goTrueReasons() reasons {
	return reasons{
		"refresh_token_already_used": tokensource.ReasonReuse,
		"refresh_token_not_found":    tokensource.ReasonRejected,
		"session_expired":            tokensource.ReasonHardEnd,
		"user_banned":                tokensource.ReasonRejected,
	}
}

// provider makes the Provider that a user of that kind of server would.
func (k kind) provider(base string, transport *http.Transport, grace time.Duration) (*client.Provider, error) {
	rotation := k.rotation
	if grace > 0 && rotation.Grace > 0 {
		rotation.Grace = grace
	}
	if k.json != nil {
		cfg := *k.json
		cfg.BaseURL, cfg.Rotation, cfg.Reasons, cfg.Transport = base, rotation, k.reasons, transport
		return client.JSONProvider(cfg)
	}
	path := "/oauth/token"
	for _, p := range authtest.Profiles() {
		if p.Profile == k.name && p.TokenPath != "" {
			path = p.TokenPath
		}
	}
	return client.OAuthProvider(client.OAuthConfig{
		TokenURL: base + path, ClientID: "cli", Rotation: rotation, Reasons: k.reasons, BearerTypes: k.bearer, Transport: transport,
	})
}

func kindNamed(name authtest.Profile) kind {
	for _, k := range kinds() {
		if k.name == name {
			return k
		}
	}
	return kind{}
}

func TestEveryProfileIsInTheMatrix(t *testing.T) {
	listed := authtest.Profiles()
	require.Len(t, kinds(), len(listed))
	for i, k := range kinds() {
		require.Equal(t, listed[i].Profile, k.name)
	}
}
