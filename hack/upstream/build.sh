#!/usr/bin/env bash
# Builds upstream's test programs and the parts of an ordinary node into a folder: hack/upstream/build.sh DIR
#
#   e2e.test ginkgo        the specs, and what runs them side by side
#   kubelet kube-proxy     the ordinary node that the edge is compared with
#   agnhost nnp pause      what the specs' images hold
#
# All from the Kubernetes module that the control plane is built from, with the same flags, so that what the compiler made for
# one is there for the other. Progress goes to standard error.
set -euo pipefail

fail() {
	echo "error: $*" >&2
	exit 1
}

[ $# -eq 1 ] || {
	echo "error: usage: $0 DIR" >&2
	exit 2
}
out=$(realpath "$1")

cd "$(dirname "${BASH_SOURCE[0]}")"
. ../lib/kubernetes.sh
unset GOOS GOARCH
export CGO_ENABLED=0 GOWORK=off GOFLAGS="-mod=readonly -buildvcs=false -trimpath"
started=$SECONDS

flags=$(kubernetes_flags) || fail "the Go modules of hack/upstream cannot be had"

# made NAME PACKAGE COMMAND… : a compiler's complaint has a blank in it, a package's name has none.
made() {
	local name=$1 package=$2
	shift 2
	echo "upstream: building $name ($((SECONDS - started)) s)" >&2
	if ! nice -n 5 "$@" -v -ldflags "$flags" -o "$out/$name" "$package" >"$out/log" 2>&1; then
		grep ' ' "$out/log" | grep -v '^go: downloading ' | tail -n 30 >&2 || true
		fail "$name does not build"
	fi
}

made agnhost k8s.io/kubernetes/test/images/agnhost go build
made nnp k8s.io/kubernetes/test/images/nonewprivs go build
made ginkgo github.com/onsi/ginkgo/v2/ginkgo go build
made e2e.test k8s.io/kubernetes/test/e2e go test -c
made kubelet k8s.io/kubernetes/cmd/kubelet go build
made kube-proxy k8s.io/kubernetes/cmd/kube-proxy go build
rm -f "$out/log"

module=$(go list -m -f '{{.Dir}}' k8s.io/kubernetes)
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
gcc -Os -static -s -DVERSION="${version#v}" -o "$out/pause" "$module/build/pause/linux/pause.c" || fail "pause does not build"
echo "upstream: built in $((SECONDS - started)) s" >&2
