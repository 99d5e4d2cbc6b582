package testserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Incident names something that happens in the midst of a request, to whoever
// it is from or to everybody: what Fault.Do can do, in a word.
type Incident string

// The incidents. Those of a session or a user befall the one of the request.
const (
	SessionIsRevoked       Incident = "revoke-session"
	UserIsBumped           Incident = "bump-user"
	UserIsDisabled         Incident = "disable-user"
	AccessIsRevoked        Incident = "expire-access"         // of everybody
	SessionAccessIsRevoked Incident = "expire-session-access" // what the session has by then: BeforeCommit spares the token of a refresh
	KeysAreRotated         Incident = "rotate-keys"
	KeysAreReplaced        Incident = "replace-keys" // and whatever the old ones signed is void
	StoreIsWiped           Incident = "wipe"         // see Server.Wipe
)

func incidents() []Incident {
	return []Incident{"", SessionIsRevoked, UserIsBumped, UserIsDisabled, AccessIsRevoked,
		SessionAccessIsRevoked, KeysAreRotated, KeysAreReplaced, StoreIsWiped}
}

func (i Incident) check() error {
	if slices.Contains(incidents(), i) {
		return nil
	}
	return fmt.Errorf("testserver: fault: no incident %q", string(i))
}

// befall makes it happen. Where the request is nobody's, what befalls somebody
// does not.
func (s *Server) befall(ctx context.Context, x *exchange, i Incident) error {
	who := s.who(x)
	switch {
	case i == AccessIsRevoked:
		return s.RevokeAccessTokens()
	case i == KeysAreRotated:
		return s.RotateKeys()
	case i == KeysAreReplaced:
		return s.ReplaceKeys()
	case i == StoreIsWiped:
		return s.Wipe()
	case i == SessionIsRevoked && who.session != "":
		return s.revoke(ctx, who.session, "incident")
	case i == SessionAccessIsRevoked && who.session != "":
		return s.RevokeAccessTokensOf(who.session)
	case i == UserIsBumped && who.user != "":
		return s.RevokeUser(who.user)
	case i == UserIsDisabled && who.user != "":
		return s.DisableUser(who.user)
	}
	return nil
}

// RevokeAccessTokensOf makes the access tokens that a session has by now
// invalid. It lives on.
func (s *Server) RevokeAccessTokensOf(id string) error {
	return s.store.update(context.Background(), id, func(t *tx) error {
		t.retireAccess(s.now())
		return nil
	})
}

// Wipe makes the server one that was restarted with an empty store: sessions,
// codes and registered clients are gone and the keys are new, while clients keep
// the tokens that they have. Users and configured clients stay. What the store
// holds of other issuers goes, too.
func (s *Server) Wipe() error {
	return errors.Join(s.store.wipe(context.Background()), s.ReplaceKeys())
}
