package testserver

import (
	"fmt"
	"time"
)

// Profile is a kind of server, as data.
type Profile struct {
	Name          string
	Replay        Replay
	Dialect       Dialect
	RefreshFormat Format
}

// ProfileNamed returns a preset: "strict" (also ""), "grace" or "firstparty".
func ProfileNamed(name string) (Profile, error) {
	switch name {
	case "", "strict":
		// RFC 9700 4.14.2: reuse of a retired token revokes the live one.
		return Profile{Name: "strict"}, nil
	case "grace":
		// The overlap that FAPI 2.0 asks for and MAS ships: a retry of a lost
		// answer gets what the first answer held.
		return Profile{Name: "grace", Replay: Replay{Mode: Same, Window: 10 * time.Second, CloseOnChildUse: true}}, nil
	case "firstparty":
		// A company's own backend for its own programs: JSON, JWT refresh
		// tokens, and 403 for a session that is over for good.
		return Profile{Name: "firstparty", Dialect: JSON, RefreshFormat: JWT}, nil
	}
	return Profile{}, fmt.Errorf("testserver: there is no profile %q", name)
}
