// Package tokensource keeps one login alive: it is the session.
//
// Most programs meet two names of it: [Session], which the client package
// makes for them, and [Store], which they choose an implementation of. A
// Session hands out the current access token, has it renewed once for all
// goroutines and for all processes that share the store, and saves the new
// token set before anyone uses it.
//
// # Errors
//
// Every failure is one of three: [ErrLoginRequired], [ErrTryAgain] or
// [ErrConfig]. The typed [Error] holds the facts; its Uncertain flag says
// that the refresh token may have been spent although no answer came.
//
// # Extending
//
// A [Refresher] performs one token request; a [Store] keeps opaque bytes
// with a compare-and-swap and a lock. Nothing else needs to be implemented.
package tokensource
