package transport_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/transport"
)

func TestTheGrammarOfChallenges(t *testing.T) {
	type p = [2]string
	one := func(scheme string, params ...p) []transport.Parsed {
		return []transport.Parsed{{Scheme: scheme, Params: params}}
	}
	for _, c := range []struct {
		name   string
		fields []string
		want   []transport.Parsed
	}{
		{"nothing", nil, nil},
		{"an empty field", []string{""}, nil},
		{"only commas", []string{" , ,,\t"}, nil},
		{"a scheme", []string{"Bearer"}, one("Bearer")},
		{"tokens", []string{"Bearer realm=a, error=b"}, one("Bearer", p{"realm", "a"}, p{"error", "b"})},
		{"quoted strings", []string{`Bearer realm="a b", error="c"`}, one("Bearer", p{"realm", "a b"}, p{"error", "c"})},
		{"an empty quoted string", []string{`Bearer realm="", error=c`}, one("Bearer", p{"realm", ""}, p{"error", "c"})},
		{"quoted commas and equals signs", []string{`Bearer realm="a, Basic b=c", error=d`}, one("Bearer", p{"realm", "a, Basic b=c"}, p{"error", "d"})},
		{"escapes", []string{`Bearer realm="a \"b\" \\ \c", error=d`}, one("Bearer", p{"realm", `a "b" \ c`}, p{"error", "d"})},
		{"names in upper case", []string{`BEARER Realm=A`}, one("BEARER", p{"realm", "A"})},
		{"blanks around the equals sign", []string{"Bearer realm =\t\"a\" , error\t= b"}, one("Bearer", p{"realm", "a"}, p{"error", "b"})},
		{"empty list elements", []string{`, Bearer ,, realm=a,,`}, one("Bearer", p{"realm", "a"})},
		{"many blanks after the scheme", []string{"Bearer   realm=a"}, one("Bearer", p{"realm", "a"})},
		{"the first of two stands", []string{`Bearer error=a, ERROR=b`}, one("Bearer", p{"error", "a"})},
		{"odd characters of tokens", []string{"X!#$%&'*+-.^_`|~9 a!=b!"}, one("X!#$%&'*+-.^_`|~9", p{"a!", "b!"})},
		{
			"several challenges in a field", []string{`Basic realm="a", Bearer realm="b", error=c, Custom`},
			[]transport.Parsed{{Scheme: "Basic", Params: []p{{"realm", "a"}}}, {Scheme: "Bearer", Params: []p{{"realm", "b"}, {"error", "c"}}}, {Scheme: "Custom"}},
		},
		{
			"several fields", []string{"Negotiate", "Bearer realm=a"},
			[]transport.Parsed{{Scheme: "Negotiate"}, {Scheme: "Bearer", Params: []p{{"realm", "a"}}}},
		},
		{"a challenge across two fields", []string{"Bearer realm=a", "error=b"}, one("Bearer", p{"realm", "a"}, p{"error", "b"})},
		{
			"token68", []string{"Negotiate YII+/-._~9==, Bearer error=a"},
			[]transport.Parsed{{Scheme: "Negotiate", Token68: "YII+/-._~9=="}, {Scheme: "Bearer", Params: []p{{"error", "a"}}}},
		},
		{
			"token68 without padding, then a blank", []string{"Negotiate abc , Bearer"},
			[]transport.Parsed{{Scheme: "Negotiate", Token68: "abc"}, {Scheme: "Bearer"}},
		},
		{"token68 at the end", []string{"NTLM TlRM="}, []transport.Parsed{{Scheme: "NTLM", Token68: "TlRM="}}},
		{"a name alone is token68", []string{"Bearer realm"}, []transport.Parsed{{Scheme: "Bearer", Token68: "realm"}}},
		{
			"unknown schemes first", []string{`Unknown-1 a=1, b="2, c", Unknown-2 abc=, Bearer error="invalid_token"`},
			[]transport.Parsed{
				{Scheme: "Unknown-1", Params: []p{{"a", "1"}, {"b", "2, c"}}},
				{Scheme: "Unknown-2", Token68: "abc="},
				{Scheme: "Bearer", Params: []p{{"error", "invalid_token"}}},
			},
		},
		// What follows breaks the grammar, and servers send it.
		{"no commas", []string{`Bearer realm="a" error="b"`}, one("Bearer", p{"realm", "a"}, p{"error", "b"})},
		{"an address without quotes", []string{"Bearer realm=https://a.example/b?c=d, error=e"}, one("Bearer", p{"realm", "https://a.example/b?c=d"}, p{"error", "e"})},
		{"no comma between challenges", []string{"Negotiate Bearer error=a"}, []transport.Parsed{{Scheme: "Negotiate"}, {Scheme: "Bearer", Params: []p{{"error", "a"}}}}},
		{"never closed", []string{`Bearer realm="a, error=b`, "Basic"}, []transport.Parsed{{Scheme: "Bearer", Params: []p{{"realm", "a, error=b"}}}, {Scheme: "Basic"}}},
		{"never closed, ends in an escape", []string{`Bearer realm="a\`}, one("Bearer", p{"realm", "a"})},
		{"rubbish in between", []string{`Bearer a=b, "x, y" z, @, error=c`}, one("Bearer", p{"a", "b"}, p{"error", "c"})},
		{"a parameter of nobody", []string{`error=a, Bearer b=c`}, one("Bearer", p{"b", "c"})},
		{"an empty value before another", []string{`Bearer a= b=c`}, one("Bearer", p{"a", "b=c"})},
		{"over 8 KiB", []string{"Bearer a=" + strings.Repeat("x", 9<<10), "Basic"}, one("Bearer", p{"a", strings.Repeat("x", 8<<10-9)})},
	} {
		assert.Equal(t, c.want, transport.ParseChallenges(c.fields), c.name)
	}
}

// The lines of testdata/challenges.txt are WWW-Authenticate fields of real
// servers: better-auth, dex, django-oauth-toolkit, fosite, node-oauth2-server
// and oidc-provider.
func TestWhatServersAnswerIsUnderstood(t *testing.T) {
	data, err := os.ReadFile("testdata/challenges.txt")
	require.NoError(t, err)
	codes := map[string]int{}
	for line := range strings.Lines(string(data)) {
		field := strings.TrimSuffix(line, "\n")
		got := transport.ParseChallenges([]string{field})
		require.Len(t, got, 1, field)
		code := got[0].Scheme
		for _, p := range got[0].Params {
			if p[0] == "error" {
				code += " " + p[1]
			}
		}
		codes[code]++
	}
	assert.Equal(t, map[string]int{
		"Basic": 2, "Basic invalid_client": 1,
		"Bearer": 3, "Bearer invalid_client": 1, "Bearer invalid_token": 4,
		"DPoP": 1, "DPoP invalid_request": 1, "DPoP invalid_token": 1, "DPoP use_dpop_nonce": 2,
	}, codes)
}

func respond(fields ...string) *http.Response {
	return &http.Response{Header: http.Header{"Www-Authenticate": fields}}
}

func TestAChallengeTellsWhatToAskALoginFor(t *testing.T) {
	c, ok := transport.ChallengeOf(respond(`Bearer realm="api", error="insufficient_user_authentication", ` +
		`error_description="log in again, please", scope="read  write", acr_values="gold silver", max_age="600", ` +
		`resource_metadata="https://api.example.com/.well-known/oauth-protected-resource", claims="e30="`))
	require.True(t, ok)
	assert.Equal(t, "Bearer", c.Scheme)
	assert.Equal(t, "api", c.Realm)
	assert.Equal(t, "insufficient_user_authentication", c.Error)
	assert.Equal(t, "log in again, please", c.Description)
	assert.Equal(t, []string{"read", "write"}, c.Scopes)
	assert.Equal(t, []string{"gold", "silver"}, c.ACRValues)
	assert.Equal(t, 10*time.Minute, c.MaxAge)
	assert.True(t, c.HasMaxAge)
	assert.Equal(t, "https://api.example.com/.well-known/oauth-protected-resource", c.ResourceMetadata)
	assert.Equal(t, "e30=", c.Param("Claims"))
	assert.Empty(t, c.Param("absent"))
}

func TestAChallengeSaysNothingThatTheServerDidNotSay(t *testing.T) {
	c, ok := transport.ChallengeOf(respond("dpop"))
	require.True(t, ok)
	assert.Equal(t, transport.Challenge{Scheme: "dpop"}, c)

	for text, want := range map[string]time.Duration{"0": 0, "3600": time.Hour, "4294967295": 4294967295 * time.Second} {
		c, _ = transport.ChallengeOf(respond("Bearer max_age=" + text))
		assert.True(t, c.HasMaxAge, text)
		assert.Equal(t, want, c.MaxAge, text)
	}
	for _, text := range []string{"-1", "1.5", "x", "4294967296", `""`} {
		c, _ = transport.ChallengeOf(respond("Bearer max_age=" + text))
		assert.False(t, c.HasMaxAge, text)
	}
}

func TestTheChallengeWithAnErrorCodeIsChosen(t *testing.T) {
	for _, c := range []struct {
		fields       []string
		scheme, code string // no scheme: no challenge
	}{
		{nil, "", ""},
		{[]string{`Basic realm="a", error="insufficient_scope"`}, "", ""},
		{[]string{"Basic realm=a, DPoP algs=ES256", "Bearer"}, "DPoP", ""},
		{[]string{"DPoP algs=ES256", "Bearer error=insufficient_scope", "Bearer error=other"}, "Bearer", "insufficient_scope"},
	} {
		got, ok := transport.ChallengeOf(respond(c.fields...))
		assert.Equal(t, c.scheme != "", ok)
		assert.Equal(t, c.scheme, got.Scheme)
		assert.Equal(t, c.code, got.Error)
	}
	_, ok := transport.ChallengeOf(nil)
	assert.False(t, ok)
}

// What the parser read, written in the strictest spelling and read again, is
// the same; and an unknown challenge in front changes nothing.
func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer realm="a, b", error="invalid_token"`, "")
	f.Add(`Negotiate YII+/=, Basic realm=a`, `Bearer error = "in\"valid"`)
	f.Add(`Bearer realm="never closed`, `error=x,,`)
	f.Fuzz(func(t *testing.T, one, two string) {
		got := transport.ParseChallenges([]string{one, two})
		var strict []string
		size := 0
		for _, c := range got {
			strict = append(strict, c.String())
			size += len(c.String()) + 2
		}
		if size > 8<<10 {
			return
		}
		require.Equal(t, got, transport.ParseChallenges(strict))
		require.Equal(t, got, transport.ParseChallenges([]string{strings.Join(strict, ", ")}))
		if len(one)+len(two) < 8<<10-20 && len(got) > 0 {
			with := transport.ParseChallenges([]string{"Unknown abc==", one, two})
			require.GreaterOrEqual(t, len(with), len(got))
			require.Equal(t, got, with[len(with)-len(got):])
			require.Equal(t, "Unknown", with[0].Scheme)
		}
	})
}
