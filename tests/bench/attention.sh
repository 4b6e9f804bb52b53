#!/bin/sh
# attention.sh BUILD PYTHON [threads...] -- attention beside PyTorch's, with the system's malloc
# and, where it is installed, with tcmalloc, which spares PyTorch its page faults.
set -eu
build=$1
py=$2
shift 2
mkdir -p "$build/bench"
cc -O3 -std=gnu11 -ffp-contract=off -Icsrc tests/bench/attention.c -o "$build/bench/attention" \
  "$build/libmoonlit.a" -lm -lcrypto -pthread
[ -x "$py" ] || py=python3
command -v "$py" >/dev/null || { echo "attention: needs python3 to run"; exit 0; }
tcmalloc=$(ldconfig -p 2>/dev/null | sed -n 's/.*libtcmalloc_minimal\.so[^ ]* .*=> //p' | head -n 1)
for threads in ${*:-1 2}; do
  "$py" tests/bench/attention.py "$build/bench/attention" "$threads"
  if [ -n "$tcmalloc" ] && "$py" -c 'import torch' 2>/dev/null; then
    LD_PRELOAD=$tcmalloc "$py" tests/bench/attention.py "$build/bench/attention" "$threads"
  fi
done
