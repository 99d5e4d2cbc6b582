package authtest_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// seen is what came of one refresh, as net/http tells it.
type seen struct {
	err     error // of the request
	status  int
	header  http.Header
	body    string
	bodyErr error
	took    time.Duration
	sent    string // the refresh token that was presented
}

func (s seen) member(name string) any {
	var m map[string]any
	_ = json.Unmarshal([]byte(s.body), &m)
	return m[name]
}

// refreshSeen posts the OAuth form; a body is read up to a mebibyte and a bit.
func refreshSeen(srv *authtest.Server, token string) (out seen) {
	out.sent = token
	began := time.Now()
	defer func() { out.took = time.Since(began) }()
	resp, err := srv.Client().Post(srv.URL()+"/oauth/token", "application/x-www-form-urlencoded",
		strings.NewReader("grant_type=refresh_token&client_id=cli&refresh_token="+token))
	if err != nil {
		out.err = err
		return out
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20+100))
	out.status, out.header, out.body, out.bodyErr = resp.StatusCode, resp.Header, string(data), err
	return out
}

// What Go's client makes of each edit over HTTP/1.1.
func edits() map[authtest.Edit]func(*assert.Assertions, seen) {
	type check = func(*assert.Assertions, seen)
	member := func(name string, want any) check {
		return func(a *assert.Assertions, s seen) { a.Equal(want, s.member(name)) }
	}
	return map[authtest.Edit]check{
		authtest.EmptyBody: func(a *assert.Assertions, s seen) { a.NoError(s.bodyErr); a.Empty(s.body) },
		authtest.HalfJSON:  func(a *assert.Assertions, s seen) { a.NoError(s.bodyErr); a.Nil(s.member("access_token")) },
		authtest.Truncated: func(a *assert.Assertions, s seen) { a.ErrorIs(s.bodyErr, io.ErrUnexpectedEOF) },
		authtest.TruncatedChunks: func(a *assert.Assertions, s seen) {
			a.ErrorIs(s.bodyErr, io.ErrUnexpectedEOF)
			a.True(strings.HasPrefix(s.body, `{"access_token"`))
		},
		authtest.MalformedChunk: func(a *assert.Assertions, s seen) { a.Error(s.bodyErr) },
		authtest.Garbage:        func(a *assert.Assertions, s seen) { a.ErrorContains(s.err, "malformed HTTP") },
		authtest.HugeBody:       func(a *assert.Assertions, s seen) { a.Greater(len(s.body), 1<<20) },
		authtest.GzipBomb: func(a *assert.Assertions, s seen) {
			a.Greater(len(s.body), 1<<20)
			a.NotErrorIs(s.bodyErr, gzip.ErrHeader)
		},
		authtest.SlowHeaders: func(a *assert.Assertions, s seen) {
			a.Greater(s.took, 5*time.Second)
			a.NotNil(s.member("refresh_token"))
		},
		authtest.SlowBody: func(a *assert.Assertions, s seen) {
			a.Greater(s.took, 30*time.Second)
			a.NotNil(s.member("refresh_token"))
		},
		authtest.CaptivePortal: func(a *assert.Assertions, s seen) {
			a.Equal(200, s.status)
			a.Contains(s.header.Get("Content-Type"), "html")
		},
		authtest.PlainText: func(a *assert.Assertions, s seen) {
			a.Contains(s.header.Get("Content-Type"), "text/plain")
			a.NotNil(s.member("access_token"))
		},
		authtest.FormEncoded: func(a *assert.Assertions, s seen) { a.Contains(s.body, "&expires_in=900&refresh_token=rt_") },
		authtest.ErrorIn200: func(a *assert.Assertions, s seen) {
			a.Equal(200, s.status)
			a.Equal("bad_refresh_token", s.member("error"))
		},
		authtest.ByteOrderMark:   func(a *assert.Assertions, s seen) { a.True(strings.HasPrefix(s.body, "\xef\xbb\xbf{")) },
		authtest.ConnectionClose: func(a *assert.Assertions, s seen) { a.NoError(s.bodyErr); a.NotNil(s.member("access_token")) },
		authtest.EarlyHints:      func(a *assert.Assertions, s seen) { a.Equal(200, s.status); a.NotNil(s.member("access_token")) },
		authtest.Unauthorized: func(a *assert.Assertions, s seen) {
			a.Equal(401, s.status)
			a.Contains(s.header.Get("WWW-Authenticate"), `error="invalid_token"`)
		},
		authtest.UnauthorizedWeb: func(a *assert.Assertions, s seen) { a.Equal(401, s.status); a.Empty(s.header.Get("WWW-Authenticate")) },
		authtest.NoAccessToken: func(a *assert.Assertions, s seen) {
			a.Nil(s.member("access_token"))
			a.NotNil(s.member("refresh_token"))
		},
		authtest.NoRefreshToken: func(a *assert.Assertions, s seen) {
			a.Nil(s.member("refresh_token"))
			a.NotNil(s.member("access_token"))
		},
		authtest.SameRefreshToken:  func(a *assert.Assertions, s seen) { a.Equal(s.sent, s.member("refresh_token")) },
		authtest.NoTokenType:       member("token_type", nil),
		authtest.TokenTypeBearer:   member("token_type", "bearer"),
		authtest.TokenTypeDPoP:     member("token_type", "DPoP"),
		authtest.TokenTypeMAC:      member("token_type", "mac"),
		authtest.ExpiresString:     member("expires_in", "900"),
		authtest.ExpiresFloat:      member("expires_in", 900.5),
		authtest.ExpiresZero:       member("expires_in", 0.0),
		authtest.ExpiresNegative:   member("expires_in", -1.0),
		authtest.ExpiresMissing:    member("expires_in", nil),
		authtest.ExpiresHuge:       member("expires_in", 1e18),
		authtest.ExpiresNanosecond: member("expires_in", 9e11),
		authtest.DuplicateKeys:     func(a *assert.Assertions, s seen) { a.Equal(2, strings.Count(s.body, `"access_token"`)) },
		authtest.UnknownMembers:    func(a *assert.Assertions, s seen) { a.NotNil(s.member("x_unknown")) },
	}
}

