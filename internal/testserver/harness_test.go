package testserver_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// profiles are the presets that every promise is tested on.
func profiles() []string { return []string{"strict", "grace", "firstparty"} }

// bench is a server with its clock stopped, asked without a network.
type bench struct{ *testserver.Server }

func start(t *testing.T, profile string, change func(*testserver.Config)) bench {
	t.Helper()
	p, err := testserver.ProfileNamed(profile)
	require.NoError(t, err)
	// A whole second and a bit: JWTs round to seconds, decisions must not.
	began := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	cfg := testserver.Config{
		Issuer: "http://auth.test", Profile: p, Now: func() time.Time { return began },
		Users:   []testserver.User{{Name: "alice", Password: "secret"}, {Name: "bob", Password: "hunter2"}},
		Clients: []testserver.Client{{ID: "cli"}, {ID: "other"}, {ID: serviceID, Secret: serviceSecret}},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := testserver.New(cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return bench{s}
}

// answer is what came back, or that nothing did.
type answer struct {
	*httptest.ResponseRecorder
	dropped bool
}

func (a answer) outcome() testserver.Outcome {
	return testserver.Outcome(a.Header().Get("X-Authtest-Outcome"))
}

// field reads a member of a JSON body.
func (a answer) field(name string) any {
	var body map[string]any
	_ = json.Unmarshal(a.Body.Bytes(), &body)
	return body[name]
}

// tokens reads a token answer of either dialect.
func (a answer) tokens() (access, refresh string) {
	for _, name := range []string{"access_token", "accessToken"} {
		if v, ok := a.field(name).(string); ok {
			access = v
		}
	}
	for _, name := range []string{"refresh_token", "refreshToken"} {
		if v, ok := a.field(name).(string); ok {
			refresh = v
		}
	}
	return access, refresh
}

// members names those of a JSON body.
func (a answer) members() []string {
	var body map[string]any
	_ = json.Unmarshal(a.Body.Bytes(), &body)
	return slices.Collect(maps.Keys(body))
}

// do is safe in goroutines: it fails no test.
func (b bench) do(r *http.Request) (a answer) {
	a.ResponseRecorder = httptest.NewRecorder()
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			a.dropped = true
		default:
			panic(v)
		}
	}()
	b.Handler().ServeHTTP(a, r)
	return a
}

func request(method, path, kind, body string) *http.Request {
	r := httptest.NewRequest(method, "http://auth.test"+path, strings.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	return r
}

func formRequest(path string, values url.Values) *http.Request {
	return request(http.MethodPost, path, "application/x-www-form-urlencoded", values.Encode())
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {token}}
}

func jsonRequest(path string, body any) *http.Request {
	data, _ := json.Marshal(body) // a map of strings
	return request(http.MethodPost, path, "application/json", string(data))
}

// dialect is one way to present a refresh token.
type dialect struct {
	name    string
	request func(token string) *http.Request
}

func oauth() dialect {
	return dialect{"oauth", func(token string) *http.Request { return formRequest("/oauth/token", refreshForm(token)) }}
}

func firstParty(path string) dialect {
	return dialect{"json " + path, func(token string) *http.Request {
		return jsonRequest(path, map[string]string{"refreshToken": token})
	}}
}

func dialects() []dialect {
	return []dialect{oauth(), firstParty("/refresh"), firstParty("/refresh-token")}
}

func (b bench) refresh(token string) answer { return b.do(oauth().request(token)) }

func (b bench) refreshAs(ctx context.Context, token string) answer {
	return b.do(oauth().request(token).WithContext(ctx))
}

func (b bench) get(path, access string) answer { return b.as(http.MethodGet, path, access) }

func (b bench) as(method, path, access string) answer {
	r := request(method, path, "", "")
	if access != "" {
		r.Header.Set("Authorization", "Bearer "+access)
	}
	return b.do(r)
}

func (b bench) login(t *testing.T) testserver.Tokens {
	t.Helper()
	tokens, err := b.Login("alice", "laptop")
	require.NoError(t, err)
	return tokens
}

func (b bench) sessions(t *testing.T, user string) []testserver.Session {
	t.Helper()
	list, err := b.Sessions(user)
	require.NoError(t, err)
	return list
}

// rules names the violations so far.
func (b bench) rules() []string {
	var out []string
	for _, v := range b.Violations() {
		out = append(out, v.Rule)
	}
	return out
}

// part reads the header (0) or the claims (1) of a JWT.
func part(t *testing.T, token string, n int) map[string]any {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[n])
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(data, &out))
	return out
}

func passwordForm(scope string) url.Values {
	return url.Values{
		"grant_type": {"password"}, "client_id": {"cli"}, "scope": {scope},
		"username": {"alice"}, "password": {"secret"},
	}
}
