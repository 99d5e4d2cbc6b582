// Package client is the front door of pawl.
//
// Most programs need two names of it: [New], which makes a [Client], and
// [Client.HTTPClient], whose requests carry a token that is renewed when its
// time comes and replayed when an API refuses it.
//
// # Providers
//
// A [Provider] says which server hands out the tokens: [OAuthProvider] for an
// OAuth 2.0 token endpoint, [JSONProvider] for an API of your own that speaks
// JSON. What a server answers is judged in one place, so that each failure is
// one of three: tokensource.ErrLoginRequired, ErrTryAgain or ErrConfig.
//
// # Sharp edges
//
// A refresh token may be sent once. So a token request is one POST on a fresh
// HTTP/1.1 connection that is never repeated, redirected or reused, and
// neither a login nor a refresh is tried again with another way of client
// authentication.
//
// The package never logs in by itself and never opens a browser. A session
// that is over says so; the program calls [Client.Login] with a [Flow].
//
// # Compatibility
//
// Fields may be added to the Config structs; their zero values keep meaning
// what they mean now. A [Provider] is opaque, and there will be more ways to
// make one.
package client
