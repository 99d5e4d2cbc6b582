package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/transport"
)

// waitForEnd is a renewal that takes as long as it may.
func waitForEnd(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// unreplayable sends a request whose body cannot be replayed, and which is
// rejected. Its context has ended when unreplayable returns.
func unreplayable(t *testing.T, tr http.RoundTripper) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.example.com/", io.NopCloser(strings.NewReader("too long")))
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	assert.Equal(t, "no", bodyOf(t, resp))
}

// rejecting is a Transport whose requests are all rejected, after their body
// was read.
func rejecting(t *testing.T, src *source) *transport.Transport {
	t.Helper()
	return newTransport(t, transport.Config{
		Source:    src,
		Origins:   []string{"https://api.example.com"},
		MaxReplay: -1,
		Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			defer r.Body.Close()
			_, _ = io.ReadAll(r.Body)
			return answer(401, "no"), nil
		}),
	})
}

// Guards the context in aside.start: that of the request would end the
// renewal with the request.
func TestARenewalBesideARequestOutlivesItAndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		src := &source{renew: func(ctx context.Context) error {
			err := waitForEnd(ctx)
			ended <- err
			return err
		}}
		tr := rejecting(t, src)
		begun := time.Now()
		unreplayable(t, tr)
		assert.Zero(t, time.Since(begun), "the 401 does not wait for the renewal")
		synctest.Wait()
		assert.Empty(t, ended)
		assert.ErrorIs(t, <-ended, context.DeadlineExceeded)
		assert.Equal(t, time.Minute, time.Since(begun))
	})
}

// Guards the look at done in aside.start.
func TestOneRenewalAtATimeRunsBesideRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		src := &source{renew: func(ctx context.Context) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(time.Second)
			return nil
		}}
		tr := rejecting(t, src)
		for range 100 {
			unreplayable(t, tr)
		}
		time.Sleep(2 * time.Second)
		assert.EqualValues(t, 1, most.Load())
		assert.Equal(t, []uint64{1}, src.renewals())
		unreplayable(t, tr)
		time.Sleep(2 * time.Second)
		assert.Equal(t, []uint64{1, 2}, src.renewals(), "a later rejection starts the next")
	})
}

func TestCloseEndsTheRenewalAndStartsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var returned atomic.Bool
		src := &source{renew: func(ctx context.Context) error {
			err := waitForEnd(ctx)
			time.Sleep(time.Second) // still has to let go of something
			returned.Store(true)
			return err
		}}
		tr := rejecting(t, src)
		unreplayable(t, tr)

		begun := time.Now()
		impatient, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("no time"))
		defer cancel()
		assert.EqualError(t, tr.Close(impatient), "no time")
		assert.False(t, returned.Load())
		assert.NoError(t, tr.Close(t.Context()))
		assert.True(t, returned.Load())
		assert.Equal(t, time.Second, time.Since(begun))

		unreplayable(t, tr) // still works
		synctest.Wait()
		assert.Equal(t, []uint64{1}, src.renewals())
		assert.NoError(t, tr.Close(t.Context()))
	})
}
