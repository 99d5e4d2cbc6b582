// Command authtestd runs the test authorization server of pawl by itself, for
// clients in any language.
//
//	go run ./cmd/authtestd -profile firstparty -user alice:secret -access-ttl 10s
//
// It prints lines that a shell can evaluate, serves until it is interrupted,
// and with -report says at the end what the clients did wrong: its exit status
// is then 1. It is not for production, and listens on loopback unless it is
// told otherwise.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit status: all is well, or a client did something wrong (with
// -report), or the server could not run.
const (
	served   = 0
	violated = 1
	unable   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return served
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return unable
	}
	if o.healthcheck != "" {
		if err := askHealth(ctx, o); err != nil {
			fmt.Fprintln(stderr, err)
			return unable
		}
		return served
	}
	d, err := start(ctx, o, stderr)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return unable
	}
	d.announce(stdout)
	err = d.serve(ctx)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return unable
	}
	if o.report && d.report(stdout) {
		return violated
	}
	return served
}
