package testserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// inBoth runs a test in the dialect of each column of the table.
func inBoth(t *testing.T, f func(t *testing.T, oauth bool, d dialect)) {
	t.Helper()
	for i, d := range []dialect{oauth(), firstParty("/refresh")} {
		t.Run(d.name, func(t *testing.T) { f(t, i == 0, d) })
	}
}

func TestTheLoserOfARaceIsAnsweredInItsOwnDialect(t *testing.T) {
	conflict := cell{http.StatusConflict, `{"error":"Refresh in progress"}`}
	invalid := cell{http.StatusUnauthorized, invalidRefresh}
	for _, row := range []struct {
		loser       testserver.RaceLoser
		outcome     testserver.Outcome
		oauth, json cell
		winner      testserver.Outcome // what the winner's refresh token earns afterwards
	}{
		{testserver.Wait, testserver.ReuseDetected, grantError("refresh token already used"), invalid, testserver.SessionRevoked},
		{testserver.RetryHint400, testserver.RaceRetry,
			cell{http.StatusBadRequest, `{"error":"invalid_request","error_description":"concurrent refresh, please retry"}`}, conflict, testserver.Rotated},
		{testserver.Conflict409, testserver.RaceConflict,
			cell{http.StatusConflict, `{"error":"invalid_request","error_description":"concurrent refresh"}`}, conflict, testserver.Rotated},
		{testserver.Error500, testserver.RaceFailed,
			cell{http.StatusInternalServerError, `{"error":"server_error","error_description":"internal error"}`},
			cell{http.StatusInternalServerError, `{"error":"Internal error"}`}, testserver.Rotated},
		{testserver.WinnerDies, testserver.ReuseDetected, grantError("refresh token already used"), invalid, testserver.SessionRevoked},
		{testserver.LoserRefused, testserver.ReplayRefused, grantError("refresh token already used"), invalid, testserver.Rotated},
	} {
		inBoth(t, func(t *testing.T, isOAuth bool, d dialect) {
			b := startWith(t, testserver.Replay{RaceLoser: row.loser, AlsoAccess: true})
			winner, loser := inOrderBy(t, b, d, b.login(t).Refresh, nil)
			want := row.json
			if isOAuth {
				want = row.oauth
			}
			assert.Equal(t, want.status, loser.Code)
			assert.JSONEq(t, want.body, loser.Body.String())
			assert.Equal(t, row.outcome, loser.outcome())
			assertTokenHeaders(t, loser)
			require.Equal(t, testserver.Rotated, winner.outcome())
			_, child := winner.tokens()
			assert.Equal(t, row.winner, b.do(d.request(child)).outcome())
		})
	}
}

func TestBothOfARaceGetTokensAndTheFirstOnesAreADud(t *testing.T) {
	b := startWith(t, testserver.Replay{Mode: testserver.Reject, RaceLoser: testserver.Dud})
	winner, loser := inOrder(t, b, b.login(t).Refresh)
	assert.Equal(t, "rotated replaced | access, refresh token_revoked | access, refresh rotated", aftermath(b, winner, loser))
}

func TestALoserThatGetsTheRowInTimeIsNoLoser(t *testing.T) {
	for waited, want := range map[time.Duration]testserver.Outcome{
		5*time.Second - 1: testserver.ReplayedSame, 5 * time.Second: testserver.RaceConflict,
	} {
		b := startWith(t, testserver.Replay{
			Mode: testserver.Same, Window: time.Minute, RaceLoser: testserver.Conflict409, RaceWait: 5 * time.Second,
		})
		_, loser := inOrderBy(t, b, oauth(), b.login(t).Refresh, func() { b.Advance(waited) })
		assert.Equal(t, want, loser.outcome())
	}
}

func TestARefusalThatEndsNothingIsAnsweredInItsOwnDialect(t *testing.T) {
	reject := testserver.Replay{Mode: testserver.Reject}
	replace := testserver.Replay{Mode: testserver.Replace, Window: time.Minute}
	for _, row := range []struct {
		outcome testserver.Outcome
		replay  testserver.Replay
		text    string
		arrange func(b bench, token string) string
	}{
		{testserver.ReplayRefused, reject, "refresh token already used",
			func(b bench, token string) string { b.refresh(token); return token }},
		{testserver.TokenRevoked, replace, "refresh token revoked",
			func(b bench, token string) string {
				_, child := b.refresh(token).tokens()
				b.refresh(token)
				return child
			}},
	} {
		inBoth(t, func(t *testing.T, isOAuth bool, d dialect) {
			b := startWith(t, row.replay)
			got := b.do(d.request(row.arrange(b, b.login(t).Refresh)))
			want := cell{http.StatusUnauthorized, invalidRefresh}
			if isOAuth {
				want = grantError(row.text)
			}
			assert.Equal(t, want.status, got.Code)
			assert.JSONEq(t, want.body, got.Body.String())
			assert.Equal(t, row.outcome, got.outcome())
			assertTokenHeaders(t, got)
			list, err := b.Sessions("alice")
			require.NoError(t, err)
			assert.Empty(t, list[0].Ended)
			assert.Zero(t, b.Stats().FamiliesRevoked)
		})
	}
}