func TestAnEditSpoilsTheAnswerTheWayItIsNamed(t *testing.T) {
	for edit, check := range edits() {
		t.Run(string(edit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := authtest.NewPipe(t, authtest.Config{Profile: authtest.Grace, Grace: time.Hour})
				token := srv.Login("alice", "laptop").RefreshToken
				srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Edit: edit})
				check(assert.New(t), refreshSeen(srv, token))
				assert.Equal(t, 1, srv.Stats().Rotations, "the server has rotated")
				assert.NotNil(t, refreshSeen(srv, token).member("refresh_token"))
				assert.Empty(t, srv.Violations(), "who could not read the answer may ask again")
			})
		})
	}
}

func TestAnEditChangesTheMembersOfEitherDialect(t *testing.T) {
	srv := authtest.NewPipe(t, authtest.Config{})
	srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Edit: authtest.ExpiresString})
	_, _, body := refresh(t, srv, srv.Login("alice", "laptop").RefreshToken)
	assert.Contains(t, body, `"expiresIn":"900"`)
	srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.Rewriting, Edit: authtest.ExpiresString})
	_, _, body = refresh(t, srv, "rt_unknown")
	assert.JSONEq(t, `{"error":"Invalid refresh token"}`, body, "a refusal has no such member")
}

func TestABodyEndsWhereTheFaultSays(t *testing.T) {
	for name, srv := range servers(t, authtest.Config{Profile: authtest.Grace, Grace: time.Hour}) {
		t.Run(name, func(t *testing.T) {
			token := srv.Login("alice", "laptop").RefreshToken
			srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.MidBody, Bytes: 9, Drop: true})
			got := refreshSeen(srv, token)
			assert.Equal(t, `{"access_`, got.body)
			assert.ErrorIs(t, got.bodyErr, io.ErrUnexpectedEOF)

			srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterBody, Drop: true})
			got = refreshSeen(srv, token)
			assert.NoError(t, got.bodyErr)
			assert.NotNil(t, got.member("refresh_token"), "all of the body was sent")
			assert.Empty(t, srv.Violations())
		})
	}
}

func TestARefusalCanBeRewritten(t *testing.T) {
	srv := authtest.NewPipe(t, authtest.Config{})
	rule := srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.Rewriting, Rewrite: func(a authtest.Answer) authtest.Answer {
		assert.Equal(t, http.StatusBadRequest, a.Status)
		a.Status = http.StatusTeapot
		return a
	}})
	assert.Equal(t, http.StatusTeapot, refreshSeen(srv, "rt_unknown").status)
	assert.Equal(t, 1, rule.Fired())
}

func TestAResetIsSeenAsOne(t *testing.T) {
	srv := authtest.New(t)
	token := srv.Login("alice", "laptop").RefreshToken
	srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Reset: true})
	assert.ErrorIs(t, refreshSeen(srv, token).err, syscall.ECONNRESET)
	assert.Equal(t, 1, srv.Stats().Rotations)
}

