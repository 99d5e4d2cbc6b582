package keyringstore

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// Config configures a [Store]. New copies it. The zero Config is the usual
// one.
type Config struct {
	// Service is the name in the keyring under which people find the
	// entries, and a part of the directory's name: 1 to 64 of a-z, 0-9, dot,
	// underscore and hyphen. Empty: "pawl". Sessions of different services
	// are separate.
	Service string
	// Dir is the directory under which the store makes its own, which only
	// this user can enter. Empty: the user's state directory, found in the
	// user database and not in HOME: ~/.local/state/pawl, on macOS
	// ~/Library/Application Support/pawl, on Windows pawl in LocalAppData.
	// All processes that share sessions must agree on it.
	Dir string
	// Sealed keeps every record in the sealed file and only its key in the
	// keyring: faster, and without a prompt from keyrings that ask about
	// every overwriting. Processes may differ in it.
	Sealed bool
	// Interactive says that a person sits in front of this program: a locked
	// keyring may ask for its password, and has 60 seconds instead of 3. It
	// is ignored in an SSH session and, where a display is needed, without
	// one: the prompt would appear on a screen that nobody looks at.
	Interactive bool
	// Notice is where an interactive program says, in one line, that the
	// keyring is about to ask for its password: the dialog may come up
	// behind a terminal. It must be safe for concurrent use. Nil: os.Stderr.
	Notice io.Writer
}

// How long the keyring has. A whole Load or Swap shares one of the last two,
// so that a save of ten seconds has time for the file.
const (
	checkTime       = 500 * time.Millisecond
	callTime        = 3 * time.Second
	interactiveTime = 60 * time.Second

	// checkSlack is what a check has beyond its time to say what it waited
	// for: it obeys its context.
	checkSlack = time.Second
)

// New checks the configuration, makes the directory and removes what writers
// that were killed have left there. It does not touch the keyring; [Probe] does.
func New(c Config) (*Store, error) { return newStore(c, process()) }

func newStore(c Config, w *worker) (*Store, error) {
	service, err := sealedfile.ServiceName(c.Service)
	if err != nil {
		return nil, fmt.Errorf("keyringstore: %w", err)
	}
	dir, err := sealedfile.Dir(c.Dir, "keyring-"+service)
	if err != nil {
		return nil, fmt.Errorf("keyringstore: %w", err)
	}
	if c.Notice == nil {
		c.Notice = os.Stderr
	}
	s := &Store{
		service:     service,
		dir:         dir,
		sealed:      c.Sealed,
		interactive: c.Interactive && promptSeen(),
		notice:      c.Notice,
		worker:      w,
	}
	sealedfile.Sweep(dir, ".sealed", &s.locks, func(stem string) string { return filepath.Join(dir, stem+".swap") })
	return s, nil
}

// promptSeen tells whether a prompt would appear in front of whoever runs this
// program.
func promptSeen() bool {
	if os.Getenv("SSH_CONNECTION") != "" {
		return false
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		return true
	}
	return os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
}