func TestEveryAnswerWithTokensHasTheMembersOfItsDialect(t *testing.T) {
	full := []string{"access_token", "expires_in", "refresh_token", "token_type"}
	fullJSON := []string{"accessToken", "expiresIn", "refreshToken"}
	inWindow := func(m testserver.Mode) testserver.Replay { return testserver.Replay{Mode: m, Window: time.Minute} }
	for _, row := range []struct {
		outcome     testserver.Outcome
		replay      testserver.Replay
		live        bool // the token is presented for the first time
		oauth, json []string
	}{
		{testserver.ReplayedSame, inWindow(testserver.Same), false, full, fullJSON},
		{testserver.Forked, inWindow(testserver.Fork), false, full, fullJSON},
		{testserver.Replaced, inWindow(testserver.Replace), false, full, fullJSON},
		{testserver.OnlyAccess, inWindow(testserver.AccessOnly), false,
			[]string{"access_token", "expires_in", "token_type"}, []string{"accessToken"}},
		{testserver.OnlyAccess, testserver.Replay{Hold: testserver.Always, HoldUntold: true}, true,
			[]string{"access_token", "expires_in", "token_type"}, []string{"accessToken"}},
		{testserver.Kept, testserver.Replay{Hold: testserver.Always}, true, full, fullJSON},
	} {
		inBoth(t, func(t *testing.T, isOAuth bool, d dialect) {
			b := startWith(t, row.replay)
			token := b.login(t).Refresh
			if !row.live {
				require.Equal(t, testserver.Rotated, b.refresh(token).outcome())
			}
			got := b.do(d.request(token))
			want := row.json
			if isOAuth {
				want = row.oauth
			}
			assert.Equal(t, http.StatusOK, got.Code)
			assert.Equal(t, row.outcome, got.outcome())
			assert.ElementsMatch(t, want, got.members())
			assertTokenHeaders(t, got)
			access, _ := got.tokens()
			assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
		})
	}
}

func TestReuseEndsWhatThePolicySays(t *testing.T) {
	for _, row := range []struct {
		on                                   testserver.OnReuse
		own, sameClient, otherClient, others testserver.Outcome
		families                             int
	}{
		{testserver.RevokeNothing, testserver.Rotated, testserver.Rotated, testserver.Rotated, testserver.Rotated, 0},
		{testserver.RevokeSession, testserver.SessionRevoked, testserver.Rotated, testserver.Rotated, testserver.Rotated, 1},
		{testserver.RevokeClientUser, testserver.SessionRevoked, testserver.SessionRevoked, testserver.Rotated, testserver.Rotated, 2},
		{testserver.RevokeUser, testserver.SessionRevoked, testserver.SessionRevoked, testserver.SessionRevoked, testserver.Rotated, 3},
	} {
		b := startWith(t, testserver.Replay{OnReuse: row.on, AlsoAccess: true})
		token, second := b.login(t).Refresh, b.login(t).Refresh
		form := passwordForm("")
		form.Set("client_id", "other")
		_, third := b.do(formRequest("/oauth/token", form)).tokens()
		bobs, err := b.Login("bob", "desk")
		require.NoError(t, err)

		_, live := b.refresh(token).tokens()
		require.Equal(t, testserver.ReuseDetected, b.refresh(token).outcome())
		assert.Equal(t, row.own, b.refresh(live).outcome())
		assert.Equal(t, row.sameClient, b.refresh(second).outcome())
		other := refreshForm(third)
		other.Set("client_id", "other")
		assert.Equal(t, row.otherClient, b.do(formRequest("/oauth/token", other)).outcome())
		assert.Equal(t, row.others, b.refresh(bobs.Refresh).outcome())
		assert.Equal(t, row.families, b.Stats().FamiliesRevoked)
		assert.Equal(t, 1, b.Stats().Reuses)
	}
}

func TestAccessTokensDieWithTheFamilyOnlyWhereThePolicySaysSo(t *testing.T) {
	for also, want := range map[bool]int{true: http.StatusUnauthorized, false: http.StatusOK} {
		b := startWith(t, testserver.Replay{AlsoAccess: also})
		token := b.login(t)
		access, _ := b.refresh(token.Refresh).tokens()
		require.Equal(t, testserver.ReuseDetected, b.refresh(token.Refresh).outcome())
		assert.Equal(t, want, b.get("/api/me", access).Code)

		left := b.login(t)
		require.NoError(t, b.RevokeSession(left.Session, "logout"))
		assert.Equal(t, http.StatusUnauthorized, b.get("/api/me", left.Access).Code, "a logout is no reuse")
	}
}

