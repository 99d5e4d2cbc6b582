package authtest

import "github.com/seed-9a12f4e2/pawl/internal/testserver"

// Incident names something that happens in the midst of a request, to whoever
// it is from or to everybody.
type Incident string

// The incidents. Those of a session or a user befall the one of the request.
const (
	SessionIsRevoked = Incident(testserver.SessionIsRevoked) // see Server.RevokeSession
	UserIsBumped     = Incident(testserver.UserIsBumped)     // see Server.RevokeUser
	UserIsDisabled   = Incident(testserver.UserIsDisabled)   // see Server.DisableUser
	AccessIsRevoked  = Incident(testserver.AccessIsRevoked)  // of everybody: see Server.RevokeAccessTokens
	// SessionAccessIsRevoked voids the access tokens that the session has by
	// then: at BeforeCommit of a refresh those from before it, at AfterCommit the
	// one in its answer, too.
	SessionAccessIsRevoked = Incident(testserver.SessionAccessIsRevoked)
	KeysAreRotated         = Incident(testserver.KeysAreRotated)  // see Server.RotateKeys
	KeysAreReplaced        = Incident(testserver.KeysAreReplaced) // see Server.ReplaceKeys
	StoreIsWiped           = Incident(testserver.StoreIsWiped)    // see Server.Wipe
)

// RevokeAccessTokensOf makes the access tokens that a session has by now
// invalid, as some servers do at each rotation. The session lives on. An unknown
// one is fatal.
func (s *Server) RevokeAccessTokensOf(session string) {
	s.must("revoking access tokens", s.inner.RevokeAccessTokensOf(session))
}

// Wipe makes the server one that was restarted with an empty store: sessions,
// codes and registered clients are gone and the keys are new, while clients keep
// the tokens that they have. Users and configured clients stay, and so does what
// was counted. With a Database everything in it goes, whichever server's it is.
func (s *Server) Wipe() { s.must("wiping the store", s.inner.Wipe()) }
