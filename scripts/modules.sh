#!/bin/sh
# Lists the directory of every module of the repository, the root first.
set -eu
cd "$(dirname "$0")/.."
find . -name go.mod -not -path '*/.*/*' -not -path '*/testdata/*' | sed 's|/go.mod$||' | sort
