package tokensource_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// Guards rule 10: the order of write and publish in save.
func TestANewTokenIsSavedBeforeAnyoneSeesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		s := loggedIn(t, r, store)
		old, err := s.Token(t.Context())
		require.NoError(t, err)
		saving := make(chan struct{})
		n := 0
		store.swap = func(context.Context, []byte) error {
			if n++; n == 2 { // 1 is the mark
				close(saving)
				time.Sleep(5 * time.Second)
			}
			return nil
		}
		time.Sleep(57 * time.Minute)
		go func() { _, _ = s.Token(t.Context()) }()
		<-saving
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, old.ID(), tok.ID(), "while the new one is being saved")
		time.Sleep(6 * time.Second)
		tok, err = s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, uint64(2), tok.ID().Generation)
	})
}

// Guards rule 10: save writes over a parent whatever its version is, and
// whatever was marked or suspected in it meanwhile.
func TestAChildIsSavedOverItsParentWhateverHappenedToItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		var anomalies counter
		s := loggedIn(t, r, store, func(c *tokensource.Config) {
			c.Hooks.Anomaly = func(tokensource.AnomalyInfo) { anomalies.add() }
		})
		time.Sleep(2 * time.Hour)
		n := 0
		store.swap = func(ctx context.Context, data []byte) error {
			if n++; n == 2 {
				// Another holder, whose lease we lost, wrote a suspicion.
				ver, rec, err := store.MemoryStore.Load(ctx, testKey)
				require.NoError(t, err)
				require.NoError(t, store.MemoryStore.Swap(ctx, testKey, ver, tokensource.Version{7}, tokensource.SuspectRecord(t, rec)))
			}
			return nil
		}
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, uint64(2), tok.ID().Generation)
		view := stored(t, store)
		assert.Equal(t, r.current(), view.RefreshToken)
		assert.False(t, view.Suspect, "a save of another token ends every suspicion")
		assert.Zero(t, anomalies.get())
		assert.Equal(t, 1, r.requests())
	})
}

// Guards rule 10: swap recognises its own write by the version.
func TestAWriteThatReportedAnErrorButHappenedIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		swaps := store.swaps.get()
		store.swapped = func([]byte) error { return errDisk }
		tok, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, uint64(2), tok.ID().Generation)
		assert.Equal(t, 2, store.swaps.get()-swaps, "the mark and the child")
		assert.False(t, s.Status().Unsaved)
	})
}

// Guards rule 11: keepUnsaved, saveLater and whileUnsaved.
func TestATokenThatCannotBeSavedIsServedAndSavedLaterAndNobodyRotatesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		var failed, saved counter
		s := loggedIn(t, r, store, func(c *tokensource.Config) {
			c.Hooks.SaveFailed = func(i tokensource.SaveFailedInfo) { failed.add(); assert.ErrorIs(t, i.Err, errDisk) }
			c.Hooks.TokenStored = func(tokensource.TokenStoredInfo) { saved.add() }
		})
		other := newSession(t, r, store)
		time.Sleep(2 * time.Hour)
		n := 0
		store.swap = func(context.Context, []byte) error {
			if n++; n == 1 {
				return nil // the mark could be written
			}
			return errDisk
		}
		start := time.Now()
		tok, err := s.Token(t.Context())
		require.NoError(t, err, "served from memory")
		assert.Equal(t, uint64(2), tok.ID().Generation)
		assert.LessOrEqual(t, time.Since(start), 10*time.Second)
		assert.True(t, s.Status().Unsaved)
		assert.Equal(t, 1, failed.get())

		_, err = other.Token(t.Context())
		assert.Equal(t, tokensource.ReasonBusy, typed(t, err).Reason, "the lease is kept")
		start = time.Now()
		_, err = s.Renew(t.Context(), tok)
		assert.ErrorIs(t, err, tokensource.ErrTryAgain, "nothing is rotated before it is saved")
		assert.Zero(t, time.Since(start), "and nobody waits for that")
		assert.Equal(t, 1, r.requests())

		closing, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		before := store.swaps.get()
		assert.ErrorIs(t, s.Close(closing), context.DeadlineExceeded, "Close waits for the save")
		assert.GreaterOrEqual(t, store.swaps.get()-before, 59, "tries in a minute")
		store.setSwap(nil)
		require.NoError(t, s.Close(t.Context()))
		assert.Equal(t, r.current(), stored(t, store).RefreshToken)
		assert.Equal(t, 1, saved.get())
		time.Sleep(time.Minute)
		_, err = other.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, r.requests(), "the other adopts it")
	})
}

