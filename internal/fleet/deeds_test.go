package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/seed-9a12f4e2/pawl/client"
	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// deeds are the things that a process can be told to do.
var deeds = map[string]func(context.Context, job) error{
	"get":     func(_ context.Context, j job) error { return get(j) },
	"crowd":   crowd,
	"rotate":  rotate,
	"adopt":   adoptOnce,
	"desk":    sit,
	"once":    once,
	"program": program,
	"unsaved": unsaved,
}

// get uses the API once and ends on the spot, without Close: a short-lived
// command.
func get(j job) error {
	c, err := j.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), renewalTime)
	defer cancel()
	err = useOnce(ctx, c, j)
	for eventOf(err) == "trouble" { // a keyring with fifty callers may not answer in time
		tell(report{Event: "trouble", Err: err.Error()})
		rest(ctx, 500*time.Millisecond)
		err = useOnce(ctx, c, j)
	}
	if err != nil {
		return err
	}
	tell(report{Event: "answered"})
	return nil
}

// renewalTime bounds one renewal. It is not the ctx that says when to stop: what
// was begun is finished.
const renewalTime = 2 * time.Minute

// crowd has sixteen goroutines renew one session together, time and again,
// until it is told to stop. Each round has a Session of its own, as in a program
// that is started anew: one that lives on would cool down after two early
// rejections.
func crowd(ctx context.Context, j job) error {
	store, err := j.store()
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		err := round(j, store)
		switch event := eventOf(err); event {
		case "trouble": // a keyring that is kept busy may not answer in time
			tell(report{Event: event, Err: err.Error()})
		default:
			if err != nil {
				return err
			}
		}
		// Without it all eight would do little but take over what one of them
		// has renewed.
		rest(ctx, time.Duration(rand.Int64N(int64(j.Rest)+1)))
	}
	return nil
}

func round(j job, store tokensource.Store) error {
	c, err := j.clientOver(store, tokensource.Hooks{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), renewalTime)
	defer cancel()
	old, err := together(func() (tokensource.Token, error) { return c.Session().Token(ctx) })
	if err == nil {
		_, err = together(func() (tokensource.Token, error) {
			tok, err := c.Session().Renew(ctx, old)
			if err == nil && tok.ID() == old.ID() {
				err = errors.New("the rejected token came back")
			}
			return tok, err
		})
	}
	return errors.Join(err, c.Close(ctx))
}

// together has sixteen goroutines ask, and returns what one of them got.
func together(ask func() (tokensource.Token, error)) (tokensource.Token, error) {
	var all sync.WaitGroup
	var tokens [16]tokensource.Token
	var errs [16]error
	for i := range errs {
		all.Go(func() { tokens[i], errs[i] = ask() })
	}
	all.Wait()
	return tokens[0], errors.Join(errs[:]...)
}

// rotate has two sessions renew, time and again, until it is told to stop, and
// tells of each save. That the session is over, or held up, is told as well and
// does not end it.
func rotate(ctx context.Context, j job) error {
	plain, err := j.store()
	if err != nil {
		return err
	}
	store := tap{Store: plain, where: j.Where}
	var all sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		all.Go(func() {
			for ctx.Err() == nil && errs[i] == nil {
				errs[i] = renewOnce(ctx, j, store)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func renewOnce(stop context.Context, j job, store tokensource.Store) error {
	c, err := j.clientOver(store, tokensource.Hooks{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), renewalTime)
	defer cancel()
	tok, err := c.Session().Token(ctx)
	if err == nil {
		_, err = c.Session().Renew(ctx, tok)
	}
	if event := eventOf(err); event != "" {
		tell(report{Event: event, Err: err.Error()})
		rest(stop, 20*time.Millisecond)
		err = nil
	}
	return errors.Join(err, c.Close(ctx))
}

// adoptOnce starts a session where the test itself cannot: as another user, or
// over another keyring.
func adoptOnce(ctx context.Context, j job) error {
	c, err := j.client()
	if err != nil {
		return err
	}
	err = c.Session().Adopt(ctx, tokensource.Grant{
		AccessToken: tokensource.NewSecret(j.Access), RefreshToken: tokensource.NewSecret(j.Refresh),
		IssuedAt: time.Now(), Expiry: time.Now().Add(time.Hour),
	})
	return errors.Join(err, c.Close(ctx))
}

// sit is what the script runs: it tells of its environment, and the desk lasts
// as long as it.
func sit(ctx context.Context, _ job) error {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); name == "DBUS_SESSION_BUS_ADDRESS" || name == "HOME" || strings.HasPrefix(name, "XDG_") {
			tell(report{Event: "env", Where: v})
		}
	}
	tell(report{Event: "seated"})
	<-ctx.Done()
	return nil
}

// once tells of the token that is there, renews it, tells what came of that,
// and tries again until it is told to stop or has a new one.
func once(stop context.Context, j job) error {
	c, err := j.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), renewalTime)
	defer cancel()
	tok, err := firstToken(ctx, c)
	if err != nil {
		return err
	}
	tell(report{Event: "has", Generation: tok.ID().Generation})
	for {
		begun := time.Now()
		renewed, err := c.Session().Renew(ctx, tok)
		if err == nil {
			tell(report{Event: "renewed", Generation: renewed.ID().Generation, Took: time.Since(begun)})
			return c.Close(ctx)
		}
		tell(report{Event: eventOf(err), Err: err.Error(), Took: time.Since(begun)})
		if eventOf(err) == "" || stop.Err() != nil {
			return errors.Join(err, c.Close(ctx))
		}
		rest(stop, 100*time.Millisecond)
	}
}

// firstToken reads the store, however busy the keyring is.
func firstToken(ctx context.Context, c *client.Client) (tokensource.Token, error) {
	tok, err := c.Session().Token(ctx)
	for eventOf(err) == "trouble" {
		rest(ctx, 500*time.Millisecond)
		tok, err = c.Session().Token(ctx)
	}
	return tok, err
}

// eventOf is "over" where a login is required, "trouble" where the same may
// succeed later, and empty for everything else.
func eventOf(err error) string {
	switch {
	case errors.Is(err, tokensource.ErrLoginRequired):
		return "over"
	case errors.Is(err, tokensource.ErrTryAgain):
		return "trouble"
	}
	return ""
}

// rest waits for d, or until it is time to stop.
func rest(stop context.Context, d time.Duration) {
	select {
	case <-stop.Done():
	case <-time.After(d):
	}
}

// tap tells of every save, at once: what was told of is safe.
type tap struct {
	tokensource.Store
	where bool
}

func (s tap) Swap(ctx context.Context, key tokensource.Key, old, new tokensource.Version, data []byte) error {
	err := s.Store.Swap(ctx, key, old, new, data)
	if rec := recordOf(data); err == nil && rec.Mark == nil && rec.Parent != "" {
		// The record has 16 bytes of the hash that the server shows 4 of.
		r := report{Event: "saved", Family: rec.Family, Generation: rec.Generation, Parent: rec.Parent[:8]}
		if ring, ok := s.Store.(*keyringstore.Store); ok && s.where {
			if where, err := ring.Where(ctx, key); err == nil {
				r.Where = where.String()
			}
		}
		tell(r)
	}
	return err
}

// rec is what the harness reads of a record, format 1: a successor has a parent
// and no mark.
type rec struct {
	Family     string
	Generation uint64 `json:"gen"`
	Parent     string
	Mark       json.RawMessage
}

func recordOf(data []byte) (r rec) {
	_ = json.Unmarshal(data, &r)
	return r
}
