// Package transport presents the access token of a session to an API and,
// when the API rejects it, has it renewed and sends the request again.
//
// Most programs get their http.Client from package client and meet one name
// of this package, [ChallengeOf], which tells what a 401 or 403 asks for. A
// program with a [Renewer] of its own calls [New] and puts the [Transport]
// into an http.Client. [RejectedError] is what a request ends with if its
// token was rejected and there is no other.
//
// # Where the token goes
//
// Only to the origins that were configured, judged again at every hop: an
// http.Client sends each redirect through its transport, and whatever a
// transport adds would follow to any host. Once a chain of redirects has left
// the origins it never gets the token back, not even at home. A request that
// already has an Authorization header field is left alone, even if the field
// is empty: that is how a program opts out for one request.
//
// # What happens after a 401
//
// The token is renewed once and the request is sent once more. A second 401
// goes to the caller as it is, unless the token that it rejects had been
// issued before the first: then there is one more try. Bodies are replayed by GetBody, by seeking, or
// out of what was kept while they were first sent ([Config.MaxReplay]). A body
// that cannot be replayed leaves the 401 to the caller, and the renewal starts
// beside it, for the next request. No request is sent again after a connection
// failed: only a 401 says that it was not applied (RFC 9110 15.5.2).
//
// # Sharp edges
//
//   - http.Client.Timeout replaces the errors of this package by its own, and
//     counts the renewal in. Use the context of the request instead.
//   - Cookies that a discarded 401 sets never reach the cookie jar.
//   - A httptrace.ClientTrace in the request's context is shown the header
//     field with the token, because the program asked to see what is sent.
//   - Internationalised host names are compared as they are written: configure
//     the spelling that requests use.
//   - For `Expect: 100-continue`, which is never added, the base needs an
//     ExpectContinueTimeout, as http.DefaultTransport has.
//   - A 403 is never a rejection, unless Config.Rejected says so: the token is
//     good and does not suffice (RFC 6750 3.1). ChallengeOf tells what would.
//
// # Compatibility
//
// Fields may be added to [Config] and [Challenge]; their zero values keep
// meaning what they mean now.
package transport
