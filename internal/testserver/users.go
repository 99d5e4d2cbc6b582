package testserver

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"
)

// user is someone who can sign in.
type user struct {
	name     string
	version  int64     // moves on when all that was issued before is to be dead
	disabled time.Time // zero: may sign in
	password []byte    // see hashPassword
}

// A password is kept as its salt and what PBKDF2 (RFC 8018 5.2) makes of both.
// The rounds are few: a test signs in thousands of times, and what it signs in
// with is in its source.
const (
	saltSize       = 16
	passwordRounds = 128
)

var (
	errUserUnnamed = errors.New("testserver: a user needs a name")
	errUserTaken   = errors.New("testserver: there is a user of that name")
)

func hashPassword(password string) ([]byte, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	return saltedPassword(password, salt)
}

func saltedPassword(password string, salt []byte) ([]byte, error) {
	key, err := pbkdf2.Key(sha256.New, password, salt, passwordRounds, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("testserver: hashing a password: %w", err)
	}
	return append(salt[:saltSize:saltSize], key...), nil
}

// knows reports whether it is the user's password.
func (u user) knows(password string) (bool, error) {
	if len(u.password) < saltSize {
		return false, nil
	}
	salted, err := saltedPassword(password, u.password[:saltSize])
	return subtle.ConstantTimeCompare(salted, u.password) == 1, err
}

// AddUser adds someone who can sign in from now on, at every server that shares
// the store.
func (s *Server) AddUser(u User) error {
	fresh, err := s.addUser(context.Background(), u)
	if err == nil && !fresh {
		err = errUserTaken
	}
	return err
}

func (s *Server) addUser(ctx context.Context, u User) (fresh bool, err error) {
	if u.Name == "" {
		return false, errUserUnnamed
	}
	hash, err := hashPassword(u.Password)
	if err != nil {
		return false, err
	}
	return s.store.addUser(ctx, u.Name, hash)
}

// addUsers adds those of the Config. One that the store knows already gets the
// password that the Config has: what was asked for last is what works.
func (s *Server) addUsers(ctx context.Context, list []User) error {
	for _, u := range list {
		fresh, err := s.addUser(ctx, u)
		if err != nil {
			return err
		}
		if fresh {
			continue
		}
		known, err := s.store.user(ctx, u.Name)
		if err != nil {
			return err
		}
		if same, err := known.knows(u.Password); err != nil || same {
			return err
		}
		hash, err := hashPassword(u.Password)
		if err != nil {
			return err
		}
		if err := s.store.setPassword(ctx, u.Name, hash); err != nil {
			return err
		}
	}
	return nil
}

// userNames lists those who can sign in.
func (s *Server) userNames(x *exchange) (names []string) {
	all, err := s.store.users(x.ctx())
	if err != nil {
		s.failure(x, err) // a page does without
	}
	for _, u := range all {
		if u.disabled.IsZero() {
			names = append(names, u.name)
		}
	}
	return names
}

// signIn checks a password. A locked user and a wrong name are told alike.
func (s *Server) signIn(x *exchange, name, password string) Outcome {
	u, err := s.store.user(x.ctx(), name)
	if errors.Is(err, errUnknownUser) {
		return WrongPassword
	}
	knows := false
	if err == nil {
		knows, err = u.knows(password)
	}
	switch {
	case err != nil:
		return s.failure(x, err)
	case !knows, !u.disabled.IsZero():
		return WrongPassword
	}
	return LoggedIn
}
