#!/bin/sh
# Tests every module of the repository with the race detector. Each is tested
# with GOWORK=off, which is how a program that depends on it sees it.
# secret-service.sh puts a keyring beside it.
set -eu
cd "$(dirname "$0")/.."

export GOWORK=off
race=-race
if [ "$(go env CGO_ENABLED)" != 1 ] || ! command -v "$(go env CC)" >/dev/null 2>&1; then
	if [ "${PAWL_REQUIRE_SERVICES:-}" = 1 ]; then
		echo "race detector: no C compiler (PAWL_REQUIRE_SERVICES=1: giving up)" >&2
		exit 1
	fi
	echo "race detector: left out, there is no C compiler"
	race=
fi
# With the race detector comes a check of pointer arithmetic, for which the C of
# SQLite, translated to Go, pays with half of its time. It is not ours to check.
[ -z "$race" ] || race="$race -gcflags=modernc.org/...=-d=checkptr=0"

# One failing module does not hide the others.
failed=
for mod in $(sh scripts/modules.sh); do
	# A module without tests, such as one that pins a tool, has nothing to say.
	(cd "$mod" && go list -f '{{.TestGoFiles}}{{.XTestGoFiles}}' ./... 2>&1 | grep -q _test.go) || continue
	echo "module $mod:"
	# shellcheck disable=SC2086 # $race may be empty
	(cd "$mod" && go test $race -shuffle=on -timeout "${TEST_TIMEOUT:-8m}" ./...) || failed="$failed $mod"
done
if [ -n "$failed" ]; then
	echo "FAIL: module$failed" >&2
	exit 1
fi
echo "PASS: every module"
