package localstore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Backend is a place where sessions are kept.
type Backend uint8

// The places.
const (
	// Auto is no place: the order decides.
	Auto Backend = iota
	// Keyring: the keyring of the operating system (package keyringstore).
	Keyring
	// Sealed: files sealed under a key of the program's own (package
	// filestore).
	Sealed
	// KernelKey: files sealed under a key in the keyring of the Linux kernel,
	// which is gone after a reboot. By name only.
	KernelKey
	// Plain: files in the clear, with mode 0600. By name only.
	Plain
	// Memory: nowhere but in this process. By name only.
	Memory
)

// byName are the places that nobody gets without asking.
var byName = []Backend{KernelKey, Plain, Memory}

var backendNames = [...]string{
	Auto: "auto", Keyring: "keyring", Sealed: "sealed", KernelKey: "kernel-key", Plain: "plain", Memory: "memory",
}

// String returns "auto", "keyring", "sealed", "kernel-key", "plain" or
// "memory".
func (b Backend) String() string {
	if int(b) < len(backendNames) {
		return backendNames[b]
	}
	return fmt.Sprintf("Backend(%d)", uint8(b))
}

// ParseBackend is the inverse of String, for flags and environment variables.
// The empty name is Auto.
func ParseBackend(name string) (Backend, error) {
	if name == "" {
		return Auto, nil
	}
	for b, known := range backendNames {
		if name == known {
			return Backend(b), nil
		}
	}
	return Auto, fmt.Errorf("localstore: %q is no place for sessions: choose one of %s", name, strings.Join(backendNames[:], ", "))
}

// Choice tells what [Open] chose and why. It holds no secret.
type Choice struct {
	// Backend is the place; Auto where Open failed.
	Backend Backend
	// Where is where people find it: the service in the keyring, or the
	// directory of the files. Empty for Memory.
	Where string
	// Why is the reason in a few words.
	Why string
	// Rejected are the places that come before it in the order, and where
	// Open failed the one that it failed for.
	Rejected []Rejection
	// Hints name what else is known of this computer: "CI", "SSH",
	// "container", "WSL". They explain; they never decide.
	Hints []string
}

// Rejection is why a place was not used.
type Rejection struct {
	// Backend is the place.
	Backend Backend
	// Err is what was wrong with it.
	Err error
}

// short leaves out of an error what a list of errors need not repeat.
func (r Rejection) short() string {
	err := r.Err
	var e *tokensource.Error
	if errors.As(err, &e) && e.Err != nil {
		err = e.Err
	}
	return "not " + r.Backend.String() + ": " + strings.ReplaceAll(err.Error(), "\n", ", ")
}

// nowhere is the error of all places together, in one line.
type nowhere []Rejection

func (n nowhere) Error() string {
	text := "localstore: there is no place for sessions here"
	for _, r := range n {
		text += "; " + r.short()
	}
	return text
}

func (n nowhere) Unwrap() []error {
	var all []error
	for _, r := range n {
		all = append(all, r.Err)
	}
	return all
}

const (
	asked    = "asked for by name"
	keptHere = "the sessions are kept there since an earlier choice"
	first    = "the first place that can be used"
)

// String describes the choice in one line, for a log or a person.
func (c Choice) String() string {
	var b strings.Builder
	b.WriteString("no place")
	if c.Backend != Auto {
		b.Reset()
		b.WriteString(c.Backend.String())
	}
	if c.Where != "" {
		b.WriteString(" (" + c.Where + ")")
	}
	if c.Why != "" {
		b.WriteString(": " + c.Why)
	}
	for _, r := range c.Rejected {
		b.WriteString("; " + r.short())
	}
	if len(c.Hints) > 0 {
		b.WriteString("; here: " + strings.Join(c.Hints, ", "))
	}
	return b.String()
}
