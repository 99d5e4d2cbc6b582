// Package keyringstore keeps sessions in the keyring of the operating system:
// the Secret Service on Linux and BSD, the Keychain on macOS, the Credential
// Manager on Windows. Most programs need [New], with the zero [Config].
//
// # Where a record lives
//
// The keyring's entry of a session holds a random 256-bit key and, if it fits,
// the record. Beside the lock there may be a file with a record that is sealed
// under that key (AES-256-GCM). Both carry a write counter, and the higher one
// wins. A record goes into the keyring when the whole entry has at most 2,400
// bytes, which is a record of about 1,740, and the keyring takes it within its
// deadline; otherwise it goes into the file, at once: a keyring that locks,
// hangs or dies between two writes cannot lose a fresh token. The next good
// write brings the record home. [Store.Where] tells where it is. With
// [Config.Sealed] it is always in the file and only the key in the keyring.
//
// A store that has read the key once remembers it, in memory. Without ever
// having read it a store can do nothing: its errors match [ErrLocked] and its
// kind then, and are a [tokensource.Error] that says to try again.
//
// [StateError] tells what was found instead of a keyring that answers, and
// docs/keyring.md what each state comes to.
//
// # A lost key
//
// When the key of the newest record is gone for good, Load returns a
// [tokensource.Error] with [tokensource.ReasonKeyLost], which asks for a
// login. For Swap a lost record is none: the login's first Swap, with the zero
// Version as the old one, writes over it under a new key. The same goes for a
// record that was damaged. A store that remembers the key may not notice, and
// then goes on with it until its process ends.
//
// # Other programs
//
// A keyring is shared. Of several entries of one name, as other programs make
// by copying, the one with the highest counter counts. KeePassXC has ways of its
// own; [Config.Sealed] suits it better.
//
// # What is on disk
//
// One directory per service, 0700, with three lock files and perhaps a sealed
// file for each session; the lock files are never removed. The lease is a
// kernel lock: it ends with its holder and needs no extending. The directory
// should be on a local disk.
package keyringstore
