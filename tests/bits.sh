#!/bin/sh
# bits.sh -- the long form of the det-1 promise, about an hour: scalar, 7 threads, gcc and clang,
# -O2 and -O3, kernels on NEON under qemu-user, and the math functions over all 2^32 floats.
set -eu
steps=${STEPS:-200}
want=
check() { # name, command...
  name=$1; shift
  got=$("$@" | sha256sum | cut -c1-64)
  [ -n "$want" ] || want=$got
  printf '%-34s %s%s\n' "$name" "$got" "$([ "$got" = "$want" ] && echo '' || echo '  DIFFERS')"
  [ "$got" = "$want" ] || bad=1
}
bad=0
bits() { env MOONLIT_ISA="$1" MOONLIT_THREADS="$2" LUA_CPATH="$3/?.so;;" lua5.4 tests/bits.lua "$steps"; }
for isa in avx512 avx2; do
  for threads in 1 2 3 7; do check "gcc -O3 $isa, $threads threads" bits $isa $threads build/release; done
done
for cc in gcc clang; do
  for opt in -O2 -O3; do
    dir=build/bits$cc$opt
    make -s -j2 CC=$cc OPT=$opt BUILD=$dir parts >/dev/null
    check "$cc $opt avx512, 2 threads" bits avx512 2 $dir
    check "$cc $opt avx2, 2 threads" bits avx2 2 $dir
  done
done
check "gcc -O3 scalar, 2 threads" bits scalar 2 build/release
want=
for t in kernels gemm gemm16 attention attention16; do
  want=
  make -s -j2 build/release/tests/test_$t >/dev/null
  check "$t kernels, x86" build/release/tests/test_$t --hash
  make -s -j2 CC=aarch64-linux-gnu-gcc BUILD=build/neon build/neon/tests/hash_$t >/dev/null
  check "$t kernels, NEON under qemu" qemu-aarch64 -L /usr/aarch64-linux-gnu \
    build/neon/tests/hash_$t --hash
done
make -s build/release/tests/exhaustive_math >/dev/null
build/release/tests/exhaustive_math
exit $bad
