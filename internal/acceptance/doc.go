// Package acceptance holds the acceptance matrix: every kind of server that
// authtest knows, over every transport, in one process and in four, under every
// fault. It has no code of its own. What each cell must come to is worked out
// from what the kind of server does with a refresh token that comes back, in
// expect_test.go, and not from what a run has shown; docs/acceptance.md is
// written by the run.
package acceptance
