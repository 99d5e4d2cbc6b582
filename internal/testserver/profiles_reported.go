package testserver

import (
	"net/http"
	"time"
)

// reportedProfiles are put together from documentation, source and reports:
// approximations, not certified emulations.
func reportedProfiles() []Profile {
	list := []Profile{
		keycloak(), auth0(), okta(), cognito(), duende(), spring(),
		mas(), wso2(), flowfuse(), github(), entra(), slack(),
	}
	for i := range list {
		list[i].Approximate = true
	}
	return list
}

func keycloak() Profile {
	inactive := Refusal{Text: "Session not active"}
	return Profile{
		Name: "keycloak",
		About: "Keycloak with Revoke Refresh Token on and Max Reuse 0: refresh tokens are JWTs, a retired one ends the session, " +
			"and so does the loser of a race. Approximation from keycloak issues 29966, 46054, 50721 and 50999.",
		Replay:        Replay{AlsoAccess: true, RaceLoser: WinnerDies},
		RefreshFormat: JWT,
		Wire: Wire{
			Path:    "/realms/test/protocol/openid-connect/token",
			Members: []string{memberRefreshExpires, memberNotBefore, memberSessionState},
			Refusals: merged(dead(inactive), map[Outcome]Refusal{
				ReuseDetected: {Text: "Maximum allowed refresh token reuse exceeded"},
				VersionBumped: {Text: "Stale token"},
				UserDisabled:  {Text: "User disabled"},
				TokenExpired:  {Text: "Token is not active"},
				Unknown:       {Text: "Invalid refresh token"},
				WrongClient:   {Text: "Invalid refresh token. Token client and authorized client don't match"},
				MissingToken:  {Text: "No refresh token"},
				ClientRefused: {Text: "Invalid client or Invalid client credentials"},
				WrongPassword: {Status: http.StatusUnauthorized, Text: "Invalid user credentials"},
			}),
		},
	}
}

func auth0() Profile {
	return Profile{
		Name: "auth0",
		About: "Auth0 with an overlap period, here 30 s: the immediate parent mints a sibling, anything older ends the family; " +
			"access tokens live out their time, and a dead token is a 403. Approximation from Auth0's pages on rotation and from reports of its error text.",
		Replay: Replay{Mode: Fork, Window: 30 * time.Second},
		Wire: Wire{Refusals: dead(Refusal{
			Status: http.StatusForbidden, Text: "Unknown or invalid refresh token.",
		})},
	}
}

func okta() Profile {
	return Profile{
		Name: "okta",
		About: "Okta with its default leeway of 30 s: the immediate parent mints a sibling; later it ends the session and every access token of it. " +
			"Approximation from Okta's page on rotation and its support article on the error text.",
		Replay: Replay{Mode: Fork, Window: 30 * time.Second, AlsoAccess: true},
		Wire: Wire{
			Path:     "/oauth2/default/v1/token",
			Refusals: dead(Refusal{Text: "The refresh token is invalid or expired."}),
		},
	}
}

func cognito() Profile {
	return Profile{
		Name: "cognito",
		About: "Amazon Cognito with a retry grace period of 60 s: the immediate parent mints a sibling, later it is refused, and nothing is said to end. " +
			"Approximation from the API reference (RefreshTokenRotationType); the bare invalid_grant is from memory.",
		Replay: Replay{Mode: Fork, Window: 60 * time.Second, OnReuse: RevokeNothing},
		Wire:   Wire{Path: "/oauth2/token", Refusals: dead(Refusal{})},
	}
}

func duende() Profile {
	return Profile{
		Name: "duende",
		About: "Duende IdentityServer with one-time refresh tokens: a spent one is refused, and nothing ends. " +
			"Approximation from its source (DuendeSoftware/products@18193b5).",
		Replay: Replay{Mode: Reject, AlsoAccess: true},
		Wire:   Wire{Path: "/connect/token", Refusals: dead(Refusal{})},
	}
}

func spring() Profile {
	return Profile{
		Name: "spring",
		About: "Spring Authorization Server without reuse of refresh tokens: one row per session and no check, so both of a race get 200, " +
			"the last save wins, and the other's refresh token is a dud. Approximation from its source, by inference.",
		Replay: Replay{Mode: Reject, RaceLoser: Dud},
		Wire:   Wire{Path: "/oauth2/token", Refusals: dead(Refusal{})},
	}
}

