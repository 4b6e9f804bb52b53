#!/bin/sh
# decode.sh BUILD PYTHON [THREADS] -- decode.lua in f32 and in this machine's bf16 tier, then
# transformers' generate: prompts of 128, 256 new, 1, 8 and 32 at once. Beside them what reading
# the weights once a token would allow, at the bandwidth that stream.c measures.
set -eu
build=$1
py=$2
threads=${3:-2}
mkdir -p "$build/bench"
cc -O3 -std=gnu11 tests/bench/stream.c -o "$build/bench/stream" -pthread
batches='1\n8\n32\n'
rates() { # "<prefill ms> <whole ms>" a line, in the order of batches
  awk -v who="$1" 'BEGIN { split("1 8 32", n) }
    NF == 2 { i++
      printf "  %-18s batch %2d: prefill %8.1f ms, %8.1f tokens/s\n", who, n[i], $1,
             n[i] * 256 / ($2 - $1) * 1e3 }'
}
half=$(lua5.4 -e 'print(require"moonlit".native "bf16-amx" and "bf16-amx" or "bf16")')
for config in m g; do
  case $config in m) mib=26 ;; *) mib=236 ;; esac # of bf16 weights and head
  gb=$("$build/bench/stream" "$threads" $mib)
  echo "decode $config, $threads threads; reading its $mib MiB of bf16: $gb"
  for dtype in f32 "$half"; do
    printf "$batches" | lua5.4 tests/bench/decode.lua $config "$threads" "$dtype" | rates "moonlit $dtype"
  done
  [ -x "$py" ] || { echo "  transformers: not installed here (make bench-deps)"; continue; }
  for mode in f32 bf16; do
    printf "$batches" | "$py" tests/bench/decode.py $config "$threads" $mode 2>/dev/null |
      rates "transformers $mode"
  done
done
