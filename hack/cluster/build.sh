#!/usr/bin/env bash
# Builds skerry-cluster once for every content of this module and prints the program's path on standard output.
# The first build compiles Kubernetes and etcd: minutes. Progress goes to standard error.
set -euo pipefail

fail() {
	echo "error: $*" >&2
	exit 1
}

[ $# -eq 0 ] || {
	echo "usage: $0" >&2
	echo "error: no arguments are taken" >&2
	exit 2
}

cd "$(dirname "${BASH_SOURCE[0]}")"
. ../lib/kubernetes.sh
# What a caller has set up for another module must not change this one, nor its hash.
unset GOOS GOARCH
export CGO_ENABLED=0 GOWORK=off GOFLAGS="-mod=readonly -buildvcs=false"

command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null || fail "Go is missing: install Go $(sed -n 's/^go //p' go.mod) or later (looked in PATH and /usr/local/go/bin)"
go_version=$(go version)

hash=$({
	echo "$go_version"
	find . ../lib/kubernetes.sh \( -name '*.go' ! -name '*_test.go' -o -name go.mod -o -name go.sum -o -name '*.sh' \) -type f -print0 |
		LC_ALL=C sort -z | xargs -0 sha256sum
} | sha256sum | cut -c 1-16)

cache=${XDG_CACHE_HOME:-$HOME/.cache}/skerry/cluster
program=$cache/$hash/skerry-cluster
mkdir -p "$cache"

# Whoever comes while another one builds waits here and finds the result. The descriptor is closed for every child, lest
# one that stays behind keeps the lock.
exec 9>"$cache/lock"
flock -n 9 || {
	echo "cluster: waiting for another build" >&2
	flock 9
}

if [ ! -x "$program" ]; then
	echo "cluster: building $program with $go_version; the first time this takes minutes" >&2
	rm -rf "$cache"/.new.*
	new=$cache/.new.$$
	mkdir "$new"
	trap 'rm -rf "$new"' EXIT
	started=$SECONDS

	flags=$(kubernetes_flags 9>&-) || fail "the Go modules of hack/cluster cannot be had"

	# go names every module it fetches and every package it has compiled; now and then one is progress enough, the rest is
	# for a failure.
	summary='/^go: downloading / { if (++modules % 25 == 0) print "cluster: " modules " modules fetched"; fflush(); next }
		++packages % 100 == 0 { print "cluster: " packages " packages compiled"; fflush() }'
	if ! go build -v -trimpath -ldflags "$flags" -o "$new/skerry-cluster" . 2>&1 9>&- | tee "$new/log" 9>&- | awk "$summary" >&2 9>&-; then
		# A compiler's complaint has a blank in it, a package's name has none.
		grep -v '^go: downloading ' "$new/log" | grep ' ' | tail -n 30 >&2 || true
		fail "hack/cluster does not build"
	fi
	rm -f "$new/log"
	rm -rf "${cache:?}/$hash"
	mv "$new" "$cache/$hash"
	trap - EXIT
	echo "cluster: built in $((SECONDS - started)) s" >&2
fi

# The three used last are kept: switching between branches does not build again, and the cache does not grow.
touch "$cache/$hash"
find "$cache" -mindepth 1 -maxdepth 1 -type d ! -name '.*' -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d ' ' -f 2- |
	while IFS= read -r old; do
		echo "cluster: removing $old" >&2
		rm -rf "$old"
	done

echo "$program"
