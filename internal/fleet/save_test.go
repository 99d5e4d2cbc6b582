package fleet_test

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// held holds every save of a successor until ctx ends, or has it fail until
// then.
type held struct {
	tokensource.Store
	ctx  context.Context
	fail error
}

func (s held) Swap(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	if rec := recordOf(data); rec.Mark == nil && rec.Parent != "" {
		tell(report{Event: "saving", Generation: rec.Generation})
		if s.fail != nil && s.ctx.Err() == nil {
			return s.fail
		}
		<-s.ctx.Done()
	}
	return s.Store.Swap(ctx, key, old, new, data)
}

// program is a command as people write them: it ends by Ctrl-C, and its Close
// is deferred.
func program(stop context.Context, j job) (err error) {
	store, err := j.store()
	if err != nil {
		return err
	}
	if j.Held {
		store = held{Store: store, ctx: stop}
	}
	c, err := j.clientOver(store, tokensource.Hooks{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(context.Background())) }()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	tell(report{Event: "ready"})

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.Server+"/api/me", nil)
	if err != nil {
		return err
	}
	_, err = c.HTTPClient().Do(req)
	if !errors.Is(err, context.Canceled) {
		return errors.Join(errors.New("it was not interrupted"), err)
	}
	tell(report{Event: "interrupted"})
	return nil
}

// Guards rules 4, 10 and 11: the refresh does not depend on who waits for it,
// and Close waits for the refresh and its save.
func TestAProgramThatEndsByCtrlCInTheMiddleOfARefreshLosesNothing(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, j job) {
		for _, stage := range []authtest.Stage{authtest.BeforeCommit, authtest.AfterCommit, ""} {
			t.Run(cmp.Or(string(stage), "during-save"), func(t *testing.T) {
				srv := authtest.New(t)
				j := newJob(t, j.Store)
				j.Deed, j.Server, j.Held = "program", srv.URL(), stage == ""
				c := logIn(t, srv, j, 2*time.Hour, -time.Hour)
				release := func(m *member) { _ = m.stdin.Close() }
				if stage == "" {
					m := start(t, j)
					m.await(t, "saving")
					interrupt(t, m, release)
				} else {
					gate := srv.Gate(authtest.Refresh, stage)
					m := start(t, j)
					require.NoError(t, gate.Wait(t.Context(), 1))
					interrupt(t, m, func(*member) { gate.ReleaseAll() })
				}
				assert.Equal(t, 1, srv.Stats().Rotations)
				stillGood(t, c)
				assert.Equal(t, 2, srv.Stats().Rotations)
				assert.Equal(t, 1, srv.MaxRedemptions())
				assert.Zero(t, srv.Stats().FamiliesRevoked)
			})
		}
	})
}

// interrupt presses Ctrl-C and lets the refresh go on only when the program is
// on its way out.
func interrupt(t *testing.T, m *member, release func(*member)) {
	t.Helper()
	require.NoError(t, m.cmd.Process.Signal(os.Interrupt))
	m.await(t, "interrupted")
	release(m)
	require.NoError(t, m.finish())
}

// unsaved cannot save what it renewed, until it is told to stop.
func unsaved(mended context.Context, j job) error {
	plain, err := j.store()
	if err != nil {
		return err
	}
	store := plain
	if j.Held {
		store = held{Store: plain, ctx: mended, fail: errors.New("no room")}
	}
	var once sync.Once
	c, err := j.clientOver(store, tokensource.Hooks{SaveFailed: func(info tokensource.SaveFailedInfo) {
		once.Do(func() { tell(report{Event: "hook", Generation: info.ID.Generation, Err: info.Err.Error()}) })
	}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), renewalTime)
	defer cancel()
	old, err := firstToken(ctx, c)
	if err != nil {
		return err
	}
	tok, err := c.Session().Renew(ctx, old)
	if err != nil {
		return err
	}
	tell(report{Event: "served", Generation: tok.ID().Generation})
	if err := useOnce(ctx, c, j); err != nil {
		return err
	}
	if _, err = c.Session().Renew(ctx, tok); err == nil {
		return errors.New("it was renewed before it was saved")
	}
	tell(report{Event: "refused", Err: err.Error()})
	soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := c.Close(soon); err == nil {
		return errors.New("Close did not wait for the save")
	} else {
		tell(report{Event: "unsaved", Err: err.Error()})
	}
	<-mended.Done()
	tell(report{Event: "closing"})
	return c.Close(ctx)
}

func useOnce(ctx context.Context, c *client.Client, j job) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.Server+"/api/me", nil)
	if err != nil {
		return err
	}
	resp, err := c.HTTPClient().Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// Guards rule 11 from the server to the disk: what cannot be saved is kept and
// served, nobody rotates meanwhile, and Close waits for the save.
func TestASaveThatFailsIsKeptServedAndRetriedAndNobodyRotatesMeanwhile(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, j job) {
		srv := authtest.New(t)
		j.Deed, j.Server, j.Held = "unsaved", srv.URL(), true
		c := logIn(t, srv, j, 0, time.Hour)
		m := start(t, j)
		m.await(t, "saving")
		j.Deed = "once"
		other := start(t, j)
		assert.EqualValues(t, 1, other.await(t, "has").Generation, "the old token is good for whoever has it")

		assert.EqualValues(t, 2, m.await(t, "served").Generation)
		assert.Contains(t, m.await(t, "refused").Err, "not saved yet")
		hook := m.await(t, "hook")
		assert.EqualValues(t, 2, hook.Generation)
		assert.Contains(t, hook.Err, "no room")
		assert.Contains(t, m.await(t, "unsaved").Err, "not saved yet")
		assert.Contains(t, other.await(t, "trouble").Err, "busy")
		assert.Equal(t, 1, srv.Stats().RefreshRequests, "nobody else has sent anything")

		require.NoError(t, m.stop())
		other.await(t, "renewed")
		require.NoError(t, other.finish())
		stillGood(t, c)
		assert.Equal(t, 1, srv.MaxRedemptions())
		assert.Zero(t, srv.Stats().FamiliesRevoked)
	})
}
