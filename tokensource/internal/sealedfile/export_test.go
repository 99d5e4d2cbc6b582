package sealedfile

// StateDir is where Dir puts things by default.
var StateDir = stateDir
