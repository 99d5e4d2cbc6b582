// Package testserver is an authorization server with refresh token rotation,
// made to test clients: it says exactly what a client did, and it can lose an
// answer at the one moment that matters, after it has rotated.
//
// The rule that decides what a presented refresh token earns is one pure
// function, [Decide]. Around it stand a store with one lock per session, two
// dialects (OAuth under /oauth, first-party JSON under /login and /refresh), a
// small protected API, faults and gates that act at named stages of a request,
// and a ledger that counts what each refresh token was used for. What kind of
// server it is, a [Profile] says: a policy for Decide and a wording for the
// token endpoint.
//
// Servers over one store are one server to clients: users, sessions, keys,
// codes and whatever must not come twice are in it. Each has its own faults,
// gates, clock and ledger, which are a test's, and its own rate limits: a bucket
// in the store would make every request that is refused cost a write, which is
// what the limit is there to avoid, so two servers let twice as many through.
//
// The package imports nothing else of this module: it is an independent
// witness. Programs reach it through package authtest. It is not for
// production, and says so in every answer.
package testserver
