#!/bin/sh
# secret-service.sh CMD... runs a command beside a real, unlocked Secret
# Service of its own: a private D-Bus daemon and a gnome-keyring-daemon, with
# fresh directories, so that the keyring of whoever runs it is never touched.
#
# The command finds PAWL_TEST_KEYRING=1 in its environment when the service is
# up. Where it cannot be had, the script says so and runs the command without;
# with PAWL_REQUIRE_SERVICES=1 it fails instead.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
unset PAWL_TEST_KEYRING

without() {
	if [ "${PAWL_REQUIRE_SERVICES:-}" = 1 ]; then
		echo "secret service: $1 (PAWL_REQUIRE_SERVICES=1: giving up)" >&2
		exit 1
	fi
	echo "secret service: left out, $1; tests of the real keyring are skipped"
	shift
	"$@" # not exec: the trap below has daemons to end
	exit
}

[ "$(uname -s)" = Linux ] || without "this system is not Linux" "$@"
sh "$here/install-deps.sh" || without "its programs are not installed" "$@"

# The caller's Go caches outlive the move to a fresh HOME.
GOPATH=$(go env GOPATH) GOCACHE=$(go env GOCACHE) GOMODCACHE=$(go env GOMODCACHE) GOENV=$(go env GOENV)
export GOPATH GOCACHE GOMODCACHE GOENV

dir=$(mktemp -d)
bus= keyring=
cleanup() {
	[ -z "$keyring" ] || kill "$keyring" 2>/dev/null || :
	[ -z "$bus" ] || kill "$bus" 2>/dev/null || :
	# The daemons may still be writing as they end.
	wait
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir -m 700 "$dir/home" "$dir/run"
HOME=$dir/home XDG_RUNTIME_DIR=$dir/run
XDG_DATA_HOME=$HOME/.local/share XDG_CONFIG_HOME=$HOME/.config
XDG_CACHE_HOME=$HOME/.cache XDG_STATE_HOME=$HOME/.local/state
DBUS_SESSION_BUS_ADDRESS=unix:path=$dir/bus
export HOME XDG_RUNTIME_DIR XDG_DATA_HOME XDG_CONFIG_HOME XDG_CACHE_HOME XDG_STATE_HOME
export DBUS_SESSION_BUS_ADDRESS

# The bus has no service directories, so it can activate nothing: an early
# client cannot start a second, locked keyring daemon, and no prompter exists.
cat >"$dir/bus.conf" <<XML
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=$dir/bus</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
XML

# Debian gives the daemon a file capability. Where the bounding set lacks it,
# as in many containers, the kernel refuses to run it; a copy carries none.
daemon=$(command -v gnome-keyring-daemon)
if ! "$daemon" --version >/dev/null 2>&1; then
	cp "$daemon" "$dir/gnome-keyring-daemon"
	daemon=$dir/gnome-keyring-daemon
fi

ask() { dbus-send --session --print-reply=literal "$@" 2>/dev/null; }
owned() {
	ask --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \
		string:org.freedesktop.secrets | grep -q true
}
# A wrong password still starts the daemon, with its collection locked.
unlocked() {
	ask --dest=org.freedesktop.secrets /org/freedesktop/secrets/collection/login \
		org.freedesktop.DBus.Properties.Get \
		string:org.freedesktop.Secret.Collection string:Locked | grep -q false
}
# until_true CMD waits up to ten seconds; both daemons take milliseconds.
until_true() {
	tries=0
	until "$1"; do
		tries=$((tries + 1))
		[ "$tries" -lt 500 ] || return 1
		sleep 0.02
	done
}

dbus-daemon --nofork --config-file="$dir/bus.conf" >"$dir/log" 2>&1 &
bus=$!
listening() { [ -S "$dir/bus" ]; }
until_true listening || { cat "$dir/log" >&2; without "dbus-daemon did not start" "$@"; }

# The password arrives without a newline, which would become part of it.
printf pawl | "$daemon" --foreground --unlock --components=secrets >>"$dir/log" 2>&1 &
keyring=$!
until_true owned && until_true unlocked || {
	cat "$dir/log" >&2
	without "gnome-keyring-daemon did not unlock" "$@"
}

echo "secret service: gnome-keyring-daemon (pid $keyring), collection login unlocked"
export PAWL_TEST_KEYRING=1
"$@"
