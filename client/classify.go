package client

import (
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Every answer that is not a token set is judged here, by the first row that
// matches. Nowhere else in this package does a status or a code decide.
//
// Two failures have no answer: a request that was not written is
// ReasonNotSent, one that was written and lost is ReasonLost (see wire).
//
// Uncertain means that the server may have rotated nevertheless. So a 5xx is
// uncertain (a gateway answers 502 and 504 after the server has committed),
// and an answer of the server that refuses is not.

// row is one line of a table.
type row struct {
	matches   func(*answer) bool
	reason    tokensource.Reason
	uncertain bool
	advice    string
}

// answerRows judge the answers of a token endpoint (RFC 6749 5.2).
var answerRows = []row{
	// invalid_grant counts whatever the status: some servers send it with
	// 401, 403 or 404.
	{code("invalid_grant"), tokensource.ReasonRejected, false, ""},
	{code("use_dpop_nonce", "invalid_dpop_proof"), tokensource.ReasonClient, false,
		"the server wants DPoP proofs (RFC 9449), which this release does not make: register the client without DPoP"},
	{code("invalid_client"), tokensource.ReasonClient, false, "check the client id, the secret and the way of client authentication"},
	{code("unauthorized_client", "unsupported_grant_type"), tokensource.ReasonClient, false, "the server does not let this client use the grant"},
	{code("invalid_scope"), tokensource.ReasonScope, false, ""},
	{code("invalid_target"), tokensource.ReasonResource, false, ""},
	// A limit was hit before the token was looked at. Many servers put a
	// code of their own into a 429, so the status comes before the codes
	// that RFC 6749 does not know.
	{status(http.StatusTooManyRequests), tokensource.ReasonRateLimited, false, ""},
	{code("temporarily_unavailable", "server_error"), tokensource.ReasonServer, true, ""},
	{status(http.StatusRequestTimeout, http.StatusTooEarly), tokensource.ReasonServer, true, ""},
	// invalid_request, and codes that RFC 6749 does not know. In one product
	// it means "again", in another "log in": see OAuthConfig.Reasons.
	{anyCode, tokensource.ReasonRequest, false, ""},
	{incomplete, tokensource.ReasonLost, true, "the answer ends early"},
	{class(2), tokensource.ReasonServer, true, "the answer holds no token set that can be used"},
	{class(3), tokensource.ReasonEndpoint, false, "the server redirects, and a token is not sent along: check the address"},
	{status(http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusUnsupportedMediaType, http.StatusNotImplemented),
		tokensource.ReasonEndpoint, false, "check the address"},
	{busy, tokensource.ReasonBusy, false, ""},
	{class(5), tokensource.ReasonServer, true, ""},
	// No authorization server refuses in HTML: a proxy or a firewall does.
	{refusedInText, tokensource.ReasonIntercepted, false, "a proxy, a firewall or a login page of the network answered"},
	{status(http.StatusForbidden, http.StatusProxyAuthRequired), tokensource.ReasonIntercepted, false, "a proxy or a firewall answered"},
	{status(http.StatusBadRequest, http.StatusUnauthorized), tokensource.ReasonRefused, false, ""},
	// Two refreshes met; which of them was kept is not known.
	{status(http.StatusConflict, http.StatusMisdirectedRequest, http.StatusLocked), tokensource.ReasonServer, true, ""},
	{class(4), tokensource.ReasonRequest, false, ""},
	{always, tokensource.ReasonServer, true, ""},
}

// jsonRows come before answerRows where a first-party API answers. It speaks
// by its status; its "error" is a sentence, not a code.
var jsonRows = []row{
	{spoken(http.StatusUnauthorized), tokensource.ReasonRejected, false, ""},
	{spoken(http.StatusForbidden), tokensource.ReasonHardEnd, false, ""},
	{spoken(http.StatusBadRequest), tokensource.ReasonRequest, false, "check the paths and the member names"},
}

// loginRows come first where the answer is to a login. RFC 6749 4.1.2.1 has the
// code for authorization endpoints; Dex refuses a password with it.
var loginRows = []row{
	{code("access_denied"), tokensource.ReasonRefused, false, ""},
}

// verdict says how a provider's answers are judged.
type verdict struct {
	// reasons are the codes that mean something else here.
	reasons map[string]tokensource.Reason
	// codes: "error" holds a code (RFC 6749 5.2).
	codes bool
	rows  [][]row
}

// judge describes an answer that holds no token set. The rows in first come
// before those of the verdict.
func (v verdict) judge(a *answer, clean scrubber, first ...row) *tokensource.Error {
	const maxCode, maxDescription = 64, 200
	code := a.code()
	e := &tokensource.Error{
		Status:      a.status,
		Code:        clean.text(code, maxCode),
		Description: clean.text(a.text("error_description", "message", "msg", "error"), maxDescription),
	}
	e.Reason, e.Uncertain, e.Advice = v.reason(a, code, first)
	if e.Reason.Class() == tokensource.ErrTryAgain {
		e.RetryAfter = a.retryAfter
	}
	return e
}

func (v verdict) reason(a *answer, code string, first []row) (reason tokensource.Reason, uncertain bool, advice string) {
	if reason, known := v.reasons[code]; known && code != "" && a.refuses() {
		return reason, reason == tokensource.ReasonServer, ""
	}
	if !v.codes {
		a = a.withoutCode()
	}
	for _, rows := range append([][]row{first}, v.rows...) {
		if i := slices.IndexFunc(rows, func(r row) bool { return r.matches(a) }); i >= 0 {
			return rows[i].reason, rows[i].uncertain, rows[i].advice
		}
	}
	panic("client: bug: the last row matches every answer")
}

// code returns the code that an answer names, wherever it does. Only "error"
// takes part in answerRows; the others serve those who read the error.
func (a *answer) code() string {
	for _, name := range [...]string{"error", "error_code", "code"} {
		if s := a.text(name); s != "" && !strings.ContainsFunc(s, notOfCode) {
			return s
		}
	}
	return ""
}

// notOfCode keeps sentences, and whatever else is no code, out of the place
// that every error shows.
func notOfCode(r rune) bool {
	return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.:", r)
}

func (a *answer) withoutCode() *answer {
	b := *a
	b.members = nil
	return &b
}

// refuses: servers answer a bad refresh with a 4xx, and a few with a 200.
func (a *answer) refuses() bool { return a.status/100 == 2 || a.status/100 == 4 }

// revoked: the token is dead, by this or from before (RFC 7009 2.2).
func (a *answer) revoked() bool {
	return a.status/100 == 2 || code("invalid_grant", "invalid_token")(a)
}

func anyCode(a *answer) bool { return a.refuses() && a.text("error") != "" }

func code(codes ...string) func(*answer) bool {
	return func(a *answer) bool { return a.refuses() && slices.Contains(codes, a.text("error")) }
}

func status(statuses ...int) func(*answer) bool {
	return func(a *answer) bool { return slices.Contains(statuses, a.status) }
}

func class(hundreds int) func(*answer) bool {
	return func(a *answer) bool { return a.status/100 == hundreds }
}

// spoken: this status, and not in the text of a proxy.
func spoken(status int) func(*answer) bool {
	return func(a *answer) bool { return a.status == status && a.kind != bodyText && a.kind != bodyCut }
}

func incomplete(a *answer) bool { return a.refuses() && a.kind == bodyCut }

func busy(a *answer) bool { return a.status == http.StatusServiceUnavailable && a.retryAfterSet }

func refusedInText(a *answer) bool { return a.status/100 == 4 && a.kind == bodyText }

func always(*answer) bool { return true }
