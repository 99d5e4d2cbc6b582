// Package fleet holds the tests in which whole processes share one session: it
// has no code of its own. The test binary starts itself as the processes, the
// server in the test counts what they do, and what counts is the server's word.
package fleet
