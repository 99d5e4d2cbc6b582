#!/bin/sh
# wine.sh [PACKAGE...] builds the tests of the stores, or of these packages, for
# Windows and runs them under wine.
# It is no part of make test: wine and the C compiler for one small library take
# about 1.1 GB, and are installed only by this script. What it cannot show is
# printed at the end.
set -eu
cd "$(dirname "$0")/.."

has() { command -v "$1" >/dev/null 2>&1; }
wine=$(command -v wine64 || ls /usr/lib/wine/wine64 2>/dev/null || :)
if [ -z "$wine" ] || ! has x86_64-w64-mingw32-gcc; then
	if [ "$(id -u)" != 0 ] || ! has apt-get; then
		echo "missing; as root on a Debian: apt-get install -y --no-install-recommends wine64 gcc-mingw-w64-x86-64-win32" >&2
		exit 1
	fi
	echo "wine: installing wine64 and gcc-mingw-w64-x86-64-win32, about 1.1 GB"
	apt-get install -y --no-install-recommends wine64 gcc-mingw-w64-x86-64-win32 </dev/null >/dev/null
	wine=$(command -v wine64 || ls /usr/lib/wine/wine64)
fi

logs=$PWD/bin/wine
dir=$(mktemp -d)
mkdir -p "$logs"
export WINEPREFIX="$dir/prefix" WINEDEBUG=-all WINEDLLOVERRIDES=mscoree,mshtml=
# Unset, or wine looks for a screen.
unset DISPLAY WAYLAND_DISPLAY || :
cleanup() {
	# The server of this prefix and no other.
	"${wine%/*}/wineserver" -k 2>/dev/null || :
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "wine: $("$wine" --version), making a prefix"
"$wine" wineboot -i >/dev/null 2>&1

# Go takes its random numbers from a library that wine 8 does not have. This is
# the library: the one function that Go calls, by way of one that wine has.
cat >"$dir/prng.c" <<'C'
#include <windows.h>
BOOLEAN WINAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) {
	return SystemFunction036(data, (ULONG)size);
}
C
x86_64-w64-mingw32-gcc -shared -O2 -o "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" \
	"$dir/prng.c" -ladvapi32

# Go removes a file in the way of Windows 10 and falls back to the old way when
# the system says that it does not know the new one. Wine says it in other words
# (STATUS_NOT_IMPLEMENTED), which are added here, to the tests' own build alone.
goroot=$(go env GOROOT)
at=$goroot/src/internal/syscall/windows/at_windows.go
sed 's/case STATUS_INVALID_INFO_CLASS,/case NTStatus(0xC0000002), STATUS_INVALID_INFO_CLASS,/' "$at" >"$dir/at_windows.go"
printf '{"Replace":{"%s":"%s"}}' "$at" "$dir/at_windows.go" >"$dir/overlay.json"

# Wine has a credential store as Windows does: the real keyring of these tests.
# When a writer of one is killed, a reader may be told that the registry is
# corrupt, until the next write. That says nothing about Windows, so no writer
# is killed over them; over the files, writers are.
export PAWL_TEST_KEYRING=1
skip='TestStoreOverARealKeyring/keyring/Process/kill'

failed=
[ $# -gt 0 ] || set -- internal/filelock tokensource/internal/sealedfile tokensource/filestore tokensource/keyringstore
for pkg in "$@"; do
	name=$(basename "$pkg")
	GOWORK=off GOOS=windows GOARCH=amd64 CGO_ENABLED=0 go test -c -overlay "$dir/overlay.json" -o "$dir/$name.exe" "./$pkg"
	# In the package's own directory, where its testdata is.
	(cd "$pkg" && timeout 800 "$wine" "$dir/$name.exe" -test.v -test.timeout 12m -test.skip "$skip") >"$logs/$name.log" 2>&1 || failed="$failed $name"
	count() { grep -c -- "^ *--- $1" "$logs/$name.log" || :; }
	echo "wine: $pkg: $(count PASS) passed, $(count FAIL) failed, $(count SKIP) left out"
	grep -- "--- FAIL" "$logs/$name.log" || :
done

cat <<'TEXT'
wine: what this shows: the Windows files compile, link and do what their tests
wine: say, over wine's own locks, files and credentials.
wine: what it does not show: how Windows itself behaves. Wine keeps files on a
wine: Linux file system (what a rename meets, what a sync means, who may read
wine: what), has no virus scanner that holds a file open, takes credentials that
wine: are larger than Windows allows, and knows no logon sessions without a
wine: credential store, as those of services and SSH are.
TEXT
if [ -n "$failed" ]; then
	echo "wine: FAIL:$failed (bin/wine has what the tests printed)" >&2
	exit 1
fi
echo "wine: PASS"
