package authtest

import "github.com/seed-9a12f4e2/pawl/internal/testserver"

// Profile names a kind of server: what becomes of a refresh token that comes
// back, and how the token endpoint words its answers. [Profiles] says where
// each is known from. Those named after products imitate what matters to a
// client that refreshes; they are no certified emulations.
type Profile string

// The profiles. The zero Profile is Strict.
const (
	// Strict ends the session when a retired refresh token comes back.
	Strict Profile = "strict"
	// Grace answers the parent of the live refresh token with that same live
	// token for 10 s, unless the live one was used.
	Grace Profile = "grace"
	// FAPI2 does so however long it takes, until the live one was used.
	FAPI2 Profile = "fapi2"
	// FirstParty is Strict with refresh tokens in JWT form, for clients of the
	// JSON dialect.
	FirstParty Profile = "firstparty"
	// FirstPartyNoRotation answers a refresh with {"accessToken"} alone.
	FirstPartyNoRotation Profile = "firstparty-no-rotation"
	// NonRotating answers a refresh without a refresh token.
	NonRotating Profile = "non-rotating"

	Hydra      Profile = "hydra"       // strict; old access tokens die; a race's loser is told to retry
	HydraGrace Profile = "hydra-grace" // siblings for 60 s
	Dex        Profile = "dex"         // the same child for 3 s; invalid_request for dead tokens
	Supabase   Profile = "supabase"    // the same child for ever; JSON at /token?grant_type=
	BetterAuth Profile = "better-auth" // reuse ends all sessions of user and client

	Keycloak Profile = "keycloak"   // strict; JWT refresh tokens, refresh_expires_in
	Auth0    Profile = "auth0"      // siblings for 30 s; 403 for dead tokens
	Okta     Profile = "okta"       // siblings for 30 s
	Cognito  Profile = "cognito"    // siblings for 60 s
	Duende   Profile = "duende"     // refuses, ends nothing
	Spring   Profile = "spring"     // both of a race get tokens, one of them duds
	MAS      Profile = "mas"        // another child until one is used
	WSO2     Profile = "wso2"       // another child for 30 s
	FlowFuse Profile = "flowfuse"   // an access token alone
	GitHub   Profile = "github"     // errors with status 200, form-encoded
	Entra    Profile = "entra-like" // old refresh tokens stay good
	Slack    Profile = "slack"      // 200 {"ok":false,"error"}
)

// ProfileInfo tells what a profile stands for.
type ProfileInfo struct {
	Profile     Profile // for Config
	About       string  // what it does, and where that is known from
	Approximate bool    // documentation, source or reports stand behind it, no recording
	TokenPath   string  // where its token endpoint is, besides /oauth/token; empty: nowhere else
}

// Profiles lists all profiles.
func Profiles() []ProfileInfo {
	inner := testserver.Profiles()
	out := make([]ProfileInfo, len(inner))
	for i, p := range inner {
		out[i] = ProfileInfo{Profile: Profile(p.Name), About: p.About, Approximate: p.Approximate, TokenPath: p.Wire.Path}
	}
	return out
}

// SetProfile makes the server behave like another kind from its next decision
// on: sessions live on, and so does the form of their refresh tokens. An
// unknown profile is fatal.
func (s *Server) SetProfile(name Profile) {
	p, err := testserver.ProfileNamed(string(name))
	if err != nil {
		s.fatal("authtest: there is no profile %q", name)
		return
	}
	s.inner.SetProfile(p)
}
