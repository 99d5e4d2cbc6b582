package tokensource_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

const canary = "canary-3f9a"

// hidden reaches its value through an unexported field, where fmt calls no
// method.
type hidden struct {
	value any
	list  []any
}

// Guards every method of Secret and Token that prints.
func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	g := tokensource.Grant{
		AccessToken: tokensource.NewSecret(canary), RefreshToken: tokensource.NewSecret(canary),
		IDToken: tokensource.NewSecret(canary), Expiry: time.Now().Add(time.Hour),
	}
	tok := tokensource.NewToken(tokensource.TokenID{Generation: 1}, g)
	type embedding struct {
		tokensource.Secret
		G tokensource.Grant
		t tokensource.Token
	}
	for _, v := range []any{
		g.AccessToken, &g.AccessToken, g, &g, tok, &tok, tok.Authorization(), embedding{g.AccessToken, g, tok},
		hidden{value: g, list: []any{tok, g.AccessToken}}, map[string]tokensource.Token{"x": tok}, []tokensource.Secret{g.AccessToken},
	} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T", "%08.3f"} {
			fmt.Fprintf(&out, verb, v)
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("x", "v", v, slog.Group("g", "v", v))
		}
		if data, err := json.Marshal(v); err == nil {
			out.Write(data)
		}
		if data, err := xml.Marshal(v); err == nil {
			out.Write(data)
		}
		assert.NotContains(t, out.String(), canary, "%T", v)
		assert.NotContains(t, out.String(), fmt.Sprintf("%x", canary), "%T", v)
	}
}

func TestRevealIsTheOnlyWayOutOfASecret(t *testing.T) {
	s := tokensource.NewSecret(canary)
	assert.Equal(t, canary, s.Reveal())
	assert.Equal(t, "[redacted]", s.String())
	assert.True(t, s.Equal(tokensource.NewSecret(canary)))
	assert.False(t, s.Equal(tokensource.NewSecret(canary+"x")))
	assert.False(t, s.IsZero())
	var zero tokensource.Secret
	assert.True(t, zero.IsZero())
	assert.Empty(t, zero.Reveal())
	var read struct{ S tokensource.Secret }
	assert.Error(t, json.Unmarshal([]byte(`{"S":"`+canary+`"}`), &read), "a placeholder must not be read back as a token")
}

func TestAZeroTokenHoldsNothing(t *testing.T) {
	var tok tokensource.Token
	assert.True(t, tok.IsZero())
	assert.True(t, tok.AccessToken().IsZero())
	assert.True(t, tok.Authorization().IsZero())
	assert.Zero(t, tok.ID())
	assert.Zero(t, tok.Expiry())
	assert.Nil(t, tok.Scopes())
}

func TestTokenTypesAreComparedWithoutCase(t *testing.T) {
	for in, want := range map[string]string{"": "Bearer", "bearer": "Bearer", "BEARER": "Bearer", "dpop": "DPoP", "mac": "mac"} {
		tok := tokensource.NewToken(tokensource.TokenID{}, tokensource.Grant{AccessToken: tokensource.NewSecret("x"), TokenType: in})
		assert.Equal(t, want, tok.Type(), in)
		assert.Equal(t, want+" x", tok.Authorization().Reveal(), in)
	}
}

// Guards Reason.Class: each reason belongs to one class, found through the
// wrappers of net/http too.
func TestEveryErrorBelongsToOneOfThreeClasses(t *testing.T) {
	classes := []error{tokensource.ErrLoginRequired, tokensource.ErrTryAgain, tokensource.ErrConfig}
	for r := tokensource.Reason(0); r <= tokensource.ReasonRequest; r++ {
		err := error(&url.Error{Op: "Get", URL: "https://api.example", Err: fmt.Errorf("wrapped: %w", &tokensource.Error{Reason: r})})
		matches := 0
		for _, c := range classes {
			if errors.Is(err, c) {
				matches++
				assert.Equal(t, c, r.Class())
			}
		}
		assert.Equal(t, 1, matches, r.String())
		require.NotEmpty(t, r.String())
	}
	assert.Equal(t, tokensource.ErrTryAgain, tokensource.Reason(200).Class())
}

func TestAnErrorSaysWhatHappenedAndWhatToDo(t *testing.T) {
	for want, e := range map[string]*tokensource.Error{
		"tokensource: the server rejected the refresh token (HTTP status 400, invalid_grant); the refresh token may have been spent; log in again": {
			Reason: tokensource.ReasonRejected, Uncertain: true, Status: 400, Code: "invalid_grant", Description: canary,
		},
		"tokensource: rate limited (HTTP status 429); try again in 1.5s":                        {Reason: tokensource.ReasonRateLimited, Status: 429, RetryAfter: 1500 * time.Millisecond},
		"tokensource: the store failed; try again: unlock the keyring: no space left on device": {Reason: tokensource.ReasonStore, Advice: "unlock the keyring", Err: errDisk},
	} {
		assert.Equal(t, want, e.Error())
	}
}
