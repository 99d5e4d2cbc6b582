package testserver

import (
	"net/http"
	"time"
)

// recordedProfiles follow answers that were recorded from the real servers in
// November 2026. What is not in the recordings is said in About.
func recordedProfiles() []Profile {
	return []Profile{hydra(), hydraGrace(), dex(), supabase(), betterAuth()}
}

// fositeGrant is the first sentence of all that fosite says of a bad grant.
const fositeGrant = "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token " +
	"is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client. "

// fosite is what Hydra and every other program on that library answer.
func fosite() Wire {
	const notFound = fositeGrant + "The refresh token is malformed or not valid. The refresh token can not be found."
	used := Refusal{Text: fositeGrant + "The refresh token was already used. Refresh token re-use was detected. All related tokens have been revoked."}
	return Wire{
		Path: "/oauth2/token", Type: "bearer",
		Refusals: merged(dead(used), map[Outcome]Refusal{
			Unknown:      {Text: notFound},
			MissingToken: {Code: "invalid_grant", Text: notFound},
			TokenExpired: {Text: fositeGrant + "The refresh token expired."},
			WrongClient:  {Text: fositeGrant + "The OAuth 2.0 Client ID from this request does not match the ID during the initial token issuance."},
			RaceRetry: {Text: "The request is missing a required parameter, includes an invalid parameter value, includes a parameter more than once, " +
				"or is otherwise malformed. Failed to refresh token because of multiple concurrent requests using the same token. Please retry the request."},
			RaceFailed: {Text: "The authorization server encountered an unexpected condition that prevented it from fulfilling the request."},
		}),
	}
}

func hydra() Profile {
	return Profile{
		Name: "hydra",
		About: "Ory Hydra without a grace period: the access tokens of the chain die as the refresh token rotates, and a retired one ends the family. " +
			"Texts and statuses as recorded from fosite. Approximation: that the loser of a race is told invalid_request " +
			"\"please retry\" is from Hydra's source (ory/hydra@83127c5, fosite flow_refresh); the recording, over fosite's memory store, shows reuse.",
		Replay: Replay{AlsoAccess: true, OldAccess: RevokeOnRotate, RaceLoser: RetryHint400},
		Wire:   fosite(),
	}
}

func hydraGrace() Profile {
	return Profile{
		Name: "hydra-grace",
		About: "Ory Hydra with a rotation grace period, here 60 s: each return in the window, which counts from a token's own first use, " +
			"mints a sibling, and all siblings live. Siblings, races and texts as recorded from fosite with a grace of 3 s. " +
			"Approximation: that any ancestor in its own window is answered follows from first_used_at being kept per token (ory/hydra@83127c5).",
		Replay: Replay{Mode: Fork, Window: 60 * time.Second, AnyAncestor: true, AlsoAccess: true},
		Wire:   fosite(),
	}
}

func dex() Profile {
	const claimed = "Refresh token is invalid or has already been claimed by another client."
	refused := Refusal{Status: http.StatusBadRequest, Code: "invalid_request", Text: claimed}
	return Profile{
		Name: "dex",
		About: "Dex with reuseInterval 3s, as recorded: for 3 s the parent is told its child and the live token itself, unrotated; " +
			"later the parent is refused, nothing ends, and all of it is called invalid_request. " +
			"Approximation: a second login does not replace the first one's token; 500 for the loser of a race that could not get the row within 5 s is from the source (dexidp/dex@ab64ed7, server/tokens).",
		Replay: Replay{
			Mode: Same, Window: 3 * time.Second, Hold: 3 * time.Second, OnReuse: RevokeNothing,
			RaceLoser: Error500, RaceWait: 5 * time.Second,
		},
		Wire: Wire{
			Path: "/dex/token", Type: "bearer",
			Refusals: merged(dead(refused), map[Outcome]Refusal{
				TokenExpired:  {Code: "invalid_request", Text: "Refresh token expired."},
				WrongClient:   {Code: "invalid_grant", Text: claimed},
				MissingToken:  {Text: "No refresh token is found in request."},
				WiderScope:    {Code: "invalid_request", Text: "Requested scopes contain unauthorized scope(s)."}, // the real one names them
				RaceFailed:    {Code: "invalid_request"},
				GrantUnknown:  {},
				ClientRefused: {Text: "Invalid client credentials."},
				WrongPassword: {Status: http.StatusUnauthorized, Code: "access_denied", Text: "Invalid username or password"},
			}),
		},
	}
}

func supabase() Profile {
	notFound := Refusal{Code: "refresh_token_not_found", Text: "Invalid Refresh Token: Refresh Token Not Found"}
	return Profile{
		Name: "supabase",
		About: "Supabase Auth (gotrue) with counted refresh tokens, as recorded: the parent of the live token is told that token for ever, " +
			"older ancestors for the reuse interval of 10 s, then the session ends. JSON at /token?grant_type=, error codes in error_code. " +
			"Approximation: 409 for the loser of a race that could not get the row within 5 s, user_banned and the text of the idle end are from its source.",
		Replay: Replay{
			Mode: Same, Window: Always, AnyAncestor: true, AncestorWindow: 10 * time.Second,
			RaceLoser: Conflict409, RaceWait: 5 * time.Second,
		},
		Wire: Wire{
			Path: "/token", Body: BodyGoTrue, Type: "bearer",
			Members: []string{memberExpiresAt, memberUser},
			Refusals: merged(dead(notFound), map[Outcome]Refusal{
				ReuseDetected:  {Code: "refresh_token_already_used", Text: "Invalid Refresh Token: Already Used"},
				SessionExpired: {Code: "session_expired", Text: "Invalid Refresh Token: Session Expired"},
				MaxRefreshes:   {Code: "session_expired", Text: "Invalid Refresh Token: Session Expired"},
				TokenExpired:   {Code: "session_expired", Text: "Invalid Refresh Token: Session Expired (Inactivity)"},
				UserDisabled:   {Code: "user_banned", Text: "Invalid Refresh Token: User Banned"},
				Unknown:        {Code: "validation_failed", Text: "Refresh token is not valid"},
				MissingToken:   {Code: "validation_failed", Text: "Refresh token is not valid"},
				RaceConflict:   {Code: "conflict", Text: "Too many concurrent token refresh requests on the same session or refresh token"},
				WrongPassword:  {Code: "invalid_credentials", Text: "Invalid login credentials"},
				GrantUnknown:   {Code: "invalid_credentials", Text: "unsupported_grant_type"},
				Malformed:      {Code: "bad_json", Text: "Could not parse request body as JSON: unexpected end of JSON input"},
			}),
		},
	}
}

func betterAuth() Profile {
	invalid := Refusal{Text: "invalid refresh token"}
	gone := Refusal{Text: "session not found"}
	return Profile{
		Name: "better-auth",
		About: "better-auth's OAuth provider, as recorded: a retired token ends every session that its user has with the same client, " +
			"while the loser of a race is refused and the winner lives on. Approximation: a token revoked by hand is told \"session not found\".",
		Replay: Replay{OnReuse: RevokeClientUser, AlsoAccess: true, RaceLoser: LoserRefused},
		Wire: Wire{
			Path: "/api/auth/oauth2/token", Members: []string{memberExpiresAt},
			Refusals: merged(dead(gone), every(invalid, ReuseDetected, ReplayRefused, WrongClient, TokenExpired), map[Outcome]Refusal{
				MissingToken:  {Text: "Missing a required refresh_token for refresh_token grant"},
				ClientRefused: {Text: "invalid client_secret"},
			}),
		},
	}
}
