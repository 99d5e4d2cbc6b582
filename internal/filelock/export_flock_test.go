//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package filelock

// Meaning names what flock says.
var Meaning = meaning
