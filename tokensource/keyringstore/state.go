package keyringstore

import "strconv"

// State says which part of a keyring is missing or silent; see [StateError].
type State uint8

// The states. Only Linux and the BSDs have all of them; elsewhere it is
// StateServiceHung or none.
const (
	// StateNoBus: no address of a session bus is known. It is [ErrNoBus].
	StateNoBus State = iota + 1
	// StateBusUnreachable: an address is known, and nobody listens there. It
	// is [ErrNoBus].
	StateBusUnreachable
	// StateBusHung: the bus takes connections and does not answer. It is
	// [ErrHung].
	StateBusHung
	// StateNoService: nothing on the bus keeps secrets, and nothing could be
	// started that does. It is [ErrNoService].
	StateNoService
	// StateActivatable: nothing on the bus keeps secrets, and the bus would
	// start something if it were called, which asks for a password first. It
	// is [ErrNoService].
	StateActivatable
	// StateServiceHung: the service, or the call that was made to it, does
	// not answer; it may be waiting for an answer to a dialog. It is
	// [ErrHung].
	StateServiceHung
	// StateNoCollection: the service has no default keyring. It is
	// [ErrNoCollection].
	StateNoCollection
	// StateLocked: the keyring is locked. It is [ErrLocked].
	StateLocked
)

// states has what belongs to each State, by its number.
var states = [...]struct {
	kind       error
	name, text string
}{
	StateNoBus:          {ErrNoBus, "no bus", "there is no D-Bus session bus"},
	StateBusUnreachable: {ErrNoBus, "bus unreachable", "nobody listens at the address of the D-Bus session bus"},
	StateBusHung:        {ErrHung, "bus hung", "the D-Bus session bus does not answer"},
	StateNoService:      {ErrNoService, "no service", "no secret service is running"},
	StateActivatable:    {ErrNoService, "activatable", "no secret service is running, although one could be started"},
	StateServiceHung:    {ErrHung, "service hung", "the keyring does not answer"},
	StateNoCollection:   {ErrNoCollection, "no collection", "there is no default keyring"},
	StateLocked:         {ErrLocked, "locked", "the keyring is locked"},
}

// known returns s, or 0 for what is no State.
func (s State) known() State {
	if int(s) >= len(states) {
		return 0
	}
	return s
}

// String returns a name of two words at most, such as "bus hung".
func (s State) String() string {
	if name := states[s.known()].name; name != "" {
		return name
	}
	return "State(" + strconv.Itoa(int(s)) + ")"
}

// StateError tells what was found instead of a keyring that can be used. It
// matches the sentinel of its State under errors.Is, and is found in the
// errors of a [Store] and of [Probe] with errors.As.
type StateError struct {
	// State is what was found.
	State State
	// Err is the cause, if there is one.
	Err error
}

// Error describes the state in one line.
func (e *StateError) Error() string {
	text := "keyringstore: " + states[e.State.known()].text
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Is reports whether target is the sentinel of the state.
func (e *StateError) Is(target error) bool {
	return target == states[e.State.known()].kind && target != nil
}

// Unwrap returns the cause.
func (e *StateError) Unwrap() error { return e.Err }
