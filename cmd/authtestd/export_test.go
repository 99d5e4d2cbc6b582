package main

import (
	"context"
	"strings"
)

// Refused runs the program in this process with arguments that must end it
// before it serves, and returns its exit status and what it said.
func Refused(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, bad strings.Builder
	code = run(ctx, args, &out, &bad)
	return code, out.String(), bad.String()
}
