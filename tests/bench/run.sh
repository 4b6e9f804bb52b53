#!/bin/sh
# run.sh BUILD -- make bench: ours beside every rival that is installed (make bench-deps), in the
# same minutes on the same cores, interleaved. A missing rival is skipped, saying so.
set -eu
build=$1
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE || true
export HF_HUB_OFFLINE=1
py=${BENCH_PYTHON:-.bench-venv/bin/python}
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2), $(nproc) cores, $(uname -sr)"
mkdir -p "$build/bench"
cc -O3 -std=gnu11 -ffp-contract=off -Icsrc tests/bench/gemm.c -o "$build/bench/gemm" \
  "$build/libmoonlit.a" -lm -ldl -lcrypto -pthread
for threads in 1 2; do "$build/bench/gemm" $threads; done
sh tests/bench/attention.sh "$build" "$py"
echo "--- nanoGPT's step (4 layers, d 128, T 64, B 12): ms, minimum and median of 300"
for threads in 1 2; do
  for round in 1 2 3; do
    lua5.4 tests/bench/nanogpt.lua $threads 300 | sed "s/^/moonlit $threads threads /"
    if [ -x "$py" ]; then "$py" tests/bench/nanogpt.py $threads 300 | sed "s/^/pytorch $threads threads /"
    else echo "pytorch: not installed here (make bench-deps)"; fi
  done
done
python3 tests/bench/steps.py "$py" 2
python3 tests/bench/decoding.py "$py" 2
lua5.4 tests/bench/ops.lua
lua5.4 tests/bench/preference.lua
python3 tests/bench/grpo.py "$py" 2
