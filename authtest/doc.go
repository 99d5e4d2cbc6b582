// Package authtest runs an authorization server with refresh token rotation
// inside a test, in the manner of net/http/httptest.
//
//	srv := authtest.New(t)
//	tokens := srv.Login("alice", "laptop")
//	resp, err := srv.Client().PostForm(srv.URL()+"/oauth/token", url.Values{...})
//
// The server is strict unless told otherwise: each refresh token may be used
// once, and one that comes back ends its session. [Profiles] lists the kinds of
// server it can be instead. It speaks OAuth at
// /oauth/token and /oauth/revoke, and a first-party JSON dialect at /login,
// /refresh (also /refresh-token), /logout, /logout-all and /sessions; it
// protects /api/. The same below /session/ keeps the refresh token in an
// HttpOnly cookie.
//
// Every endpoint of the API catches a mistake of clients: me, echo, upload,
// stream, sse, ws, scope/{s}, stepup, 401-once, 401-always, 403-always,
// expire/{ttl}, redirect, charge, slow, rate, dpop, jwt and opaque.
//
// Three things make it more than a stub. [Server.Fault] loses, delays or
// rewrites an answer at a named stage: at [AfterCommit] the server has rotated
// and the client will never hear of it; [Server.Script] plays one fault after
// the other. [Server.Gate] holds requests so that a test chooses the order of a
// race. And [Server.Stats], [Server.Redemptions], [Server.Exchanges] and
// [Server.Violations] tell from the server's side what the client did. Tests in
// other languages do the same over HTTP, at /_test/.
//
// Inside a testing/synctest bubble use [NewPipe], whose connections are in
// memory: seven days pass in milliseconds. The package does not link testing,
// so programs may use it through [NewServer]. It is not for production.
package authtest
