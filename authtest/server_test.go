package authtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// fakeTB records what a test would be told.
type fakeTB struct {
	cleanups []func()
	errors   []string
	fatals   []string
}

func (f *fakeTB) Helper()                   {}
func (f *fakeTB) Cleanup(fn func())         { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTB) Logf(string, ...any)       {}
func (f *fakeTB) Errorf(s string, a ...any) { f.errors = append(f.errors, fmt.Sprintf(s, a...)) }
func (f *fakeTB) Fatalf(s string, a ...any) { f.fatals = append(f.fatals, fmt.Sprintf(s, a...)) }

func (f *fakeTB) end() {
	for _, fn := range f.cleanups {
		fn()
	}
}

func TestAFaultThatNeverFiredFailsTheTest(t *testing.T) {
	tb := &fakeTB{}
	srv := authtest.New(tb)
	srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Nth: 2, Drop: true})
	srv.Fault(authtest.Fault{On: authtest.API, Drop: true}).Remove()
	fired := srv.Fault(authtest.Fault{On: authtest.API, Path: "/api/me", Answer: &authtest.Answer{Status: http.StatusTeapot}})
	assert.Equal(t, http.StatusTeapot, call(t, srv, srv.URL()+"/api/me", "x").StatusCode)
	assert.Equal(t, 1, fired.Fired())
	tb.end()
	assert.Equal(t, []string{"authtest: never fired: fault on refresh at after-commit, from request 2"}, tb.errors)
}

// keepingTB is a TB that keeps files, as testing.TB does.
type keepingTB struct {
	fakeTB
	dir string
}

func (k *keepingTB) Failed() bool        { return len(k.errors) > 0 }
func (k *keepingTB) ArtifactDir() string { return k.dir }

func TestAFailedTestKeepsWhatTheServerSaw(t *testing.T) {
	for _, fails := range []bool{true, false} {
		tb := &keepingTB{dir: t.TempDir()}
		srv := authtest.New(tb)
		tokens := srv.Login("alice", "laptop")
		status, _, _ := refresh(t, srv, tokens.RefreshToken)
		require.Equal(t, http.StatusOK, status)
		if fails {
			tb.Errorf("the test found something")
		}
		tb.end()
		files, err := filepath.Glob(filepath.Join(tb.dir, "authtest-exchanges-*.json"))
		require.NoError(t, err)
		if !fails {
			assert.Empty(t, files)
			continue
		}
		require.Len(t, files, 1)
		seen, err := os.ReadFile(files[0])
		require.NoError(t, err)
		assert.Contains(t, string(seen), tokens.SessionID)
		assert.NotContains(t, string(seen), tokens.RefreshToken)
	}
}

func TestMistakesOfTheTestAreFatal(t *testing.T) {
	for _, cfg := range []authtest.Config{{Profile: "nonsense"}, {AccessTTL: -1}, {Grace: 5}} {
		tb := &fakeTB{}
		authtest.NewWith(tb, cfg)
		assert.Len(t, tb.fatals, 1)
		authtest.NewPipe(tb, cfg)
		assert.Len(t, tb.fatals, 2)
	}
	tb := &fakeTB{}
	srv := authtest.New(tb)
	defer tb.end()
	srv.Fault(authtest.Fault{})
	srv.Login("nobody", "laptop")
	srv.RevokeSession("nothing", "admin")
	srv.RevokeUser("nobody")
	srv.DisableUser("nobody")
	srv.EnableUser("nobody")
	assert.Len(t, tb.fatals, 6)
}

func TestWithoutATBAMistakePanics(t *testing.T) {
	srv, err := authtest.NewServer(authtest.Config{})
	require.NoError(t, err)
	defer srv.Close()
	assert.PanicsWithValue(t, "authtest: logging in: testserver: unknown user", func() { srv.Login("nobody", "laptop") })
}

// servers are the two kinds of connection.
func servers(t *testing.T, cfg authtest.Config) map[string]*authtest.Server {
	return map[string]*authtest.Server{"loopback": authtest.NewWith(t, cfg), "pipe": authtest.NewPipe(t, cfg)}
}

func TestALostResponseEndsAsABrokenConnection(t *testing.T) {
	for name, srv := range servers(t, authtest.Config{Profile: authtest.Grace}) {
		t.Run(name, func(t *testing.T) {
			srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Drop: true})
			token := srv.Login("alice", "laptop").RefreshToken
			body := fmt.Sprintf(`{"refreshToken":%q}`, token)
			_, err := srv.Client().Post(srv.URL()+"/refresh", "application/json", strings.NewReader(body))
			require.ErrorIs(t, err, io.EOF)
			status, outcome, _ := refresh(t, srv, token)
			assert.Equal(t, http.StatusOK, status)
			assert.Equal(t, "replayed_same", outcome)
			assert.Empty(t, srv.Violations())
			assert.Equal(t, 2, srv.MaxRedemptions())
		})
	}
}

func TestAnAnswerCanBreakOffOrGoOn(t *testing.T) {
	for name, srv := range servers(t, authtest.Config{}) {
		t.Run(name, func(t *testing.T) {
			srv.Fault(authtest.Fault{On: authtest.API, Answer: &authtest.Answer{
				Header: http.Header{"Content-Length": {"100"}}, Body: `{"sub":`,
			}})
			data, err := io.ReadAll(call(t, srv, srv.URL()+"/api/me", "x").Body)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Equal(t, `{"sub":`, string(data))

			srv.Fault(authtest.Fault{On: authtest.API, Answer: &authtest.Answer{Body: "{}", Pad: 8 << 20}})
			n, err := io.Copy(io.Discard, call(t, srv, srv.URL()+"/api/me", "x").Body)
			require.NoError(t, err)
			assert.EqualValues(t, 8<<20+2, n)
		})
	}
}

