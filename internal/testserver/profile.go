package testserver

import "fmt"

// Profile is a kind of server, as data.
type Profile struct {
	Name string
	// About says what the profile stands for and where that is known from.
	About         string
	Replay        Replay
	Dialect       Dialect
	RefreshFormat Format
}

// Profiles lists the presets, simplest first.
func Profiles() []Profile { return plainProfiles() }

// ProfileNamed returns a preset; the empty name is that of "strict".
func ProfileNamed(name string) (Profile, error) {
	if name == "" {
		name = "strict"
	}
	for _, p := range Profiles() {
		if p.Name == name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("testserver: there is no profile %q", name)
}
