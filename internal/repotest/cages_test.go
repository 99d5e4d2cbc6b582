package repotest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// cage puts the canary into values of one type.
type cage = func(*testing.T) []any

// cages covers every exported type that can hold a secret.
var cages = []map[string]cage{tokensourceCages, clientCages}

func caged(name string) cage {
	for _, table := range cages {
		if table[name] != nil {
			return table[name]
		}
	}
	return nil
}

var tokensourceCages = map[string]cage{
	"tokensource.Secret": func(*testing.T) []any { return in(tokensource.NewSecret(canary)) },
	"tokensource.Grant":  func(*testing.T) []any { return in(grant()) },
	"tokensource.Token":  func(*testing.T) []any { return in(token()) },
	"tokensource.Error": func(*testing.T) []any {
		err := &tokensource.Error{Reason: tokensource.ReasonLost, Err: fmt.Errorf("with %v and %v", token(), grant())}
		return append(in(err), in(errors.Join(err))...)
	},
	"tokensource.Config": func(*testing.T) []any { return in(sessionConfig()) },
	"tokensource.Session": func(t *testing.T) []any {
		_, session := liveSession(t)
		return in(session)
	},
	"tokensource.MemoryStore": func(t *testing.T) []any {
		store, _ := liveSession(t)
		return in(store)
	},
}

// holdsNone lists types that look as if they could hold a secret, each with
// the reason why they cannot.
var holdsNone = map[string]string{
	"tokensource.Source":    "an interface",
	"tokensource.Refresher": "an interface",
	"transport.Renewer":     "an interface",
}

func grant() tokensource.Grant {
	secret := tokensource.NewSecret(canary)
	return tokensource.Grant{AccessToken: secret, RefreshToken: secret, IDToken: secret, Expiry: time.Now().Add(time.Hour)}
}

func token() tokensource.Token {
	return tokensource.NewToken(tokensource.TokenID{Generation: 1}, grant())
}

// refresher is how a program's own implementation keeps its client secret.
type refresher struct{ clientSecret tokensource.Secret }

func (refresher) Refresh(context.Context, tokensource.Grant) (tokensource.Grant, error) {
	return grant(), nil
}

func sessionConfig() tokensource.Config {
	return tokensource.Config{
		Key:       tokensource.NewKey("https://id.example.com", "client", ""),
		Store:     tokensource.NewMemoryStore(),
		Refresher: refresher{tokensource.NewSecret(canary)},
	}
}

// liveSession returns a session that holds tokens in memory and in its store.
func liveSession(t *testing.T) (*tokensource.MemoryStore, *tokensource.Session) {
	t.Helper()
	cfg := sessionConfig()
	session, err := tokensource.NewSession(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, session.Close(context.WithoutCancel(t.Context()))) })
	require.NoError(t, session.Adopt(t.Context(), grant()))
	held, err := session.Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, canary, held.AccessToken().Reveal())
	return cfg.Store.(*tokensource.MemoryStore), session
}
