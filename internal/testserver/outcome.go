package testserver

import "net/http"

// Outcome names what became of a request. It is sent in X-Authtest-Outcome,
// for people who read a failing test; a client must not depend on it.
type Outcome string

// What a refresh can come to.
const (
	Rotated        Outcome = "rotated"
	Kept           Outcome = "kept" // the same token again: it is not rotated yet
	ReplayedSame   Outcome = "replayed_same"
	Forked         Outcome = "forked"
	Replaced       Outcome = "replaced"
	OnlyAccess     Outcome = "access_only"
	ReplayRefused  Outcome = "replay_refused" // refused, and nothing ended
	RaceRetry      Outcome = "race_retry"
	RaceConflict   Outcome = "race_conflict"
	RaceFailed     Outcome = "race_failed"
	ReuseDetected  Outcome = "reuse_detected"
	SessionRevoked Outcome = "session_revoked"
	UserDisabled   Outcome = "user_disabled"
	VersionBumped  Outcome = "token_version_bumped"
	SessionExpired Outcome = "session_expired"
	MaxRefreshes   Outcome = "max_refreshes"
	TokenExpired   Outcome = "token_expired"
	TokenRevoked   Outcome = "token_revoked" // this one alone: its sibling took its place
	Unknown        Outcome = "unknown_token"
	MissingToken   Outcome = "missing_token"
	WrongClient    Outcome = "wrong_client"
	WiderScope     Outcome = "wider_scope"
)

// What the other requests can come to.
const (
	LoggedIn         Outcome = "logged_in"
	WrongPassword    Outcome = "wrong_password"
	Minted           Outcome = "minted"
	LoggedOut        Outcome = "logged_out"
	Done             Outcome = "done"
	Malformed        Outcome = "malformed"
	TooLarge         Outcome = "too_large"
	WrongType        Outcome = "wrong_content_type"
	ClientRefused    Outcome = "client_refused"
	GrantRefused     Outcome = "grant_refused"
	GrantUnknown     Outcome = "grant_unknown"
	NotFound         Outcome = "not_found"
	Failed           Outcome = "failed"
	AccessMissing    Outcome = "access_missing"
	AccessInvalid    Outcome = "access_invalid"
	AccessExpired    Outcome = "access_expired"
	ScopeMissing     Outcome = "insufficient_scope"
	StepUp           Outcome = "insufficient_user_authentication"
	RefusedByRequest Outcome = "refused_by_request"
	RateLimited      Outcome = "rate_limited"

	ProofInvalid       Outcome = "invalid_dpop_proof"
	NonceNeeded        Outcome = "use_dpop_nonce"
	WrongKey           Outcome = "wrong_key"
	CertificateMissing Outcome = "certificate_missing"
	AssertionInvalid   Outcome = "assertion_invalid"
	SubjectInvalid     Outcome = "subject_token_invalid"
	TargetInvalid      Outcome = "invalid_target"
	Exchanged          Outcome = "exchanged"
	Reauthenticated    Outcome = "reauthenticated"
)

// terminal reports whether the answer tells a client that its refresh token is
// of no more use.
func (o Outcome) terminal() bool {
	switch o {
	case ReuseDetected, SessionRevoked, UserDisabled, VersionBumped,
		SessionExpired, MaxRefreshes, TokenExpired, TokenRevoked, ReplayRefused, Unknown:
		return true
	}
	return false
}

// granted reports whether a refresh was answered with tokens.
func (o Outcome) granted() bool {
	switch o {
	case Rotated, Kept, ReplayedSame, Forked, Replaced, OnlyAccess:
		return true
	}
	return false
}

// returned reports whether the outcome is that of a retired token that came
// back. That of one that is held and not told is not kept apart here.
func (o Outcome) returned() bool {
	switch o {
	case ReplayedSame, Forked, Replaced, OnlyAccess, ReplayRefused, ReuseDetected:
		return true
	}
	return false
}