func TestARotationKillsOlderAccessTokensOnlyWhereThePolicySaysSo(t *testing.T) {
	for old, want := range map[testserver.OldAccess]int{
		testserver.KeepUntilExp: http.StatusOK, testserver.RevokeOnRotate: http.StatusUnauthorized,
	} {
		b := startWith(t, testserver.Replay{OldAccess: old})
		tokens, elsewhere := b.login(t), b.login(t)
		access, _ := b.refresh(tokens.Refresh).tokens()
		assert.Equal(t, want, b.get("/api/me", tokens.Access).Code)
		assert.Equal(t, http.StatusOK, b.get("/api/me", access).Code)
		assert.Equal(t, http.StatusOK, b.get("/api/me", elsewhere.Access).Code, "another session's")
	}
}

func TestAHeldTokenLivesAsLongAsItIsUsed(t *testing.T) {
	for _, format := range []testserver.Format{testserver.Opaque, testserver.JWT} {
		b := start(t, "", func(c *testserver.Config) {
			c.Profile = testserver.Profile{Name: "custom", RefreshFormat: format, Replay: testserver.Replay{Hold: testserver.Always}}
			c.IdleTTL, c.MaxRefreshes = time.Hour, 3
		})
		token := b.login(t).Refresh
		b.Advance(40 * time.Minute)
		got := b.refresh(token)
		require.Equal(t, testserver.Kept, got.outcome())
		_, again := got.tokens()
		assert.Equal(t, token, again)
		b.Advance(40 * time.Minute)
		if format == testserver.JWT { // which names its own end
			assert.Equal(t, testserver.TokenExpired, b.refresh(token).outcome())
			continue
		}
		assert.Equal(t, testserver.Kept, b.refresh(token).outcome())
		assert.Equal(t, testserver.Kept, b.refresh(token).outcome())
		assert.Equal(t, testserver.MaxRefreshes, b.refresh(token).outcome(), "the count of refreshes counts them")
		assert.Empty(t, b.rules(), "a held token is meant to come back")
		assert.Zero(t, b.Stats().Rotations+b.Stats().Replays)
	}
}

func TestAHeldTokenMayComeBackAlsoWhereItIsNotTold(t *testing.T) {
	b := start(t, "non-rotating", nil)
	token := b.login(t).Refresh
	for range 3 {
		assert.Equal(t, testserver.OnlyAccess, b.refresh(token).outcome())
	}
	assert.Empty(t, b.rules())
	assert.Zero(t, b.Stats().Replays+b.Stats().Recoveries, "it did not come back: it never went")
}

func TestAYoungTokenIsHeldAndAnOldOneRotated(t *testing.T) {
	b := startWith(t, testserver.Replay{Mode: testserver.Same, Window: 3 * time.Second, Hold: 3 * time.Second})
	token := b.login(t).Refresh
	assert.Equal(t, testserver.Kept, b.refresh(token).outcome())
	b.Advance(3 * time.Second)
	first := b.refresh(token)
	assert.Equal(t, testserver.Rotated, first.outcome())
	_, child := first.tokens()
	assert.Equal(t, testserver.Kept, b.refresh(child).outcome())
	assert.Equal(t, testserver.ReplayedSame, b.refresh(token).outcome())
}

func TestAHeldTokenIsNoExcuseForRefreshingTooOften(t *testing.T) {
	for _, profile := range []string{"non-rotating", "firstparty-no-rotation"} {
		b := start(t, profile, func(c *testserver.Config) { c.EarlyRefresh = time.Minute })
		token := b.login(t).Refresh
		b.Advance(14 * time.Minute)
		b.refresh(token)
		assert.Empty(t, b.rules())
		b.Advance(time.Minute)
		b.refresh(token)
		assert.Equal(t, []string{testserver.RefreshEarly}, b.rules(), "the access token was fresh")
	}
}

func TestWhoWasNeverToldTheChildMayAskAgainAndAgain(t *testing.T) {
	b := startWith(t, testserver.Replay{Mode: testserver.AccessOnly, Window: time.Minute})
	token := b.login(t).Refresh
	b.fault(t, testserver.Fault{On: testserver.Refresh, At: testserver.AfterCommit, Drop: true})
	require.True(t, b.refresh(token).dropped)
	for range 2 {
		assert.Equal(t, testserver.OnlyAccess, b.refresh(token).outcome())
	}
	assert.Empty(t, b.rules())
	assert.Equal(t, 2, b.Stats().Recoveries)
}