// Guards hold: a lease that ends by the clock was extended for the request, and
// must not end while the first tries to save fail.
func TestTheLeaseIsExtendedWhileASaveFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		s := loggedIn(t, r, store, func(c *tokensource.Config) {
			c.Rotation = tokensource.Rotation{Replay: tokensource.ReplayAnswered, Grace: 4 * time.Second}
		})
		time.Sleep(2 * time.Hour)
		var covered time.Time
		store.extend = func(_ context.Context, d time.Duration) error { covered = time.Now().Add(d); return nil }
		back := time.Now().Add(8 * time.Second)
		store.swap = func(context.Context, []byte) error {
			if r.requests() == 0 {
				return nil
			}
			assert.True(t, time.Now().Before(covered), "the lease has ended, and the set is not saved")
			if time.Now().Before(back) {
				return errDisk
			}
			return nil
		}
		_, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, r.current(), stored(t, store).RefreshToken)
	})
}

// Guards load: a store that answers nothing at all, neither a save nor the look
// at what came of it, must not make the new set look like one of no session.
func TestATokenIsKeptWhereTheStoreCanNeitherBeWrittenNorRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour), newHookedStore()
		s := loggedIn(t, r, store)
		time.Sleep(2 * time.Hour)
		back := time.Now().Add(30 * time.Second)
		down := func() error {
			if r.requests() > 0 && time.Now().Before(back) {
				return errDisk
			}
			return nil
		}
		store.swap = func(context.Context, []byte) error { return down() }
		store.load = func(context.Context) error { return down() }
		tok, err := s.Token(t.Context())
		require.NoError(t, err, "served from memory")
		assert.Equal(t, uint64(2), tok.ID().Generation)
		require.NoError(t, s.Close(t.Context()), "and saved when the store is back")
		assert.Equal(t, r.current(), stored(t, store).RefreshToken)
		assert.Equal(t, 1, r.requests())
		assert.Empty(t, r.revoked)
	})
}

// Guards rule 11: the flight that Close joins.
func TestCloseWaitsForTheRefreshUnderWayAndWhatItBringsIsSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := newRotor(time.Hour).slowly(3*time.Second), tokensource.NewMemoryStore()
		s := loggedIn(t, r, store, func(c *tokensource.Config) { c.Background = true })
		time.Sleep(57 * time.Minute)
		_, err := s.Token(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		start := time.Now()
		require.NoError(t, s.Close(t.Context()))
		assert.Equal(t, 3*time.Second, time.Since(start))
		assert.Equal(t, r.current(), stored(t, store).RefreshToken)
		_, err = s.Token(t.Context())
		assert.ErrorIs(t, err, tokensource.ErrClosed)
		require.NoError(t, s.Close(t.Context()), "closing twice")
	})
}

// Guards rule 10: lineage, case by case.
func TestWhatBecomesOfANewSetIsDecidedByDescentAlone(t *testing.T) {
	child := tokensource.LineageRecord{Family: 1, Generation: 5, Refresh: "child", Parent: "parent", PresentedAt: 10}
	for _, c := range []struct {
		name    string
		stored  *tokensource.LineageRecord
		want    string
		anomaly bool
	}{
		{"its parent", &tokensource.LineageRecord{Family: 1, Generation: 4, Refresh: "parent"}, "write", false},
		{"the same refresh token, kept by the server", &tokensource.LineageRecord{Family: 1, Generation: 9, Refresh: "parent"}, "write", false},
		{"the same successor, saved by another", &tokensource.LineageRecord{Family: 1, Generation: 5, Refresh: "child", Parent: "parent"}, "done", false},
		{"a sibling presented earlier", &tokensource.LineageRecord{Family: 1, Generation: 5, Refresh: "sibling", Parent: "parent", PresentedAt: 9}, "write", true},
		{"a sibling presented later", &tokensource.LineageRecord{Family: 1, Generation: 5, Refresh: "sibling", Parent: "parent", PresentedAt: 11}, "yield", true},
		{"a descendant of a sibling", &tokensource.LineageRecord{Family: 1, Generation: 6, Refresh: "nephew", Parent: "sibling", PresentedAt: 1}, "yield", true},
		{"an ancestor: a rollback", &tokensource.LineageRecord{Family: 1, Generation: 3, Refresh: "grandparent"}, "write", true},
		{"another family", &tokensource.LineageRecord{Family: 2, Generation: 1, Refresh: "other"}, "discard", false},
		{"ended", &tokensource.LineageRecord{Family: 1, Generation: 4, Ended: true}, "discard", false},
		{"nothing", nil, "discard", false},
	} {
		got, anomaly := tokensource.Lineage(c.stored, child)
		assert.Equal(t, c.want, got, c.name)
		assert.Equal(t, c.anomaly, anomaly, c.name)
	}
}
