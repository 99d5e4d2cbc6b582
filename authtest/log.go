package authtest

import (
	"io"
	"log"
	"log/slog"
)

// logged is what a TB has if it takes a log, as testing.TB does.
type logged interface{ Output() io.Writer }

// loggedTo is the Config with a log that goes to the test, unless it has one.
// What the test runner shows of it, it shows of a failed test.
func (c Config) loggedTo(tb TB) Config {
	if to, ok := tb.(logged); ok && c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(to.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return c
}

// silent drops what net/http says of broken connections: faults break them in
// numbers, and it speaks even when the test is over.
func silent() *log.Logger { return slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug) }
