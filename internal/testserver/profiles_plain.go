package testserver

import "time"

// plainProfiles are named after what they do, not after a product. They answer
// in the words of the server's own table of outcomes.
func plainProfiles() []Profile {
	return []Profile{
		{
			Name:   "strict",
			About:  "A retired token ends its session at once, access tokens included. RFC 9700 4.14.2.",
			Replay: Replay{AlsoAccess: true},
		},
		{
			Name: "grace",
			About: "The parent of the live token is told that same live token for 10 s, until the live one was used: " +
				"a retry of a lost answer gets what the first answer held. Draws on RFC 9700 4.14.2 and on what servers with an overlap do.",
			Replay: Replay{Mode: Same, Window: 10 * time.Second, CloseOnChildUse: true, AlsoAccess: true},
		},
		{
			Name: "fapi2",
			About: "The parent stays good until its child was used, however long that takes. " +
				"FAPI 2.0 Security Profile: no rotation unless a client can recover from a lost answer.",
			Replay: Replay{Mode: Same, Window: Always, CloseOnChildUse: true, AlsoAccess: true},
		},
		{
			Name: "firstparty",
			About: "A company's own backend for its own programs: strict, JSON, refresh tokens in JWT form, " +
				"and 403 for a session that is over for good.",
			Replay:  Replay{AlsoAccess: true},
			Dialect: JSON, RefreshFormat: JWT,
		},
		{
			Name: "firstparty-no-rotation",
			About: "The same backend without rotation: /refresh answers {\"accessToken\"} alone, " +
				"and the login's refresh token is good until it expires.",
			Replay:  Replay{Hold: Always, HoldUntold: true, AlsoAccess: true},
			Dialect: JSON, RefreshFormat: JWT,
		},
		{
			Name: "non-rotating",
			About: "An answer to a refresh holds no refresh token: the client keeps the one it has (RFC 6749 6). " +
				"Google, and every server whose rotation is switched off.",
			Replay: Replay{Hold: Always, HoldUntold: true, AlsoAccess: true},
		},
	}
}
