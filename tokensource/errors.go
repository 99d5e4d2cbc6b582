package tokensource

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// What a program can do about an error is one of three things. Test for them
// with errors.Is; they are found through *url.Error too.
var (
	// ErrLoginRequired: the session is over, a person or a program has to
	// log in again.
	ErrLoginRequired = errors.New("log in again")
	// ErrTryAgain: the session stands, the same call may succeed later.
	ErrTryAgain = errors.New("try again")
	// ErrConfig: the session stands, the call fails until the configuration
	// of this program or of its client at the server is mended.
	ErrConfig = errors.New("fix the configuration")
)

// ErrClosed is returned by a Session after Close.
var ErrClosed = errors.New("tokensource: the session was closed")

// Reason says what happened; it determines which of the three classes an
// [Error] belongs to.
type Reason uint8

// The reasons.
const (
	reasonUnset Reason = iota

	// ReasonNoSession (log in again): nobody has logged in, or the session
	// holds no refresh token and its access token has ended.
	ReasonNoSession
	// ReasonRejected (log in again): the server no longer knows the refresh
	// token (invalid_grant).
	ReasonRejected
	// ReasonRefused (log in again): the server refused without a code.
	ReasonRefused
	// ReasonReuse (log in again): the server says that the refresh token
	// was used twice.
	ReasonReuse
	// ReasonHardEnd (log in again): the session reached its hard deadline.
	ReasonHardEnd
	// ReasonAccountChanged (log in again): a refresh answered for another
	// subject.
	ReasonAccountChanged
	// ReasonKeyLost (log in again): the key that sealed the session is gone
	// for good.
	ReasonKeyLost
	// ReasonLoggedOut (log in again): the session was ended by a logout.
	ReasonLoggedOut

	// ReasonNotSent (try again): the request did not leave this process.
	ReasonNotSent
	// ReasonLost (try again, uncertain): the request may have been
	// processed, no complete answer arrived.
	ReasonLost
	// ReasonServer (try again): the server failed.
	ReasonServer
	// ReasonRateLimited (try again): the server asks for patience.
	ReasonRateLimited
	// ReasonBusy (try again): the server, another process or a save that is
	// still to be made holds the session up.
	ReasonBusy
	// ReasonIntercepted (try again): something between here and the server
	// refused, such as a proxy or a firewall.
	ReasonIntercepted
	// ReasonStore (try again): the store cannot be read or written.
	ReasonStore

	// ReasonClient (fix the configuration): the server refuses this client,
	// its authentication or its use of the grant.
	ReasonClient
	// ReasonScope (fix the configuration): the server refuses the scope.
	ReasonScope
	// ReasonEndpoint (fix the configuration): this is not a token endpoint.
	ReasonEndpoint
	// ReasonResource (fix the configuration): the server refuses the
	// resource, or the stored session is for another one.
	ReasonResource
	// ReasonFormat (fix the configuration): the stored record cannot be
	// read by this version of the library.
	ReasonFormat
	// ReasonRequest (fix the configuration): the server calls the request
	// invalid.
	ReasonRequest
)

var reasonTexts = [...]string{
	reasonUnset:          "unknown reason",
	ReasonNoSession:      "no session",
	ReasonRejected:       "the server rejected the refresh token",
	ReasonRefused:        "the server refused",
	ReasonReuse:          "the refresh token was used twice",
	ReasonHardEnd:        "the session reached its hard end",
	ReasonAccountChanged: "the account changed",
	ReasonKeyLost:        "the key of the stored session is lost",
	ReasonLoggedOut:      "logged out",
	ReasonNotSent:        "the request was not sent",
	ReasonLost:           "the answer was lost",
	ReasonServer:         "the server failed",
	ReasonRateLimited:    "rate limited",
	ReasonBusy:           "busy",
	ReasonIntercepted:    "refused by something between here and the server",
	ReasonStore:          "the store failed",
	ReasonClient:         "the server refuses this client",
	ReasonScope:          "the server refuses the scope",
	ReasonEndpoint:       "the address is not a token endpoint",
	ReasonResource:       "wrong resource",
	ReasonFormat:         "unreadable record",
	ReasonRequest:        "the server calls the request invalid",
}

// String returns a short description.
func (r Reason) String() string {
	if int(r) >= len(reasonTexts) {
		r = reasonUnset
	}
	return reasonTexts[r]
}

// Class returns ErrLoginRequired, ErrTryAgain or ErrConfig.
func (r Reason) Class() error {
	switch {
	case r >= ReasonNoSession && r <= ReasonLoggedOut:
		return ErrLoginRequired
	case r >= ReasonClient && r <= ReasonRequest:
		return ErrConfig
	}
	return ErrTryAgain
}

// Error holds the facts of a failure. It matches one of [ErrLoginRequired],
// [ErrTryAgain] and [ErrConfig] under errors.Is. Its text never holds a token
// or an answer's body.
type Error struct {
	// Reason is what happened.
	Reason Reason
	// Uncertain: the refresh token may have been spent without an answer.
	Uncertain bool
	// Status is the HTTP status of the answer, 0 where there was none.
	Status int
	// Code is the error code of the answer (RFC 6749 5.2), if it had one.
	Code string
	// Description is error_description, cut short and free of the tokens
	// that were sent. Error does not print it.
	Description string
	// RetryAfter is how long the server, or this library, asks to wait.
	RetryAfter time.Duration
	// Advice says what to do about it, where that is known.
	Advice string
	// Err is the cause, if there is one.
	Err error
}

// Error describes the failure in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("tokensource: ")
	b.WriteString(e.Reason.String())
	if e.Status != 0 {
		b.WriteString(" (HTTP status " + strconv.Itoa(e.Status))
		if e.Code != "" {
			b.WriteString(", " + e.Code)
		}
		b.WriteByte(')')
	} else if e.Code != "" {
		b.WriteString(" (" + e.Code + ")")
	}
	if e.Uncertain {
		b.WriteString("; the refresh token may have been spent")
	}
	b.WriteString("; " + e.Reason.Class().Error())
	if e.RetryAfter > 0 {
		b.WriteString(" in " + e.RetryAfter.Round(time.Millisecond).String())
	}
	if e.Advice != "" {
		b.WriteString(": " + e.Advice)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Is reports whether target is the class of the error.
func (e *Error) Is(target error) bool { return target == e.Reason.Class() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
