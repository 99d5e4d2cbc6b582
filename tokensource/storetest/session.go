package storetest

import (
	"context"
	"errors"
	"sync"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

var sessionClauses = []clause{
	{"goes on in the next process",
		"what a session saved is what the next one finds", nil, sessionReopened},
	{"spends each refresh token once",
		"sessions that share the store renew as one: each finds what the one before it has saved", nil, sessionsInTurn},
	{"a logout wins over a refresh",
		"an ended record is never written over by a refresh that was under way", nil, logoutWins},
	{"a late writer drops its child",
		"a session that a login has replaced is never written again by a refresh that was under way", nil, lateWriter},
	{"reserves before it spends",
		"while the store cannot be written, no refresh token leaves", nil, reserveFirst},
	{"knows its own write",
		"after a Swap that failed and had written, Load returns the version that it wrote", nil, knowsItsWrite},
}

// session returns a Session over store that is closed with the clause.
func (s *subject) session(v *server, store tokensource.Store) *tokensource.Session {
	s.Helper()
	session, err := tokensource.NewSession(tokensource.Config{Key: s.key, Store: store, Refresher: v, Revoker: v})
	if err != nil {
		s.Fatalf("NewSession: %v", err)
	}
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.config.patience)
		defer cancel()
		if err := session.Close(ctx); err != nil {
			s.Errorf("closing a Session: %v", err)
		}
	})
	return session
}

// loggedIn returns a Session over s.store after a login.
func (s *subject) loggedIn(ctx context.Context, v *server) *tokensource.Session {
	s.Helper()
	session := s.session(v, s.store)
	if err := session.Adopt(ctx, v.login()); err != nil {
		s.Fatalf("saving a login: %v", err)
	}
	return session
}

// renew makes session trade its refresh token, and returns the new token.
func renew(ctx context.Context, session *tokensource.Session) (tokensource.Token, error) {
	tok, err := session.Token(ctx)
	if err != nil {
		return tok, err
	}
	return session.Renew(ctx, tok)
}

func sessionReopened(ctx context.Context, s *subject) {
	v := newServer()
	before, err := renew(ctx, s.loggedIn(ctx, v))
	if err != nil {
		s.Fatalf("a refresh: %v", err)
	}
	after, err := s.session(v, s.another()).Token(ctx)
	if err != nil {
		s.Fatalf("the next Session: %v", err)
	}
	if after.ID() != before.ID() || !after.AccessToken().Equal(before.AccessToken()) {
		s.Errorf("the next Session found token set %v, want %v", after.ID(), before.ID())
	}
}

func sessionsInTurn(ctx context.Context, s *subject) {
	v := newServer()
	sessions := []*tokensource.Session{s.loggedIn(ctx, v), s.session(v, s.another()), s.session(v, s.another())}
	var all sync.WaitGroup
	for _, session := range sessions {
		all.Go(func() {
			for range 3 {
				if _, err := renew(ctx, session); err != nil {
					s.Errorf("a refresh: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	tok, err := s.session(v, s.another()).Token(ctx)
	if err != nil {
		s.Fatalf("a Session that looks afterwards: %v", err)
	}
	asked, reused := v.seen()
	if reused {
		s.Error("a refresh token was presented twice")
	}
	if got := tok.ID().Generation; got != 1+asked {
		s.Errorf("the store holds generation %d after %d refreshes; want %d", got, asked, 1+asked)
	}
}

// underWay returns a Session in the middle of a refresh that the server has
// granted, and a function that lets the answer arrive and waits for what the
// refresh ends with.
func (s *subject) underWay(ctx context.Context, v *server) (finish func() error) {
	s.Helper()
	session := s.loggedIn(ctx, v)
	granted, let := v.hold()
	ended := make(chan error, 1)
	go func() {
		_, err := renew(ctx, session)
		ended <- err
	}()
	select {
	case <-granted:
	case err := <-ended:
		s.Fatalf("a refresh ended before it was asked for: %v", err)
	}
	return func() error {
		let()
		return <-ended
	}
}

func logoutWins(ctx context.Context, s *subject) {
	v := newServer()
	finish := s.underWay(ctx, v)
	if err := s.session(v, s.another()).End(ctx); err != nil {
		s.Errorf("logging out: %v", err)
	}
	child := v.child()
	if err := finish(); !errors.Is(err, tokensource.ErrLoginRequired) {
		s.Errorf("the refresh that a logout overtook ended with %v; want ErrLoginRequired", err)
	}
	_, err := s.session(v, s.another()).Token(ctx)
	var e *tokensource.Error
	if !errors.As(err, &e) || e.Reason != tokensource.ReasonLoggedOut {
		s.Errorf("a Session that looks after the logout: %v; want that the session is logged out", err)
	}
	if !v.wasRevoked(child) {
		s.Error("the tokens that arrived after the logout were not revoked")
	}
}

func lateWriter(ctx context.Context, s *subject) {
	v := newServer()
	finish := s.underWay(ctx, v)
	child := v.child()
	login := v.login()
	if err := s.session(v, s.another()).Adopt(ctx, login); err != nil {
		s.Errorf("saving another login: %v", err)
	}
	if err := finish(); err != nil {
		s.Errorf("the refresh that a login overtook: %v; want the login's token", err)
	}
	tok, err := s.session(v, s.another()).Token(ctx)
	if err != nil || !tok.AccessToken().Equal(login.AccessToken) {
		s.Errorf("a Session that looks after the login found another token than the login's, error: %v", err)
	}
	if !v.wasRevoked(child) {
		s.Error("the tokens that arrived after the login were not revoked")
	}
}

// twisted is a store whose Swap goes another way.
type twisted struct {
	tokensource.Store
	swap func(write func() error) error
}

// Swap goes that way.
func (t twisted) Swap(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	return t.swap(func() error { return t.Store.Swap(ctx, key, old, new, data) })
}

var errDisk = errors.New("storetest: no space left on device")

func reserveFirst(ctx context.Context, s *subject) {
	v := newServer()
	before, err := s.loggedIn(ctx, v).Token(ctx)
	if err != nil {
		s.Fatalf("after a login: %v", err)
	}
	full := s.session(v, twisted{s.another(), func(func() error) error { return errDisk }})
	if _, err := renew(ctx, full); !errors.Is(err, tokensource.ErrTryAgain) {
		s.Errorf("a refresh over a store that cannot be written: %v; want ErrTryAgain", err)
	}
	if asked, _ := v.seen(); asked != 0 {
		s.Errorf("%d refresh tokens left although the store could not be written", asked)
	}
	// Nothing is lost by it, and the lease is free.
	after, err := renew(ctx, s.session(v, s.another()))
	if err != nil || after.ID().Generation != before.ID().Generation+1 {
		s.Errorf("the refresh after that ended with %v, generation %d", err, after.ID().Generation)
	}
}

func knowsItsWrite(ctx context.Context, s *subject) {
	v := newServer()
	session := s.session(v, twisted{s.store, func(write func() error) error {
		if err := write(); err != nil {
			return err
		}
		return errors.New("storetest: the connection was lost after the write")
	}})
	if err := session.Adopt(ctx, v.login()); err != nil {
		s.Fatalf("saving a login: %v", err)
	}
	if _, err := renew(ctx, session); err != nil {
		s.Errorf("a refresh: %v", err)
	}
	if tok, err := s.session(v, s.another()).Token(ctx); err != nil || tok.ID().Generation != 2 {
		s.Errorf("a Session that looks afterwards found generation %d, error: %v; want 2", tok.ID().Generation, err)
	}
}
