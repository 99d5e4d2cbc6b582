package testserver

import (
	"encoding/hex"
	"net/http"
	"time"
)

// sessionState is a session at the control plane.
type sessionState struct {
	ID         string    `json:"id"`
	User       string    `json:"user"`
	Client     string    `json:"client"`
	Device     string    `json:"device"`
	Scope      string    `json:"scope"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt"`
	ExpiresAt  time.Time `json:"expiresAt"`
	Refreshes  int64     `json:"refreshes"`
	Ended      string    `json:"ended"` // why; empty while it lives
}

// member is one refresh token of a family. Its mark is the one of
// Exchange.Presented; the token does not follow from it.
type member struct {
	Mark       string     `json:"mark"`
	Parent     string     `json:"parent,omitempty"`
	Generation int64      `json:"generation"`
	Branch     int64      `json:"branch"`
	Status     string     `json:"status"` // active, rotated or revoked
	IssuedAt   time.Time  `json:"issuedAt"`
	ExpiresAt  time.Time  `json:"expiresAt"`
	UsedAt     *time.Time `json:"usedAt,omitempty"`
	Uses       int64      `json:"uses"` // replays included
}

func (s session) state() sessionState {
	return sessionState{
		ID: s.id, User: s.user, Client: s.client, Device: s.device, Scope: s.scope,
		CreatedAt: s.created, LastUsedAt: s.lastUsed, ExpiresAt: s.absolute, Refreshes: s.refreshes, Ended: s.ended,
	}
}

func (t refreshToken) state() member {
	m := member{
		Mark: hex.EncodeToString(t.hash[:4]), Generation: t.generation, Branch: t.branch,
		Status:   [...]string{statusActive: "active", statusRotated: "rotated", statusRevoked: "revoked"}[t.status],
		IssuedAt: t.issued, ExpiresAt: t.expires, Uses: t.uses,
	}
	if t.parent != (digest{}) {
		m.Parent = hex.EncodeToString(t.parent[:4])
	}
	if !t.used.IsZero() {
		m.UsedAt = &t.used
	}
	return m
}

// familyOf reads a session and its tokens.
func (s *Server) familyOf(r *http.Request, id string) (sess session, members []member, err error) {
	members = []member{}
	err = s.store.view(r.Context(), id, func(t *tx) error {
		sess = t.session
		rows, err := t.rows.family()
		members = members[:0]
		for _, row := range rows {
			members = append(members, row.state())
		}
		return err
	})
	return sess, members, err
}

func (s *Server) getSession(w http.ResponseWriter, r *http.Request) {
	sess, members, err := s.familyOf(r, r.PathValue("id"))
	if err != nil {
		s.controlled(w, err)
		return
	}
	writeControl(w, http.StatusOK, struct {
		sessionState
		Tokens []member `json:"tokens"`
	}{sess.state(), members})
}

func (s *Server) getState(w http.ResponseWriter, r *http.Request) {
	rows, err := s.store.sessions(r.Context(), "")
	if err != nil {
		s.controlled(w, err)
		return
	}
	sessions := []sessionState{}
	for _, row := range rows {
		sessions = append(sessions, row.state())
	}
	unfired := []string{}
	for _, rule := range s.Unfired() {
		unfired = append(unfired, rule.String())
	}
	writeControl(w, http.StatusOK, struct {
		Clock      clockState     `json:"clock"`
		Stats      Stats          `json:"stats"`
		Sessions   []sessionState `json:"sessions"`
		Faults     []ruleState    `json:"faults"`
		Scripts    []scriptJSON   `json:"scripts"`
		Gates      []gateJSON     `json:"gates"`
		Unfired    []string       `json:"unfired"`
		Violations int            `json:"violations"`
	}{s.clockState(), s.Stats(), sessions, s.ruleStates(), s.scriptStates(), s.gateStates(), unfired, len(s.Violations())})
}
