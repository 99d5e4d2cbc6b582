package sealedfile

// StateDir is where Dir puts things by default.
var StateDir = stateDir

// Patiently is how a file is replaced.
var Patiently = patiently