func mas() Profile {
	return Profile{
		Name: "mas",
		About: "Matrix Authentication Service: until the child's refresh or access token was used, the parent gets another child and the unused one dies. " +
			"Approximation from its source; what reuse ends is from memory.",
		Replay: Replay{
			Mode: Replace, Window: Always, CloseOnChildUse: true, CloseOnAccess: true,
			AlsoAccess: true, OldAccess: RevokeOnRotate,
		},
		Wire: Wire{Path: "/oauth2/token", Refusals: dead(Refusal{})},
	}
}

func wso2() Profile {
	return Profile{
		Name: "wso2",
		About: "WSO2 Identity Server with a grace of 30 s: the parent gets another child, the unused one dies, and use of the child closes the window. " +
			"Approximation from reports; the error text is from memory.",
		Replay: Replay{Mode: Replace, Window: 30 * time.Second, CloseOnChildUse: true},
		Wire: Wire{
			Path: "/oauth2/token", Refusals: dead(Refusal{Text: "Persisted access token data not found"}),
		},
	}
}

func flowfuse() Profile {
	return Profile{
		Name: "flowfuse",
		About: "FlowFuse: a retired token that comes back soon gets an access token alone, and its client is left with a spent refresh token. " +
			"Approximation from reports; the window of 60 s is a guess. A dead token is invalid_grant since FlowFuse/flowfuse#8547.",
		Replay: Replay{Mode: AccessOnly, Window: 60 * time.Second, CloseOnChildUse: true, OnReuse: RevokeNothing},
	}
}

func github() Profile {
	return Profile{
		Name: "github",
		About: "GitHub Apps: errors come with status 200, answers are form-encoded unless JSON is asked for, and the old access token dies with the old refresh token. " +
			"Approximation from docs.github.com; what a spent token ends is not documented, here nothing.",
		Replay: Replay{Mode: Reject, AlsoAccess: true, OldAccess: RevokeOnRotate},
		Wire: Wire{
			Path: "/login/oauth/access_token", Body: BodyForm, Type: "bearer",
			Members: []string{memberRefreshExpiresGH},
			Refusals: merged(
				dead(Refusal{Status: http.StatusOK, Code: "bad_refresh_token", Text: "The refresh token passed is incorrect or expired."}),
				map[Outcome]Refusal{
					MissingToken:  {Status: http.StatusOK, Code: "bad_refresh_token", Text: "The refresh token passed is incorrect or expired."},
					ClientRefused: {Status: http.StatusOK, Code: "incorrect_client_credentials", Text: "The client_id and/or client_secret passed are incorrect."},
					GrantUnknown:  {Status: http.StatusOK, Code: "unsupported_grant_type", Text: "The grant_type is not supported."},
				}),
		},
	}
}

func entra() Profile {
	return Profile{
		Name: "entra-like",
		About: "Microsoft Entra ID: every refresh gives a new refresh token and no old one is revoked by its use. " +
			"Approximation from learn.microsoft.com and reports; of the AADSTS texts the numbers are right, the words are ours.",
		Replay: Replay{Mode: Fork, Window: Always, AnyAncestor: true},
		Wire: Wire{
			Path: "/common/oauth2/v2.0/token", Members: []string{memberExtExpires},
			Refusals: merged(dead(Refusal{Text: "AADSTS70000: the grant is not valid."}), map[Outcome]Refusal{
				TokenExpired:   {Text: "AADSTS700082: the refresh token was not used for too long."},
				SessionExpired: {Text: "AADSTS700084: the refresh token was issued for a fixed time, which is over."},
				SessionRevoked: {Text: "AADSTS50173: the grant was revoked, sign in again."},
				VersionBumped:  {Text: "AADSTS50173: the grant was revoked, sign in again."},
				UserDisabled:   {Text: "AADSTS50057: the account is disabled."},
			}),
		},
	}
}

func slack() Profile {
	bad := Refusal{Status: http.StatusOK, Code: "invalid_refresh_token"}
	return Profile{
		Name: "slack",
		About: "Slack with token rotation: {\"ok\":true} around the tokens, and refusals are {\"ok\":false,\"error\"} with status 200. " +
			"Approximation from docs.slack.dev; that a spent token ends nothing is from memory.",
		Replay: Replay{Mode: Reject, AlsoAccess: true},
		Wire: Wire{
			Path: "/api/oauth.v2.access", Body: BodyOK, Type: "bot",
			Refusals: merged(dead(bad), map[Outcome]Refusal{
				MissingToken:  bad,
				ClientRefused: {Status: http.StatusOK, Code: "bad_client_secret"},
				GrantUnknown:  {Status: http.StatusOK, Code: "invalid_grant_type"},
			}),
		},
	}
}
