#!/bin/sh
# postgres.sh CMD... runs a command beside a real PostgreSQL of its own: a
# server in a fresh directory that listens on a socket there and nowhere else,
# so that a database of whoever runs it is never touched.
#
# The command finds its connection string in PAWL_TEST_POSTGRES when the server
# is up. Where it cannot be had, the script says so and runs the command
# without; with PAWL_REQUIRE_SERVICES=1 it fails instead.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
unset PAWL_TEST_POSTGRES

without() {
	if [ "${PAWL_REQUIRE_SERVICES:-}" = 1 ]; then
		echo "postgres: $1 (PAWL_REQUIRE_SERVICES=1: giving up)" >&2
		exit 1
	fi
	echo "postgres: left out, $1; tests of PostgreSQL are skipped"
	shift
	"$@" # not exec: the trap below has a directory to remove
	exit
}

sh "$here/install-deps.sh" postgres || without "its programs are not installed" "$@"
# Debian keeps the programs of each version apart: the newest will do.
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb)")

# initdb refuses to run as root: Debian's package made a user for it.
owner=
if [ "$(id -u)" = 0 ]; then
	owner=postgres
	command -v setpriv >/dev/null 2>&1 || without "there is no setpriv to become its user" "$@"
fi
as_owner() {
	if [ -n "$owner" ]; then
		setpriv --reuid="$owner" --regid="$owner" --init-groups env HOME="$dir" "$@"
	else
		"$@"
	fi
}

dir=$(mktemp -d)
running=
cleanup() {
	[ -z "$running" ] || as_owner "$bin/pg_ctl" -D "$dir/data" -m fast -w stop >/dev/null 2>&1 || :
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
[ -z "$owner" ] || chown "$owner" "$dir"
cd "$dir" # the owner may not be allowed into where we are

as_owner "$bin/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >initdb.log 2>&1 || {
	cat initdb.log >&2
	without "initdb failed" "$@"
}
# Nothing here outlives the run, so nothing needs to reach the disk. Whoever
# can open the directory may connect: that is the owner and root.
as_owner "$bin/pg_ctl" -D data -l server.log -w -t 30 start >/dev/null -o "-k $dir -c listen_addresses='' \
	-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300" || {
	cat server.log >&2
	without "the server did not start" "$@"
}
running=1
cd "$OLDPWD"

echo "postgres: $("$bin/postgres" --version)"
export PAWL_TEST_POSTGRES="host=$dir user=postgres dbname=postgres sslmode=disable"
"$@"
