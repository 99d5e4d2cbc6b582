// Package bench measures pawl side by side with what Go programs use today, in
// one run, so that the figures can be compared. It is a module of its own: the
// peers are never a dependency of pawl.
//
// The budgets: Token at most 0.66 of oauth2's time serially and 0.4 in
// parallel, without an allocation; RoundTrip at most 0.6 of oauth2's, with 3
// allocations; over loopback no slower at the median; one token request for
// 10,000 callers on an expired token.
package bench
