package tokensource

import "time"

// Hooks are told what a [Session] did, for logs, traces and metrics. Each may
// be nil. They run in order, in the goroutine of the refresh, when it is over
// and the lease released, and hold up those who wait for it: be quick. None
// of them is given a token.
type Hooks struct {
	// RefreshStart: a token request began.
	RefreshStart func(RefreshStartInfo)
	// RefreshDone: a token request was answered, or failed.
	RefreshDone func(RefreshDoneInfo)
	// TokenStored: a token set was saved by this session.
	TokenStored func(TokenStoredInfo)
	// TokenAdopted: a token set that another process saved was taken over.
	TokenAdopted func(TokenAdoptedInfo)
	// SaveFailed: a new token set could not be saved. It is served from
	// memory and the save is retried; a process that ends now loses the
	// session.
	SaveFailed func(SaveFailedInfo)
	// SessionEnded: a login is required from now on.
	SessionEnded func(SessionEndedInfo)
	// Anomaly: the store held something that the protocol does not produce.
	Anomaly func(AnomalyInfo)
}

// RefreshStartInfo is passed to Hooks.RefreshStart.
type RefreshStartInfo struct {
	// ID is the token set whose refresh token is presented.
	ID TokenID
	// Attempt counts the presentations within one refresh, from 1.
	Attempt int
	// Time is when it began.
	Time time.Time
}

// RefreshDoneInfo is passed to Hooks.RefreshDone.
type RefreshDoneInfo struct {
	// ID is the token set whose refresh token was presented.
	ID TokenID
	// Attempt counts the presentations within one refresh, from 1.
	Attempt int
	// Duration is how long the token request took.
	Duration time.Duration
	// LostScopes are the scopes that the old set had and the new one lacks.
	LostScopes []string
	// Err is nil on success.
	Err error
}

// TokenStoredInfo is passed to Hooks.TokenStored.
type TokenStoredInfo struct {
	// ID is the token set that was saved.
	ID TokenID
}

// TokenAdoptedInfo is passed to Hooks.TokenAdopted.
type TokenAdoptedInfo struct {
	// ID is the token set that was taken over.
	ID TokenID
}

// SaveFailedInfo is passed to Hooks.SaveFailed.
type SaveFailedInfo struct {
	// ID is the token set that is not saved.
	ID TokenID
	// Err is why.
	Err error
}

// SessionEndedInfo is passed to Hooks.SessionEnded.
type SessionEndedInfo struct {
	// ID is the last token set of the session.
	ID TokenID
	// Err matches ErrLoginRequired.
	Err error
}

// AnomalyInfo is passed to Hooks.Anomaly.
type AnomalyInfo struct {
	// ID is the token set of this session.
	ID TokenID
	// What describes what was found and what was done.
	What string
}
