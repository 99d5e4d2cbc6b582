// Package simulation holds the simulation of the session: the real code of
// tokensource in several processes, over a store and against a server that are
// models, on fake time. It has no code of its own. One scheduler decides which
// process does its next step of I/O and what goes wrong with it, so that a run
// is the list of its decisions: small worlds are searched to the end, larger
// ones by seed. See docs/simulation.md.
package simulation
