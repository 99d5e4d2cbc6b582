package tokensource_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// refresher stands for the client package's, which talks to a token endpoint.
type refresher struct{}

func (refresher) Refresh(_ context.Context, old tokensource.Grant) (tokensource.Grant, error) {
	return tokensource.Grant{
		AccessToken:  tokensource.NewSecret("access-2"),
		RefreshToken: tokensource.NewSecret("refresh-2"),
		Expiry:       time.Now().Add(15 * time.Minute),
	}, nil
}

func Example() {
	ctx := context.Background()
	session, err := tokensource.NewSession(tokensource.Config{
		Key:       tokensource.NewKey("https://as.example", "my-cli", "alice"),
		Store:     tokensource.NewMemoryStore(),
		Refresher: refresher{},
	})
	if err != nil {
		panic(err)
	}
	defer session.Close(ctx)

	_, err = session.Token(ctx)
	fmt.Println(errors.Is(err, tokensource.ErrLoginRequired))

	// Tokens from a login of the program's own.
	err = session.Adopt(ctx, tokensource.Grant{
		AccessToken:  tokensource.NewSecret("access-1"),
		RefreshToken: tokensource.NewSecret("refresh-1"),
		Expiry:       time.Now().Add(15 * time.Minute),
	})
	if err != nil {
		panic(err)
	}
	token, err := session.Token(ctx)
	fmt.Println(token.ID().Generation, err)

	// An API refused it.
	token, err = session.Renew(ctx, token)
	fmt.Println(token.ID().Generation, err)
	fmt.Println(token)
	// Output:
	// true
	// 1 <nil>
	// 2 <nil>
	// tokensource.Token{type: Bearer, generation: 2, [redacted]}
}
