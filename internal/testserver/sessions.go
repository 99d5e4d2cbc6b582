package testserver

import (
	"context"
	"time"
)

// Session is what the server knows of one login on one device.
type Session struct {
	ID         string
	Client     string
	Device     string
	Scope      string
	CreatedAt  time.Time
	LastUsedAt time.Time
	ExpiresAt  time.Time // the hard end
	Refreshes  int
	Ended      string // why it was revoked; empty while it lives
}

func (s session) describe() Session {
	return Session{
		ID: s.id, Client: s.client, Device: s.device, Scope: s.scope,
		CreatedAt: s.created, LastUsedAt: s.lastUsed, ExpiresAt: s.absolute,
		Refreshes: int(s.refreshes), Ended: s.ended,
	}
}

// Login starts a session without HTTP, as the default client.
func (s *Server) Login(name, device string) (Tokens, error) {
	ctx := context.Background()
	if _, err := s.store.user(ctx, name); err != nil {
		return Tokens{}, err
	}
	return s.enter(ctx, session{user: name, client: s.clients.first, device: device, acr: acrPassword}, start{})
}

// Sessions lists the sessions of a user, oldest first, ended ones included.
func (s *Server) Sessions(name string) ([]Session, error) {
	return s.sessionsOf(context.Background(), name)
}

func (s *Server) sessionsOf(ctx context.Context, name string) ([]Session, error) {
	if name == "" { // the store's word for everybody
		return nil, errUnknownUser
	}
	rows, err := s.store.sessions(ctx, name)
	out := make([]Session, len(rows))
	for i, row := range rows {
		out[i] = row.describe()
	}
	return out, err
}

// RevokeSession ends one session, for a reason that Sessions will tell. It is
// an error if there is no such session, none if it is over already.
func (s *Server) RevokeSession(id, reason string) error {
	return s.revoke(context.Background(), id, reason)
}

// revoke ends a session under its lock: a refresh that is under way is either
// committed before, and what it minted dies, or finds the session revoked.
func (s *Server) revoke(ctx context.Context, id, reason string) error {
	ended := false
	err := s.store.update(ctx, id, func(t *tx) error {
		ended = t.end(reason, s.now())
		return nil
	})
	if err == nil && ended {
		s.ledger.count(func(st *Stats) { st.SessionsRevoked++ })
	}
	return err
}

// revokeAll ends every session of the user and moves the token version on, so
// that a login that is under way elsewhere dies, too.
func (s *Server) revokeAll(ctx context.Context, name, reason string) error {
	if err := s.store.bumpUser(ctx, name); err != nil {
		return err
	}
	ended := 0
	err := s.store.updateAll(ctx, name, "", "", func(all []*tx) error {
		ended = 0
		for _, t := range all {
			if t.end(reason, s.now()) {
				ended++
			}
		}
		return nil
	})
	if err == nil {
		s.ledger.count(func(st *Stats) { st.SessionsRevoked += ended })
	}
	return err
}

// RevokeUser moves a user's token version on, as a changed password does: all
// that was issued before is dead.
func (s *Server) RevokeUser(name string) error { return s.store.bumpUser(context.Background(), name) }

// DisableUser locks a user out.
func (s *Server) DisableUser(name string) error {
	return s.store.disableUser(context.Background(), name, s.now())
}

// EnableUser lets a user in again who was locked out. What they had before is
// good again, too, as far as nothing else ended it.
func (s *Server) EnableUser(name string) error {
	return s.store.disableUser(context.Background(), name, time.Time{})
}

// RevokeAccessTokens makes every access token issued so far invalid at once.
// The sessions live on.
func (s *Server) RevokeAccessTokens() error {
	return s.store.revokeAccess(context.Background(), s.now())
}

// retain sweeps the store once in a while. A session is kept for its own
// length again after its hard end: a client that comes late is told that the
// session is over, which an unknown token would not tell it.
func (s *Server) retain(ctx context.Context, now time.Time) {
	ttl := s.policy.AbsoluteTTL
	last := s.swept.Load()
	if now.UnixMilli()-last < ttl.Milliseconds()/4 || !s.swept.CompareAndSwap(last, now.UnixMilli()) {
		return
	}
	if err := s.store.sweep(ctx, now.Add(-ttl), now); err != nil {
		s.log.ErrorContext(ctx, "sweeping the store", "error", err)
	}
}
