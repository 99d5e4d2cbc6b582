// Command demo shows a session that survives.
//
// It starts an authorization server with strict refresh token rotation, access
// tokens of 2 seconds and a slow token endpoint, logs in once, and lets 4
// processes of 16 goroutines use the protected API for 10 seconds through one
// shared session. Halfway the server revokes every access token at once. At
// the end it prints what the server counted, and fails unless the API did
// answer 401s, the program saw none of them, and no refresh token was
// presented twice.
//
//	go run ./examples/demo          with pawl
//	go run ./examples/demo -naive   the same load through golang.org/x/oauth2
//
// The session is kept in the keyring of the operating system, or, where that
// cannot be used, in a sealed file whose key the processes inherit by a pipe.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

// workerVar tells a process that it is one of the workers.
const workerVar = "PAWL_DEMO_WORKER"

func main() {
	if os.Getenv(workerVar) != "" {
		os.Exit(work(os.Stdin, os.Stdout))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the flags.
type options struct {
	duration   time.Duration
	workers    int
	goroutines int
	naive      bool
	json       bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&o.duration, "duration", 10*time.Second, "how long to use the API")
	flags.IntVar(&o.workers, "workers", 4, "processes")
	flags.IntVar(&o.goroutines, "goroutines", 16, "goroutines in each")
	flags.BoolVar(&o.naive, "naive", false, "use golang.org/x/oauth2 instead of pawl, to see what happens without")
	flags.BoolVar(&o.json, "json", false, "print one line of JSON last")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("demo: unexpected argument %q", flags.Arg(0))
	}
	if o.duration < time.Second || o.workers < 1 || o.goroutines < 1 {
		return options{}, errors.New("demo: -duration wants at least 1s, -workers and -goroutines at least 1")
	}
	return o, nil
}

// The exit status: whether the session survived, or was not given the time, or
// the demo could not run at all.
const (
	survived    = 0
	failed      = 1
	unable      = 2
	interrupted = 130
)

// run is the parent process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return survived
	}
	if err == nil {
		var r report
		if r, err = show(ctx, o, stdout); err == nil {
			return r.print(stdout, o)
		}
	}
	fmt.Fprintln(stderr, err)
	return unable
}

// show runs the server and the load.
func show(ctx context.Context, o options, stdout io.Writer) (report, error) {
	s, err := newStage(o)
	if err != nil {
		return report{}, err
	}
	defer s.close()
	if err := s.login(ctx); err != nil {
		return report{}, err
	}
	fmt.Fprintf(stdout, "strict rotation, 2 s access tokens, %d processes of %d goroutines, one session in: %s\n", o.workers, o.goroutines, s.store)
	fleet, err := startFleet(o.workers, s.job)
	if err != nil {
		return report{}, err
	}
	s.watch(ctx, o, fleet, newScreen(stdout))
	total, err := fleet.stop()
	if err != nil {
		return report{}, err
	}
	r := s.report(total)
	r.interrupted = ctx.Err() != nil
	return r, nil
}
