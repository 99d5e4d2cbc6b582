package testserver

import "context"

// Watched is a store that tells of every step that locks sessions, before it is
// taken.
func Watched(s Store, before func()) Store { return watchedStore{s, before} }

type watchedStore struct {
	Store
	before func()
}

func (w watchedStore) update(ctx context.Context, id string, fn func(*tx) error) error {
	w.before()
	return w.Store.update(ctx, id, fn)
}

func (w watchedStore) updateAll(ctx context.Context, user, client, id string, fn func([]*tx) error) error {
	w.before()
	return w.Store.updateAll(ctx, user, client, id, fn)
}

// Holding runs fn under the lock of a session.
func Holding(s Store, id string, fn func()) error {
	return s.update(context.Background(), id, func(*tx) error { fn(); return nil })
}

// Version is a user's token version as the store has it now.
func Version(s Store, name string) int64 {
	u, err := s.user(context.Background(), name)
	if err != nil {
		panic(err)
	}
	return u.version
}

// PasswordOf is what the store keeps of a password.
func PasswordOf(s Store, name string) []byte {
	u, err := s.user(context.Background(), name)
	if err != nil {
		panic(err)
	}
	return u.password
}
