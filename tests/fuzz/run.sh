#!/bin/sh
# run.sh [SECONDS] -- every fuzz target for so long (60 each), from the committed corpus, under
# AddressSanitizer. New inputs stay in build/fuzz; a crash ends it and leaves its input.
set -eu
seconds=${1:-60}
build=build/fuzz
san=address,undefined
make --no-print-directory -j"$(nproc)" CC=clang SAN=$san,fuzzer-no-link BUILD=$build lib \
  $build/bind/laux.o $build/bind/ljson.o >$build.log 2>&1 || { tail -30 $build.log; exit 1; }
for source in tests/fuzz/*_fuzz.c; do
  name=$(basename "$source" _fuzz.c)
  clang -g -O1 -std=gnu11 -fsanitize=$san,fuzzer -Icsrc -I/usr/include/lua5.4 "$source" \
    $build/bind/laux.o $build/bind/ljson.o $build/libmoonlit.a \
    -pthread -lm -lz -ljansson -lpcre2-8 -lutf8proc -lcrypto -llua5.4 -o "$build/$name"
  mkdir -p "$build/corpus/$name"
  echo "fuzz $name: $seconds s"
  "$build/$name" -max_total_time="$seconds" -timeout=10 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$build/$name-" "$build/corpus/$name" "tests/fuzz/corpus/$name" \
    >"$build/$name.log" 2>&1 || { tail -40 "$build/$name.log"; exit 1; }
  grep -E 'number_of_executed_units|peak_rss' "$build/$name.log"
done
