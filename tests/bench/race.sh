#!/bin/sh
# race.sh FILE PYTHON [THREADS] -- seconds to nanoGPT's final validation loss on tinyshakespeare,
# 1.8982: a speedrun just long enough to reach it, whole program, beside the 2000 steps that
# nanoGPT's loop takes on PyTorch (nanogpt.py, its steps alone).
set -eu
data=${1:?usage: make race DATA=FILE}
py=$2
threads=${3:-2}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
now() { date +%s.%N; }
for dtype in f32 bf16-amx; do
  t0=$(now)
  loss=$(lua5.4 recipes/shakespeare.lua data="$data" preset=speedrun steps=320 dtype=$dtype \
    --threads "$threads" --out "$out/$dtype" --quiet | sed -n 's/validation loss //p')
  echo "$(now) $t0 $loss" | awk -v d=$dtype '{ printf "moonlit %-8s %6.1f s to %s\n", d, $1 - $2, $3 }'
done
[ -x "$py" ] || { echo "pytorch: not installed here (make bench-deps)"; exit 0; }
"$py" tests/bench/nanogpt.py "$threads" 2000 | awk '{ printf "pytorch f32 %.1f s for 2000 steps of %.1f ms (median)\n", 2 * $3, $3 }'
