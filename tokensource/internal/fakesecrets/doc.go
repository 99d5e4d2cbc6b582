// Package fakesecrets is a Secret Service for tests, on a private bus, whose
// every answer is scripted: prompts that are accepted, dismissed or never
// answered, a locked keyring or none, items of other programs, secrets that
// are dropped or torn, calls that hang. Clients cannot tell it from a real one.
//
// It stands beside the tests against real services and never replaces one: it
// shows what real ones do only when a person or a bad moment helps.
package fakesecrets
