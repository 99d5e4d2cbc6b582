package main

import (
	"context"
	"io"
	"strings"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// Configured is what the flags beside those of every day come to.
func Configured(args ...string) (cfg testserver.Config, err error) {
	o, err := parse(args, io.Discard)
	o.behaviour.apply(&cfg)
	return cfg, err
}

// Refused runs the program in this process with arguments that must end it
// before it serves, and returns its exit status and what it said.
func Refused(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, bad strings.Builder
	code = run(ctx, args, &out, &bad)
	return code, out.String(), bad.String()
}
