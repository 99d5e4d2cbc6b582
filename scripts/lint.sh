#!/bin/sh
# Everything that can be judged without running the program. All checks run,
# and the exit code says whether one of them failed.
set -eu
cd "$(dirname "$0")/.."

failed=
check() {
	what=$1
	shift
	echo "lint: $what"
	"$@" || failed="$failed
  $what"
}

formatted() {
	unformatted=$(gofmt -l .)
	[ -z "$unformatted" ] || { echo "$unformatted"; return 1; }
}
scripts_parse() {
	bad=0
	for f in scripts/*.sh; do sh -n "$f" || bad=1; done
	bash -n .ci/run || bad=1
	return "$bad"
}
# Builds and vets for a system nobody here may have. vet compiles the tests.
cross() (
	export GOOS="$1" GOARCH="$2" CGO_ENABLED=0
	go build ./... && go vet ./...
)
# The linter has a module of its own, so that no program which uses pawl ever
# sees it in its graph.
build_staticcheck() { (cd tools && go build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck); }
in_module() (cd "$1" && shift && "$@")

check "gofmt" formatted
check "shell scripts parse" scripts_parse

# In the workspace first, which is what a person who works here uses ...
check "go vet (workspace)" go vet ./...
# ... then each module alone, which is what its users get.
export GOWORK=off
check "build staticcheck" build_staticcheck
staticcheck=$PWD/bin/staticcheck
for mod in $(sh scripts/modules.sh); do
	check "$mod: go mod tidy leaves no diff" in_module "$mod" go mod tidy -diff
	[ -n "$(cd "$mod" && go list ./... 2>/dev/null)" ] || continue
	check "$mod: go vet" in_module "$mod" go vet ./...
	check "$mod: staticcheck" in_module "$mod" "$staticcheck" ./...
done
for target in windows/amd64 darwin/arm64 linux/arm64; do
	check "build and vet for $target" cross "${target%/*}" "${target#*/}"
done

if [ -n "$failed" ]; then
	echo "lint: FAIL$failed" >&2
	exit 1
fi
echo "lint: PASS"
