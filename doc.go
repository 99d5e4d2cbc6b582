// Package pawl is the root of a Go SDK that keeps a program signed in.
//
// Servers rotate refresh tokens: each may be used once, and a second use ends
// the session. pawl refreshes once per process and once per fleet, saves the
// new tokens before anyone uses them, and replays the request that a 401 held
// up.
//
// This package holds no code. Most programs need two others:
//
//   - [github.com/seed-9a12f4e2/pawl/client] is the front door: a Provider, a
//     Client, its Login, HTTPClient and Logout.
//   - [github.com/seed-9a12f4e2/pawl/tokensource/keyringstore] keeps the
//     session in the keyring of the operating system.
//
// Underneath, package transport is the http.RoundTripper and package
// tokensource is the session itself. Package authtest is the rotating
// authorization server that tests run against.
package pawl
