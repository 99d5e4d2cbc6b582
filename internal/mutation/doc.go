// Package mutation takes the rules of a refresh out of the code, one clause at a
// time, and sees the simulation turn red. It has no code of its own: a test
// writes a changed copy of a source file and builds the tests over it with go
// test -overlay, so that no switch is left in the code. See docs/simulation.md.
package mutation
