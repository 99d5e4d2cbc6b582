package client

import (
	"context"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Flow is a way to log in. [Password] is one.
type Flow interface {
	// Login obtains a token set from p, once: whatever proves the login, a
	// code or a password, is never presented a second time.
	Login(ctx context.Context, p *Provider) (tokensource.Grant, error)
}

// Password logs in with a user name and a password: by POST /login where the
// API is the program's own ([JSONProvider]), and by the password grant of RFC
// 6749 4.3 at a token endpoint. The latter is for first-party programs and
// tests only: RFC 9700 2.4 forbids it otherwise, because it shows a password
// to a program that is not the server's own.
type Password struct {
	// Username is who logs in.
	Username string
	// Password proves it.
	Password tokensource.Secret
}

var _ Flow = Password{}

// Login sends the user name and the password, once.
func (f Password) Login(ctx context.Context, p *Provider) (tokensource.Grant, error) {
	if f.Username == "" || f.Password.IsZero() {
		return tokensource.Grant{}, &tokensource.Error{
			Reason: tokensource.ReasonRequest, Advice: "Password needs a Username and a Password",
		}
	}
	return p.login(ctx, f.Username, f.Password)
}