func TestAConnectionCanFailAsItComesIn(t *testing.T) {
	for name, f := range map[string]authtest.Fault{
		"EOF|closed":                {Drop: true},
		"malformed HTTP":            {Answer: &authtest.Answer{Raw: true, Body: "no HTTP at all\r\n\r\n"}},
		"context deadline exceeded": {Hang: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := authtest.NewPipe(t, authtest.Config{})
			srv.Client().Timeout = time.Minute
			f.At, f.Nth = authtest.OnAccept, 1
			srv.Fault(f)
			assert.Regexp(t, name, refreshSeen(srv, "rt_unknown").err)
			assert.Zero(t, srv.Stats().RefreshRequests, "no request was read")
			assert.Equal(t, http.StatusBadRequest, refreshSeen(srv, "rt_unknown").status, "the next connection is good")
		})
	}
}

func TestAConnectionThatIsResetAsItComesIn(t *testing.T) {
	srv := authtest.New(t)
	srv.Fault(authtest.Fault{At: authtest.OnAccept, Reset: true})
	err := refreshSeen(srv, "rt_unknown").err
	// The reset comes while the request is written or while its answer is read.
	assert.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE), "%v", err)
}

func TestAConnectionMayBeSlowToComeIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{})
		srv.Fault(authtest.Fault{At: authtest.OnAccept, Delay: 20 * time.Second})
		got := refreshSeen(srv, "rt_unknown")
		assert.Equal(t, 20*time.Second, got.took)
		assert.Equal(t, http.StatusBadRequest, got.status)
	})
}

func TestAServerThatHangsIsLeftByItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{Profile: authtest.Grace, Grace: time.Hour})
		token := srv.Login("alice", "laptop").RefreshToken
		srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Hang: true})
		srv.Client().Timeout = 30 * time.Second
		got := refreshSeen(srv, token)
		assert.ErrorIs(t, got.err, context.DeadlineExceeded)
		assert.Equal(t, 30*time.Second, got.took)
		assert.Equal(t, http.StatusOK, refreshSeen(srv, token).status)
		assert.Empty(t, srv.Violations())
	})
}

func TestABurstOfRefusalsSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := authtest.NewPipe(t, authtest.Config{})
		for form, want := range map[string]string{
			"90s": "90", "date 90s": time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat),
			"past": time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat),
			"huge": "99999999999999999999", "garbage": "soon, perhaps",
		} {
			srv.Fault(authtest.Fault{On: authtest.Refresh, Times: 2, Answer: &authtest.Answer{Status: 503, RetryAfter: form}})
			for range 2 {
				assert.Equal(t, want, refreshSeen(srv, "rt_unknown").header.Get("Retry-After"), form)
			}
			assert.Equal(t, 400, refreshSeen(srv, "rt_unknown").status)
		}
	})
}

func TestAScriptIsPlayedInItsOrderAndToItsEnd(t *testing.T) {
	tb := &fakeTB{}
	srv := authtest.New(tb)
	down := authtest.Fault{Answer: &authtest.Answer{Status: 503, RetryAfter: "1s"}}
	srv.Script(authtest.Refresh, down, authtest.Fault{}, authtest.Fault{At: authtest.AfterCommit, Drop: true}, down)
	token := srv.Login("alice", "laptop").RefreshToken
	assert.Equal(t, 503, refreshSeen(srv, token).status)
	got := refreshSeen(srv, token)
	require.Equal(t, 200, got.status)
	assert.Error(t, refreshSeen(srv, fmt.Sprint(got.member("refresh_token"))).err)
	srv.Script(authtest.Refresh, authtest.Fault{Nth: 2, Drop: true})
	assert.Equal(t, []string{"authtest: testserver: script: a step hits the next request, whichever that is: it takes no condition"}, tb.fatals)
	tb.end()
	assert.Equal(t, []string{"authtest: never fired: step of a script on refresh at before-handler"}, tb.errors)
}

func TestAHookCallsTheServerAtItsStage(t *testing.T) {
	srv := authtest.NewPipe(t, authtest.Config{})
	tokens := srv.Login("alice", "laptop")
	srv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.BeforeCommit, Do: func(_ context.Context, s *authtest.Server) {
		s.RevokeSession(tokens.SessionID, "admin")
	}})
	assert.Equal(t, "session revoked", refreshSeen(srv, tokens.RefreshToken).member("error_description"))
}
