#!/bin/sh
# Installs what the tests need beyond Go: a Secret Service and a C compiler or,
# with the argument postgres, a PostgreSQL, with keepassxc a second Secret
# Service. It exits 0 when all of it is there
# at the end, and says what is missing otherwise. Only a Debian-like system gets
# anything installed, and only root may: a test run should never ask for a
# password.
set -eu

has() { command -v "$1" >/dev/null 2>&1; }
# Debian keeps the programs of each version apart, and out of the PATH.
has_postgres() { has initdb || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }

packages=
if [ "${1:-}" = postgres ]; then
	has_postgres || packages=" postgresql"
elif [ "${1:-}" = keepassxc ]; then
	has keepassxc || packages=" keepassxc"
else
	# dbus-x11 is left out on purpose. It brings dbus-launch, with which a D-Bus
	# client that finds no bus starts one of its own and leaves it behind.
	has gnome-keyring-daemon || packages="$packages gnome-keyring"
	has dbus-daemon || packages="$packages dbus-daemon"
	has dbus-send || packages="$packages dbus-bin"
	# The command is driven by what its users drive it with.
	has curl || packages="$packages curl"
	has chromium || packages="$packages chromium"
	# The race detector needs cgo.
	has "$(go env CC)" || packages="$packages gcc libc6-dev"
fi

[ -n "$packages" ] || exit 0

if [ "$(uname -s)" != Linux ] || ! has apt-get; then
	echo "missing, and not a Debian to install it on:$packages" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "missing; as root: apt-get install -y --no-install-recommends$packages" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "installing:$packages"
# A fresh image has no package lists, an old one stale lists: both need the
# update, a machine that is up to date does not.
# shellcheck disable=SC2086 # a list of words
install() { apt-get install -y --no-install-recommends $packages </dev/null >>"$log" 2>&1; }
install || { apt-get update </dev/null >>"$log" 2>&1 && install; } || {
	tail -n 20 "$log" >&2
	exit 1
}
