// Package repotest keeps the house rules of the repository as tests: a rule
// that lives in a document alone is forgotten.
//
// Each rule is a function from a [Tree] to the complaints it has. The tests
// run every rule twice: over the repository, where it must be silent, and
// over a tiny tree that breaks it, where it must not. The lists of what is
// allowed, each line with its reason, are in the tests and meant to be edited.
package repotest
