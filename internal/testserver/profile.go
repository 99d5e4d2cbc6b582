package testserver

import (
	"fmt"
	"maps"
	"slices"
)

// Profile is a kind of server, as data: what it does with the tokens, and how
// it words its answers. The zero Profile is "strict".
type Profile struct {
	Name string
	// About says what the profile stands for and where that is known from.
	About string
	// Approximate marks what no recording of the real server stands behind:
	// documentation, reports, memory.
	Approximate   bool
	Replay        Replay
	Dialect       Dialect
	RefreshFormat Format
	Wire          Wire
}

// Wire is how a profile's token endpoint talks. The first-party dialect has
// words of its own, which no profile changes.
type Wire struct {
	Path     string // of the token endpoint, served besides /oauth/token
	Body     Body
	Type     string   // token_type; empty: Bearer
	Members  []string // what a token answer holds besides RFC 6749 5.1
	Refusals map[Outcome]Refusal
}

// Refusal is how an outcome is told. A zero Status or empty Code is that of the
// outcome; an empty Text is none at all.
type Refusal struct {
	Status int
	Code   string
	Text   string
}

// Body is the form of a token endpoint's answers.
type Body uint8

// The forms of an answer.
const (
	BodyOAuth  Body = iota // RFC 6749 5.1 and 5.2
	BodyForm               // the same members form-encoded, JSON if the client accepts it
	BodyGoTrue             // {"code","error_code","msg"}, and JSON requests
	BodyOK                 // {"ok":true, ...} and {"ok":false,"error"}
)

// The members that a Wire can add to a token answer.
const (
	memberExpiresAt        = "expires_at"               // seconds since 1970
	memberRefreshExpires   = "refresh_expires_in"       // of the refresh token
	memberRefreshExpiresGH = "refresh_token_expires_in" // the same under another name
	memberRefreshTimeout   = "refresh_token_timeout"    // idle end of the refresh token
	memberGrantExpires     = "authorization_expires_in" // hard end of the session
	memberNotBefore        = "not-before-policy"
	memberSessionState     = "session_state"
	memberExtExpires       = "ext_expires_in"
	memberUser             = "user"
)

// Profiles lists the presets, simplest first.
func Profiles() []Profile {
	return slices.Concat(plainProfiles(), recordedProfiles(), reportedProfiles())
}

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

// every words a number of outcomes alike.
func every(r Refusal, outcomes ...Outcome) map[Outcome]Refusal {
	out := make(map[Outcome]Refusal, len(outcomes))
	for _, o := range outcomes {
		out[o] = r
	}
	return out
}

// dead words alike every outcome that says a refresh token is of no more use.
func dead(r Refusal) map[Outcome]Refusal {
	return every(r, ReuseDetected, ReplayRefused, SessionRevoked, UserDisabled, VersionBumped,
		SessionExpired, MaxRefreshes, TokenExpired, TokenRevoked, Unknown, WrongClient)
}

// merged is a map of the refusals of all; later ones win.
func merged(all ...map[Outcome]Refusal) map[Outcome]Refusal {
	out := make(map[Outcome]Refusal)
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

// Profile is what the server is like now.
func (s *Server) Profile() Profile { return *s.current.Load() }

// SetProfile makes the server behave like another one from the next decision
// on. Sessions live on, and so does the form of their refresh tokens, which is
// that of the first profile.
func (s *Server) SetProfile(p Profile) {
	if s.tellExpiry {
		p.Wire.Members = slices.Concat(p.Wire.Members, []string{memberRefreshTimeout, memberGrantExpires})
	}
	s.current.Store(&p)
}

// rules is the policy with what the profile adds to it now.
func (s *Server) rules() Policy {
	p := s.policy
	p.Replay = s.current.Load().Replay
	return p
}
