# What every command under hack/ needs before it starts. Sourced, never run.
#
#   bootstrap            installs what a bare Debian machine lacks (0.1 s when nothing does)
#   build_cluster        prints the path of the control-plane program
#   build_containerd     prints the directory with containerd 2.2, its shim and ctr
#   build_metrics_server prints the directory with metrics-server and its own manifests
#   build_pause          prints the path of the static pause program
#   build_upstream       prints the directory with upstream's specs, kubelet and kube-proxy
#   build_upstream_images  prints the directory with the images that the specs ask for
#
# Progress goes to stderr. Builds of other people's software are kept under $SKERRY_CACHE, named by
# the hash of what they are made from, made under a lock and moved into place when complete.

export HOME=${HOME:-/root}
SKERRY_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
SKERRY_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/skerry
SKERRY_GO=1.26.8
SKERRY_RUST=1.95.0
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/go/bin:${CARGO_HOME:-$HOME/.cargo}/bin"

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
usage_error() { printf 'error: %s\n' "$*" >&2; exit 2; }

# --- Debian packages -------------------------------------------------------------------------------

# One "what must exist" and the package that brings it. A command found under another package's
# name (a containerd.io beside Docker, say) is as good.
skerry_needs() {
  cat <<'LIST'
containerd containerd
runc runc
/usr/lib/cni/bridge containernetworking-plugins
busybox busybox-static
ip iproute2
iptables iptables
nft nftables
mkfs.ext4 e2fsprogs
nsenter util-linux
losetup mount
gcc gcc
g++ g++
/usr/include/stdlib.h libc6-dev
make make
curl curl
jq jq
ps procps
flock util-linux
/etc/ssl/certs/ca-certificates.crt ca-certificates
git git
LIST
}

