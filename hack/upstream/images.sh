#!/usr/bin/env bash
# Makes the images that the specs ask for, without a container engine: hack/upstream/images.sh PROGRAMS DIR
#
# PROGRAMS is what build.sh built. Each image becomes an OCI archive in DIR that `ctr images import` takes, under every name that
# e2e.test asks for it by. What differs from upstream's own images stands in README.md.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib/bootstrap.sh"

[[ $# == 2 ]] || usage_error "usage: $0 PROGRAMS DIR"
programs=$(realpath "$1") out=$(realpath "$2")
here=$SKERRY_ROOT/hack/upstream

case $(uname -m) in aarch64) arch=arm64 ;; *) arch=amd64 ;; esac
work=$out/work
mkdir -p "$work"

skerry_need() {
  local missing=() what package
  while read -r what package; do
    command -v "$what" >/dev/null || missing+=("$package")
  done <<'LIST'
bash bash
hostname hostname
nc.openbsd netcat-openbsd
socat socat
curl curl
ss iproute2
ipcs util-linux
busybox busybox-static
LIST
  [[ ${#missing[@]} == 0 ]] || { say "installing Debian packages: ${missing[*]}"; skerry_apt "${missing[@]}"; }
}
skerry_need

# --- what an image holds -----------------------------------------------------------------------------

# base ROOT : busybox with all its programs in /bin, a shell, users.
base() {
  local root=$1 name
  mkdir -p "$root"/{bin,dev,etc,home,proc,root,sys,tmp,usr/bin,usr/sbin,usr/local/bin,var/spool,var/www}
  chmod 1777 "$root/tmp"
  install -m 755 "$(command -v busybox)" "$root/bin/busybox"
  for name in $("$root/bin/busybox" --list); do
    [[ $name == busybox || $name == sh ]] || ln -s busybox "$root/bin/$name"
  done
  add "$root" bash
  mv "$root/usr/bin/bash" "$root/bin/bash"
  install -m 755 "$work/sh" "$root/bin/sh"
  printf '%s\n' root:x:0:0:root:/root:/bin/sh nobody:x:65534:65534:nobody:/home:/bin/false >"$root/etc/passwd"
  printf '%s\n' root:x:0: nobody:x:65534: >"$root/etc/group"
}

# add ROOT PROGRAM [NAME] : a program of this machine and the libraries it wants.
add() {
  local root=$1 program library name
  program=$(realpath "$(command -v "$2")")
  name=${3:-$2}
  rm -f "$root/usr/bin/$name" "$root/bin/$name"
  install -m 755 "$program" "$root/usr/bin/$name"
  ldd "$program" | grep -oE '/[^ ]+' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    [[ -e $root$library ]] || cp -L "$library" "$root$library"
  done
}

# --- how it is packed --------------------------------------------------------------------------------

# blob FILE MEDIA-TYPE : puts a file among the blobs of the image that is being packed; prints its descriptor.
blob() {
  local sum
  sum=$(sha256sum "$1" | cut -d ' ' -f 1)
  jq -nc --arg digest "sha256:$sum" --arg type "$2" --argjson size "$(stat -c %s "$1")" \
    '{mediaType: $type, digest: $digest, size: $size}'
  mv "$1" "$layout/blobs/sha256/$sum"
}

# pack ROOT CONFIG NAME… : CONFIG is the image's configuration as JSON.
pack() {
  local root=$1 settings=$2 layout layer config manifest diff
  shift 2
  [[ $# -gt 0 ]] || die "e2e.test asks for no image that $root is for"
  layout=$work/layout
  rm -rf "$layout" && mkdir -p "$layout/blobs/sha256"
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu -C "$root" -cf "$work/layer" .
  diff=sha256:$(sha256sum "$work/layer" | cut -d ' ' -f 1)
  layer=$(blob "$work/layer" application/vnd.oci.image.layer.v1.tar)
  jq -nc --arg arch "$arch" --arg diff "$diff" --argjson config "$settings" \
    '{architecture: $arch, os: "linux",
      config: ({Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]} + $config),
      rootfs: {type: "layers", diff_ids: [$diff]}, history: [{created_by: "hack/upstream/images.sh"}]}' >"$work/config"
  config=$(blob "$work/config" application/vnd.oci.image.config.v1+json)
  jq -nc --argjson config "$config" --argjson layer "$layer" \
    '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: [$layer]}' >"$work/manifest"
  manifest=$(blob "$work/manifest" application/vnd.oci.image.manifest.v1+json)
  jq -nc --arg arch "$arch" --argjson manifest "$manifest" '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [$ARGS.positional[] as $name | $manifest + {
      annotations: {"io.containerd.image.name": $name}, platform: {architecture: $arch, os: "linux"}}]}' \
    --args "$@" >"$layout/index.json"
  echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$layout" -cf "$out/$(basename "$root").tar" \
    oci-layout index.json blobs
  say "upstream: image $(basename "$root"): $*"
}