func TestTestHostsReachTheServer(t *testing.T) {
	for name, srv := range servers(t, authtest.Config{}) {
		t.Run(name, func(t *testing.T) {
			tokens := srv.Login("alice", "laptop")
			assert.Equal(t, http.StatusOK, call(t, srv, srv.URL()+"/api/me", tokens.AccessToken).StatusCode)
			assert.Empty(t, srv.Violations())
			resp := call(t, srv, "http://evil.example.com/api/echo", tokens.AccessToken)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.Len(t, srv.Violations(), 1)
			assert.Equal(t, authtest.BearerAbroad, srv.Violations()[0].Rule)
		})
	}
}

func TestAPipeReachesNothingElse(t *testing.T) {
	srv := authtest.NewPipe(t, authtest.Config{})
	_, err := srv.Client().Get("http://127.0.0.1:9/")
	assert.ErrorContains(t, err, "authtest: a pipe reaches no other host")
	srv.Close()
	_, err = srv.Client().Get(srv.URL() + "/api/me")
	assert.Error(t, err)
}

// Guards Close: a goroutine of the server that stayed would hang the bubble.
func TestAServerClosedInABubbleLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{})
		gate := srv.Gate(authtest.API, authtest.BeforeHandler)
		failed := make(chan error, 1)
		go func() {
			_, err := srv.Client().Get(srv.URL() + "/api/me")
			failed <- err
		}()
		require.NoError(t, gate.Wait(t.Context(), 1))
		srv.Close()
		assert.Error(t, <-failed)
		srv.Close()
	})
}

func TestTheServersOwnAnswerCanBeEdited(t *testing.T) {
	srv := authtest.NewPipe(t, authtest.Config{})
	srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Rewrite: func(a authtest.Answer) authtest.Answer {
		a.Body = strings.Replace(a.Body, `,"expiresIn":900`, "", 1)
		return a
	}})
	_, outcome, body := refresh(t, srv, srv.Login("alice", "laptop").RefreshToken)
	assert.Equal(t, "rotated", outcome)
	assert.NotContains(t, body, "expiresIn")
	assert.True(t, json.Valid([]byte(body)))
}

func TestWhatTheServerKnowsIsReadFromOutside(t *testing.T) {
	srv := authtest.NewPipe(t, authtest.Config{Users: []authtest.User{{Name: "bob", Password: "hunter2"}}})
	tokens := srv.Login("bob", "phone")
	srv.RevokeAccessTokens()
	require.Equal(t, http.StatusUnauthorized, call(t, srv, srv.URL()+"/api/me", tokens.AccessToken).StatusCode)
	before := srv.Now()
	srv.Advance(time.Hour)
	assert.GreaterOrEqual(t, srv.Now().Sub(before), time.Hour)
	srv.RevokeSession(tokens.SessionID, "admin")
	_, outcome, _ := refresh(t, srv, tokens.RefreshToken)
	assert.Equal(t, "session_revoked", outcome)
	require.Len(t, srv.Sessions("bob"), 1)
	assert.Equal(t, "admin", srv.Sessions("bob")[0].Ended)
	assert.Equal(t, "phone", srv.Sessions("bob")[0].Device)
	assert.Equal(t, 1, srv.Redemptions(tokens.RefreshToken))
	assert.Equal(t, authtest.Stats{RefreshRequests: 1, SessionsRevoked: 1, APIRequests: 1, APIUnauthorized: 1}, srv.Stats())

	other := srv.Login("bob", "desk")
	srv.RevokeUser("bob")
	_, outcome, _ = refresh(t, srv, other.RefreshToken)
	assert.Equal(t, "token_version_bumped", outcome)
	last := srv.Login("bob", "desk")
	srv.DisableUser("bob")
	_, outcome, _ = refresh(t, srv, last.RefreshToken)
	assert.Equal(t, "user_disabled", outcome)
	srv.EnableUser("bob")
	_, outcome, _ = refresh(t, srv, last.RefreshToken)
	assert.Equal(t, "rotated", outcome)
}

func TestPrintingTestDataShowsNoSecret(t *testing.T) {
	const canary = "canary-in-a-token"
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	for _, v := range []any{
		authtest.Tokens{AccessToken: canary, RefreshToken: canary, SessionID: "ses_1"},
		authtest.User{Name: "alice", Password: canary},
		authtest.Client{ID: "cli", Secret: canary},
	} {
		fmt.Fprintf(&out, "%v %+v %#v %s %q %d %v\n", v, v, v, v, v, v, []any{v})
		log.Info("value", "value", v)
		data, err := json.Marshal(map[string]any{"value": v})
		require.NoError(t, err)
		out.Write(data)
	}
	assert.Contains(t, out.String(), "authtest.Tokens(ses_1)")
	assert.Contains(t, out.String(), "authtest.User(alice)")
	assert.Contains(t, out.String(), "authtest.Client(cli)")
	assert.NotContains(t, out.String(), canary)
}
