// Package localstore chooses where the sessions of a program are kept on this
// computer, says what it chose and why, and stays with it. [Open] is all of it.
//
// # The order
//
// [Config.Use] names a place, and then it is that one or an error. Otherwise the
// first of these that can be used:
//
//  1. the keyring of the operating system ([Keyring]);
//  2. a file sealed under [Config.Key], a key of the program's own ([Sealed]);
//  3. those of [KernelKey], [Plain] and [Memory] that [Config.Allow] names.
//
// A keyring counts as missing where there is none: no session bus, no secret
// service, no default keyring, a system that pawl knows none of. One that is
// locked, does not answer or fails is not missing: Open returns its error
// ([keyringstore.ErrLocked], [keyringstore.ErrHung]) at once, and chooses
// nothing in its place. It prompts only where [Config.Interactive] allows it and
// somebody would see it, never in an SSH session.
//
// # It stays
//
// A choice is recorded in a file without secrets, under a lock, so that programs
// that choose at once choose the same. From then on that place is used or Open
// fails: a session that went on in two places would present one refresh token
// twice. To move, log out, remove the file that the error names, and open again.
// [Memory] is never recorded.
//
// # What it links
//
// This package imports keyringstore and with it, on Linux and BSD, a D-Bus
// client. A program that wants none imports filestore instead.
package localstore