# names PATTERN : the names that e2e.test asks for an image by.
"$programs/e2e.test" --list-images >"$work/wanted" 2>"$work/said" || die "e2e.test does not list its images: $(tail -1 "$work/said")"
names() { grep -E "^registry\.k8s\.io/(e2e-test-images/)?$1:" "$work/wanted" | sort; }

gcc -Os -Wall -Werror -static -s -o "$work/sh" "$here/sh.c"

root=$work/busybox
base "$root"
# This kernel may have no links of type dummy; a bridge shows as well as one that a container may make links.
cat >"$work/ip" <<'SCRIPT'
#!/bin/sh
if [ "$*" = "link add dummy1 type dummy" ]; then set -- link add dummy1 type bridge; fi
exec /bin/busybox ip "$@"
SCRIPT
rm "$root/bin/ip" && install -m 755 "$work/ip" "$root/bin/ip"
# shellcheck disable=SC2046
pack "$root" '{"Cmd": ["sh"]}' $(names busybox)

cp -a "$root" "$work/nonroot"
pack "$work/nonroot" '{"Cmd": ["sh"], "User": "1234"}' $(names nonroot)

cp -a "$root" "$work/nginx"
echo '<html><head><title>Welcome to nginx!</title></head><body>Welcome to nginx!</body></html>' >"$work/nginx/var/www/index.html"
pack "$work/nginx" '{"Entrypoint": ["httpd", "-f", "-p", "80", "-h", "/var/www"]}' $(names nginx)

root=$work/glibc-dns-testing
base "$root"
add "$root" hostname
pack "$root" '{"Cmd": ["sh"]}' $(names glibc-dns-testing)

root=$work/nonewprivs
mkdir -p "$root/usr/local/bin"
install -m 6755 "$programs/nnp" "$root/usr/local/bin/nnp"
pack "$root" '{"Cmd": ["nnp"]}' $(names nonewprivs)

root=$work/pause
mkdir -p "$root"
install -m 755 "$programs/pause" "$root/pause"
pack "$root" '{"Entrypoint": ["/pause"], "User": "65535:65535"}' $(names pause)

root=$work/agnhost
base "$root"
for program in curl ip ss socat ipcs; do add "$root" "$program"; done
add "$root" nc.openbsd nc
# An ash of some releases runs busybox' own programs whatever stands in PATH.
install -m 755 "$root/bin/bash" "$root/bin/sh"
install -m 755 "$programs/agnhost" "$root/agnhost"
ln -s agnhost "$root/agnhost-2"
# A certificate for those that serve TLS.
module=$(cd "$here" && GOFLAGS=-mod=readonly go list -m -f '{{.Dir}}' k8s.io/kubernetes)
install -m 644 "$module"/test/images/agnhost/porter/localhost.{crt,key} "$root/"
mkdir -p "$root/uploads"
echo user-defined-in-image:x:1000:1000::/home:/bin/sh >>"$root/etc/passwd"
printf '%s\n' user-defined-in-image:x:1000: group-defined-in-image:x:50000:user-defined-in-image >>"$root/etc/group"
pack "$root" '{"Entrypoint": ["/agnhost"], "Cmd": ["pause"]}' $(names agnhost)

rm -rf "$work"