// oauthRefusal is the answer of the OAuth dialect, RFC 6749 5.2.
func oauthRefusal(o Outcome) (status int, code, description string) {
	const bad = http.StatusBadRequest
	switch o {
	case ReuseDetected, ReplayRefused:
		return bad, "invalid_grant", "refresh token already used"
	case TokenRevoked:
		return bad, "invalid_grant", "refresh token revoked"
	case RaceRetry:
		return bad, "invalid_request", "concurrent refresh, please retry"
	case RaceConflict:
		return http.StatusConflict, "invalid_request", "concurrent refresh"
	case SessionRevoked:
		return bad, "invalid_grant", "session revoked"
	case UserDisabled, VersionBumped:
		return bad, "invalid_grant", "user must sign in again"
	case SessionExpired, MaxRefreshes:
		return bad, "invalid_grant", "session expired"
	case TokenExpired:
		return bad, "invalid_grant", "refresh token expired"
	case Unknown, WrongClient:
		return bad, "invalid_grant", "refresh token unknown"
	case WrongPassword:
		return bad, "invalid_grant", "invalid credentials"
	case WiderScope:
		return bad, "invalid_scope", "scope exceeds what was granted"
	case MissingToken:
		return bad, "invalid_request", "token missing"
	case ClientRefused:
		return http.StatusUnauthorized, "invalid_client", "client authentication failed"
	case GrantRefused:
		return bad, "unauthorized_client", "client may not use this grant"
	case GrantUnknown:
		return bad, "unsupported_grant_type", "grant type not supported"
	case TooLarge:
		return http.StatusRequestEntityTooLarge, "invalid_request", "body too large"
	case Malformed, WrongType:
		return bad, "invalid_request", "malformed request"
	case RateLimited:
		return http.StatusTooManyRequests, "temporarily_unavailable", "too many requests"
	case ProofInvalid:
		return bad, "invalid_dpop_proof", "DPoP proof refused"
	case NonceNeeded: // RFC 9449 8
		return bad, "use_dpop_nonce", "the DPoP proof needs a nonce"
	case WrongKey:
		return bad, "invalid_grant", "refresh token is bound to another key"
	case CertificateMissing:
		return bad, "invalid_request", "client certificate missing"
	case AssertionInvalid:
		return bad, "invalid_grant", "assertion refused"
	case SubjectInvalid: // RFC 8693 2.2.2
		return bad, "invalid_request", "subject or actor token refused"
	case TargetInvalid:
		return bad, "invalid_target", "no tokens for this target"
	}
	return http.StatusInternalServerError, "server_error", "internal error"
}

// jsonRefusal is the answer of the first-party dialect: a status and the one
// member of its body.
func jsonRefusal(o Outcome) (status int, member, text string) {
	const unauthorized = http.StatusUnauthorized
	switch o {
	case ReuseDetected, ReplayRefused, SessionRevoked, UserDisabled, VersionBumped, TokenExpired, TokenRevoked, Unknown, WrongClient:
		return unauthorized, "error", "Invalid refresh token"
	case ClientRefused:
		return unauthorized, "error", "Invalid client"
	case WiderScope:
		return http.StatusBadRequest, "error", "Scope exceeds what was granted"
	case SessionExpired, MaxRefreshes:
		return http.StatusForbidden, "message", "Session expired. Please log in again."
	case RaceRetry, RaceConflict:
		return http.StatusConflict, "error", "Refresh in progress"
	case MissingToken:
		return unauthorized, "error", "No refresh token"
	case WrongPassword:
		return unauthorized, "error", "Invalid credentials"
	case AccessExpired:
		return unauthorized, "error", "Token expired"
	case AccessMissing, AccessInvalid, RefusedByRequest:
		return unauthorized, "error", "Invalid token"
	case ScopeMissing:
		return http.StatusForbidden, "error", "Forbidden"
	case StepUp:
		return http.StatusForbidden, "message", "Re-authentication required"
	case NotFound:
		return http.StatusNotFound, "error", "Not found"
	case TooLarge:
		return http.StatusRequestEntityTooLarge, "error", "Body too large"
	case WrongType:
		return http.StatusUnsupportedMediaType, "error", "Expected application/json"
	case Malformed:
		return http.StatusBadRequest, "error", "Malformed request"
	case RateLimited:
		return http.StatusTooManyRequests, "error", "Too many requests"
	case ProofInvalid:
		return http.StatusBadRequest, "error", "DPoP proof refused"
	case WrongKey:
		return http.StatusBadRequest, "error", "Bound to another key"
	case CertificateMissing:
		return http.StatusBadRequest, "error", "Client certificate missing"
	}
	return http.StatusInternalServerError, "error", "Internal error"
}
