#!/usr/bin/env bash
# Runs a fuzz target for a while: hack/fuzz/run.sh build | TARGET SECONDS
#
# `build` compiles all of them with the compiler's coverage counters on, into target/fuzz. TARGET is frames, bodies,
# messages, tokens or certificates. It starts from the seeds and from what earlier runs found (target/fuzz/corpus), and
# ends with an error at the first input that panics, takes ten seconds or half a gigabyte; that input is kept in
# target/fuzz/found.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=target/fuzz

case ${1:-} in
  build)
    cargo run --locked --quiet -p fuzz --bin fuzz-seeds -- "$out/seeds"
    # As cargo-fuzz has them; they need no nightly compiler.
    export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
    # With a target named, what runs at build time is not instrumented.
    cargo build --locked --profile fuzz -p fuzz --target "$(uname -m)-unknown-linux-gnu" --target-dir "$out" \
      --bin fuzz-frames --bin fuzz-bodies --bin fuzz-messages --bin fuzz-tokens --bin fuzz-certificates
    ;;
  frames | bodies | messages | tokens | certificates)
    mkdir -p "$out/corpus/$1" "$out/found"
    exec "$out/$(uname -m)-unknown-linux-gnu/fuzz/fuzz-$1" "$out/corpus/$1" "$out/seeds/$1" \
      -max_total_time="${2:?SECONDS}" -max_len=65536 -timeout=10 -rss_limit_mb=512 -print_final_stats=1 \
      -artifact_prefix="$out/found/$1-"
    ;;
  *)
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
