#!/bin/sh
# run.sh [SECONDS] -- every fuzz target for so long (60 each), from the committed corpus, under
# AddressSanitizer and UBSan: the parsers and the base they read through are built for it, the rest
# comes from the ordinary library. New inputs stay in build/fuzz; a crash leaves its input there.
set -eu
seconds=${1:-60}
build=${BUILD:-build/release}
out=build/fuzz
mkdir -p $out
make --no-print-directory BUILD="$build" lib "$build/bind/laux.o" >$out/make.log 2>&1 ||
  { tail -30 $out/make.log; exit 1; }
for source in tests/fuzz/*_fuzz.c; do
  name=$(basename "$source" _fuzz.c)
  bind= leaks=1 more=
  case $name in # Lua frees when it likes: looking for leaks after every input finds nothing
    json) bind="csrc/bind/ljson.c $build/bind/laux.o" leaks=0 ;;
    tokenizer) bind="csrc/bind/*.c" leaks=0 ;;
    encode) more=-fno-sanitize-coverage=trace-cmp ;; # twice as many inputs a second
  esac
  clang -g -O1 -std=gnu11 -fsanitize=address,undefined,fuzzer -fno-sanitize-recover=all $more \
    -Icsrc -I/usr/include/lua5.4 "$source" csrc/ckpt/*.c csrc/data/*.c csrc/text/*.c csrc/base/reader.c csrc/base/checked.c \
    $bind "$build/libmoonlit.a" -Wl,--allow-multiple-definition \
    -pthread -lm -lz -ljansson -lpcre2-8 -lutf8proc -lcrypto -llua5.4 -o "$out/$name"
  mkdir -p "$out/corpus/$name"
  "$out/$name" -max_total_time="$seconds" -timeout=10 -max_len=65536 -print_final_stats=1 \
    -detect_leaks=$leaks -artifact_prefix="$out/$name-" "$out/corpus/$name" "tests/fuzz/corpus/$name" \
    >"$out/$name.log" 2>&1 || { tail -40 "$out/$name.log"; exit 1; }
  echo "fuzz $name: $seconds s, $(sed -n 's/.*executed_units: *//p' "$out/$name.log") inputs, no crash"
done
