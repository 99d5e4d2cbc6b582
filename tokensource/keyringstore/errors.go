package keyringstore

import (
	"errors"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Why the keyring cannot be used. They are found with errors.Is in what the
// methods of a [Store] and [Probe] return, which is a [*tokensource.Error]
// whose Advice says what to do. [StateError] tells more about most of them.
var (
	// ErrNoBus: there is no D-Bus session bus (a container, CI, cron, most
	// system services), or none answers at its address.
	ErrNoBus = errors.New("keyringstore: there is no D-Bus session bus")
	// ErrNoService: nothing on the session bus keeps secrets.
	ErrNoService = errors.New("keyringstore: no secret service is running")
	// ErrNoCollection: the secret service has no keyring to put secrets in.
	ErrNoCollection = errors.New("keyringstore: there is no default keyring")
	// ErrLocked: the keyring is locked, and unlocking it would take a prompt
	// that was not allowed, not answered or refused.
	ErrLocked = errors.New("keyringstore: the keyring is locked")
	// ErrHung: the keyring did not answer in time. Calls fail with it at
	// once while the one that hangs has not returned, and for five seconds
	// after one that was given up.
	ErrHung = errors.New("keyringstore: the keyring does not answer")
	// ErrNotStored: the keyring took a secret and does not give it back. A
	// prompt that was dismissed shows in no other way.
	ErrNotStored = errors.New("keyringstore: the keyring did not store the secret")
	// ErrUnsupported: there is no keyring for this system.
	ErrUnsupported = errors.New("keyringstore: this system has no keyring that pawl knows")
	// ErrFailed: the keyring failed in another way.
	ErrFailed = errors.New("keyringstore: the keyring failed")
)

// Why a session is lost: found in an error with
// [tokensource.ReasonKeyLost].
var (
	// ErrNoKey: there is a sealed file, and the keyring has no key for it, or
	// another one: it was reset, or an older state of it was restored.
	ErrNoKey = errors.New("keyringstore: the key of the sealed file is gone from the keyring")
	// ErrCorrupt: the keyring's entry or the sealed file is not what was
	// written. A daemon that is killed while it makes an entry leaves an
	// empty one.
	ErrCorrupt = errors.New("keyringstore: the stored session is damaged")
)

var (
	// errNoEntry is the answer of a keyring that has nothing under a name.
	errNoEntry = errors.New("keyringstore: no such entry")
	errNewer   = errors.New("keyringstore: the entry was written by a newer version of pawl")
)

var advice = []struct {
	err  error
	text string
}{
	{ErrNoBus, "run inside a desktop session, see whether DBUS_SESSION_BUS_ADDRESS is right, or use a filestore with a key of your own"},
	{ErrNoService, "start a secret service such as gnome-keyring, or use a filestore with a key of your own"},
	{ErrNoCollection, "create a default keyring with the desktop's password manager"},
	{ErrLocked, "unlock the keyring; a program with a person in front of it can set Interactive"},
	{ErrHung, "see whether the keyring waits for an answer to a dialog; restart the program if it stays so"},
	{ErrNotStored, "allow this program to write to the keyring when it asks"},
	{ErrUnsupported, "use a filestore with a key of your own"},
}

// storeError makes err an error of the store: try again. Errors that say more
// already, the store's sentinels and the end of a context stay what they are.
func storeError(err error) error {
	var typed *tokensource.Error
	if err == nil || errors.As(err, &typed) || errors.Is(err, errLeft) {
		return err
	}
	if errors.Is(err, errNewer) {
		return &tokensource.Error{Reason: tokensource.ReasonFormat, Advice: "update this program", Err: err}
	}
	e := &tokensource.Error{Reason: tokensource.ReasonStore, Err: err}
	for _, a := range advice {
		if errors.Is(err, a.err) {
			e.Advice = a.text
			break
		}
	}
	return e
}
