#!/bin/sh
# Runs every fuzz target of the root module for FUZZTIME (20s unless set): the
# go command takes one target at a time.
set -eu
cd "$(dirname "$0")/.."

export GOWORK=off
for pkg in $(go list ./...); do
	# Assigned first: a package that does not compile must end the script, which
	# a failing command inside the words of a for would not.
	targets=$(go test -list '^Fuzz' "$pkg")
	for target in $(echo "$targets" | grep '^Fuzz' || :); do
		echo "fuzz: $pkg $target"
		# Left alone, shrinking one input of a few pages takes all of that time.
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-20s}" -fuzzminimizetime 100x "$pkg"
	done
done