skerry_missing_packages() {
  local what package
  skerry_needs | while read -r what package; do
    case $what in
      /*) [[ -e $what ]] || echo "$package" ;;
      *) command -v "$what" >/dev/null || echo "$package" ;;
    esac
  done | sort -u
}

# Installs without starting any service: a policy-rc.d that forbids it lies there for exactly as long
# as apt runs, and the machine's own one comes back afterwards.
skerry_apt() (
  local policy=/usr/sbin/policy-rc.d saved=
  command -v apt-get >/dev/null || die "this is no Debian machine; install: $*"
  [[ $(id -u) == 0 ]] || die "not root; run as root or install: $*"
  exec 9>/run/lock/skerry-apt.lock && flock 9
  [[ -e $policy ]] && saved=$policy.skerry-saved && mv "$policy" "$saved"
  # shellcheck disable=SC2064
  trap "rm -f $policy; [[ -z '$saved' ]] || mv '$saved' $policy" EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y --no-install-recommends "$@" </dev/null >&2 ||
    { apt-get update </dev/null >&2 && apt-get install -y --no-install-recommends "$@" </dev/null >&2; }
)

# --- Go and Rust -----------------------------------------------------------------------------------

skerry_go_is_enough() {
  local v
  v=$(GOTOOLCHAIN=${GOTOOLCHAIN:-local} go env GOVERSION 2>/dev/null) || return 1
  v=${v#go} && v=${v%%[-a-z ]*}
  [[ $(printf '%s\n' 1.26 "$v" | sort -V | head -1) == 1.26 ]]
}

# The module proxy serves Go's own toolchain as a module zip, so a machine that can fetch modules can
# also have Go.
skerry_fetch_go() {
  local arch home=$SKERRY_CACHE/go/$SKERRY_GO name
  case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) return 1 ;; esac
  if [[ ! -x $home/bin/go ]]; then
    name=toolchain@v0.0.1-go$SKERRY_GO.linux-$arch
    say "fetching Go $SKERRY_GO from proxy.golang.org"
    rm -rf "$home.part" && mkdir -p "$home.part" || return 1
    curl -fsSL --connect-timeout 10 -o "$home.part/go.zip" \
      "https://proxy.golang.org/golang.org/toolchain/@v/${name#toolchain@}.zip" || return 1
    (cd "$home.part" && busybox unzip -q go.zip) >&2 || return 1
    chmod -R u+rwX,a+rX "$home.part" && chmod 755 "$home.part/golang.org/$name"/bin/* \
      "$home.part/golang.org/$name"/pkg/tool/linux_"$arch"/* || return 1
    rm -rf "$home" && mv "$home.part/golang.org/$name" "$home" && rm -rf "$home.part"
  fi
  export PATH="$home/bin:$PATH" GOTOOLCHAIN=local
}

skerry_need_go() {
  skerry_go_is_enough && return
  skerry_fetch_go && skerry_go_is_enough && return
  die "Go 1.26 is needed and cannot be had from here; install it (https://go.dev/dl) and put it in PATH"
}

skerry_rust_is_there() { [[ $(cd "$SKERRY_ROOT" && rustc --version 2>/dev/null) == "rustc $SKERRY_RUST "* ]]; }

skerry_need_rust() {
  skerry_rust_is_there && return
  if ! command -v rustup >/dev/null; then
    say "fetching rustup"
    local init=$SKERRY_CACHE/rustup-init
    mkdir -p "$SKERRY_CACHE"
    if curl -fsSL --connect-timeout 10 -o "$init" \
      "https://static.rust-lang.org/rustup/dist/$(uname -m)-unknown-linux-gnu/rustup-init"; then
      chmod 755 "$init" && "$init" -y --no-modify-path --profile minimal --default-toolchain none </dev/null >&2
    fi
  fi
  if command -v rustup >/dev/null; then
    say "installing Rust $SKERRY_RUST"
    rustup toolchain install "$SKERRY_RUST" --profile minimal -c rustfmt -c clippy </dev/null >&2
  fi
  skerry_rust_is_there || die "Rust $SKERRY_RUST is needed and cannot be had from here; install it (https://rustup.rs)"
}

bootstrap() {
  local missing
  [[ $(id -u) == 0 ]] || die "this needs root: it makes namespaces, mounts and network links"
  missing=$(skerry_missing_packages)
  if [[ -n $missing ]]; then
    say "installing Debian packages:" $missing
    skerry_apt $missing
    missing=$(skerry_missing_packages)
    [[ -z $missing ]] || die "cannot install these Debian packages: $(echo $missing)"
  fi
  skerry_need_go
  skerry_need_rust
}

# --- builds that are kept --------------------------------------------------------------------------

# content_key PATH… : a hash over the files' names and contents, the toolchain and the architecture.
content_key() {
  { uname -m; echo "$SKERRY_GO"; find "$@" -type f -print0 | sort -z | xargs -0 sha256sum; } |
    sed "s|$SKERRY_ROOT/||" | sha256sum | cut -c1-16
}

# cached NAME KEY FUNCTION : prints $SKERRY_CACHE/NAME/KEY, made by `FUNCTION DIR` if it is not there.
cached() {
  local home=$SKERRY_CACHE/$1/$2
  if [[ ! -d $home ]]; then
    mkdir -p "$SKERRY_CACHE/$1"
    (
      exec 9>"$SKERRY_CACHE/$1/.lock"
      flock -n 9 || { say "waiting for another build of $1"; flock 9; }
      [[ -d $home ]] && exit 0
      rm -rf "$home.part" && mkdir -p "$home.part" && "$3" "$home.part" >&2 && mv "$home.part" "$home"
    ) || die "building $1 failed"
  fi
  printf '%s\n' "$home"
}

build_cluster() { "$SKERRY_ROOT/hack/cluster/build.sh"; }

make_containerd() {
  local out=$1 started=$SECONDS name
  say "building containerd 2.2 (about 2 minutes, once)"
  for name in containerd containerd-shim-runc-v2 ctr; do
    (cd "$SKERRY_ROOT/hack/containerd" && CGO_ENABLED=0 nice -n 5 go build -trimpath \
      -ldflags "-s -w -X github.com/containerd/containerd/v2/version.Version=v2.2.0" \
      -o "$out/$name" "./cmd/$name") || return 1
    say "  $name after $((SECONDS - started)) s"
  done
}
build_containerd() { cached containerd "$(content_key "$SKERRY_ROOT/hack/containerd")" make_containerd; }

make_metrics_server() {
  local started=$SECONDS module version
  say "building metrics-server (about 3 minutes, once)"
  (
    export CGO_ENABLED=0 GOWORK=off GOFLAGS="-mod=readonly -buildvcs=false"
    # Before it is fetched nobody knows where its manifests lie.
    cd "$SKERRY_ROOT/hack/metrics-server" && go mod download sigs.k8s.io/metrics-server &&
      read -r version module < <(go list -m -f '{{.Version}} {{.Dir}}' sigs.k8s.io/metrics-server) &&
      nice -n 5 go build -trimpath -ldflags "-s -w -X k8s.io/client-go/pkg/version.gitVersion=$version" \
        -o "$1/metrics-server" sigs.k8s.io/metrics-server/cmd/metrics-server &&
      install -m 644 -t "$1" "$module"/manifests/base/{rbac,service,apiservice,deployment}.yaml
  ) || return 1
  say "  metrics-server after $((SECONDS - started)) s"
}
build_metrics_server() {
  cached metrics-server "$(content_key "$SKERRY_ROOT/hack/metrics-server")" make_metrics_server
}

make_pause() {
  gcc -Os -Wall -Werror -static -s -o "$1/pause" "$SKERRY_ROOT/hack/images/pause.c"
}
build_pause() { printf '%s/pause\n' "$(cached pause "$(content_key "$SKERRY_ROOT/hack/images/pause.c")" make_pause)"; }

make_upstream() {
  say "building upstream's specs and kubelet (10 minutes beside a control plane that is built already, once)"
  "$SKERRY_ROOT/hack/upstream/build.sh" "$1"
}
build_upstream() {
  local here=$SKERRY_ROOT/hack/upstream
  cached upstream "$(content_key "$here"/{build.sh,go.mod,go.sum,tools.go} "$SKERRY_ROOT/hack/lib/kubernetes.sh")" make_upstream
}

make_upstream_images() { "$SKERRY_ROOT/hack/upstream/images.sh" "$(build_upstream)" "$1"; }
build_upstream_images() {
  local here=$SKERRY_ROOT/hack/upstream
  local made_from=("$here"/{build.sh,images.sh,sh.c,go.mod,go.sum,tools.go} "$SKERRY_ROOT/hack/lib/kubernetes.sh")
  cached upstream-images "$(content_key "${made_from[@]}")" make_upstream_images
}
