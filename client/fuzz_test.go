package client_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// sent is what the request held: a token with characters that forms and JSON
// write in other ways.
const sent = `v1.MRrV/cGXk+0%zQ"e&4\1~s-8x`

// parrot puts what was sent in place of marks in a fuzzed body, so that a server
// which repeats it is found without guessing: whole, as a form and as
// JSON have it, and in halves, which something may come between.
var parrot = strings.NewReplacer(
	"<RT1>", sent, "<FORM>", url.QueryEscape(sent), "<JSON>", jsonText(sent),
	"<HALF1>", jsonText(sent[:9]), "<HALF2>", jsonText(sent[9:]),
)

func jsonText(s string) string {
	quoted, _ := json.Marshal(s)
	return string(quoted[1 : len(quoted)-1])
}

// FuzzAnswer reads any answer as one to a refresh. Whatever it says, it is
// either a token set that can be sent or a failure of one class, within
// bounds, that shows neither what was sent nor what came.
func FuzzAnswer(f *testing.F) {
	for _, j := range append(oauthAnswers, jsonAnswers...) {
		f.Add(j.status, j.contentType, j.header.Get("Retry-After"), []byte(j.body))
	}
	for _, a := range realAnswers(f) {
		header := http.Header{}
		for _, field := range a.Header {
			header.Add(field[0], field[1])
		}
		f.Add(a.Status, header.Get("Content-Type"), header.Get("Retry-After"), []byte(a.Body))
	}
	f.Add(200, "application/json", "", []byte(`{"access_token":"a","accessToken":"a","expires_in":"1e308","scope":[1,"a"],"refresh_token":{}}`))
	f.Add(200, "application/x-www-form-urlencoded", "", []byte("access_token=%zz&access_token=b;c&expires_in=5"))
	f.Add(429, "", "Sun, 06 Nov 1994 08:49:37 GMT", []byte("\xef\xbb\xbf\xff\xfe"))
	f.Add(400, "application/json", "-1e400", []byte(`{"error":"a\u202eb","error_description":"\ud800\u0007","error_codes":[[[[[[`))
	dialects := map[string]*client.Provider{}
	var err error
	dialects["OAuth"], err = client.OAuthProvider(client.OAuthConfig{TokenURL: "https://id.example.com", ClientID: "cli"})
	require.NoError(f, err)
	dialects["JSON"], err = client.JSONProvider(client.JSONConfig{BaseURL: "https://id.example.com"})
	require.NoError(f, err)

	f.Fuzz(func(t *testing.T, status int, contentType, retryAfter string, body []byte) {
		header := http.Header{"Content-Type": {contentType}, "Retry-After": {retryAfter}}
		body = []byte(parrot.Replace(string(body)))
		for _, p := range dialects {
			g, err := client.ReadAnswer(p, status, header, body, tokensource.NewSecret(sent))
			if err == nil {
				checkGrant(t, status, g)
				continue
			}
			checkFailure(t, status, facts(t, err))
			checkSilence(t, body, facts(t, err))
		}
	})
}

func checkGrant(t *testing.T, status int, g tokensource.Grant) {
	t.Helper()
	assert.Equal(t, 2, status/100)
	token := tokensource.NewToken(tokensource.TokenID{}, g)
	assert.Equal(t, "Bearer", token.Type())
	assert.False(t, token.AccessToken().IsZero())
	assert.False(t, strings.ContainsFunc(token.Authorization().Reveal(), func(r rune) bool { return r < ' ' || r > '~' }), "fits a header")
	for _, end := range []time.Time{g.Expiry, g.HardEnd, g.IdleEnd} {
		if !end.IsZero() {
			assert.Greater(t, end.Sub(g.IssuedAt), time.Duration(-1))
			assert.LessOrEqual(t, end.Sub(g.IssuedAt), 10*365*24*time.Hour)
		}
	}
}

func checkFailure(t *testing.T, status int, e *tokensource.Error) {
	t.Helper()
	assert.Equal(t, status, e.Status)
	assert.NotEqual(t, tokensource.Reason(0).String(), e.Reason.String())
	assert.Contains(t, []error{tokensource.ErrLoginRequired, tokensource.ErrTryAgain, tokensource.ErrConfig}, e.Reason.Class())
	assert.GreaterOrEqual(t, e.RetryAfter, time.Duration(0))
	assert.LessOrEqual(t, e.RetryAfter, time.Hour)
	assert.LessOrEqual(t, utf8.RuneCountInString(e.Description), 200)
	assert.LessOrEqual(t, len(e.Code), 64)
	for _, text := range []string{e.Code, e.Description, e.Error()} {
		assert.True(t, utf8.ValidString(text))
		assert.False(t, strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", text)
	}
	if e.Reason.Class() == tokensource.ErrLoginRequired {
		assert.False(t, e.Uncertain, "a refusal is certain")
		assert.True(t, status/100 == 2 || status/100 == 4, "only a refusal ends a session")
	}
}

// checkSilence: no token is in the failure, neither the one that was sent nor
// one that came, unless the server has put that into its words as well.
func checkSilence(t *testing.T, body []byte, e *tokensource.Error) {
	t.Helper()
	for _, text := range []string{e.Code, e.Description, e.Error(), fmt.Sprintf("%+v %#v", e, e)} {
		for _, form := range []string{sent, url.QueryEscape(sent), jsonText(sent)} {
			assert.NotContains(t, text, form, "what was sent")
		}
	}
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return
	}
	for _, name := range []string{"access_token", "refresh_token", "id_token", "accessToken", "refreshToken"} {
		token, _ := members[name].(string)
		delete(members, name)
		if rest, _ := json.Marshal(members); len(token) >= 8 && !strings.Contains(string(rest), jsonText(token)) {
			assert.NotContains(t, e.Error()+e.Code+e.Description, token, "what came")
		}
	}
}
