#!/bin/sh
# chain.sh [SIZE] -- the bits of the whole chain: recipes/quickstart.lua on 1 and 2 threads, avx2 and
# avx512, and killed (kill -9) once in every stage and started again. One line of hashes each; they
# must be the same. SIZE: small (a few minutes) or full.
set -eu
size=${1:-small}
stages="pretrain midtrain sft reward dpo ppo grpo"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
hashes() { # DIR -> the weights of its stages, in one line
  for stage in $stages; do
    sed -n 's/.*weights sha256 \([0-9a-f]\{12\}\).*/\1/p' "$1"/??-$stage/run.json | tr '\n' ' '
  done
}
want=
check() { # NAME DIR
  got=$(hashes "$2")
  [ -n "$want" ] || want=$got
  printf '%-28s %s%s\n' "$1" "$got" "$([ "$got" = "$want" ] || echo ' DIFFERS')"
  [ "$got" = "$want" ] || bad=1
}
bad=0
for isa in avx512 avx2; do
  for threads in 1 2; do
    MOONLIT_ISA=$isa lua5.4 recipes/quickstart.lua size=$size --threads $threads --quiet \
      --out "$place/$isa$threads" >/dev/null
    check "$isa, $threads threads" "$place/$isa$threads"
  done
done
# each stage's process is killed once its training has begun; the same command goes on
for stage in $stages; do
  lua5.4 recipes/quickstart.lua size=$size save_every=5 --quiet --out "$place/killed" >/dev/null 2>&1 &
  whole=$!
  while kill -0 $whole 2>/dev/null; do
    if [ "$(cat "$place"/killed/??-$stage/metrics.jsonl 2>/dev/null | wc -l)" -ge 2 ]; then
      pkill -9 -f "recipes/$stage.lua.*$place/killed" && break
    fi
    sleep 0.02
  done
  wait $whole || true
done
lua5.4 recipes/quickstart.lua size=$size save_every=5 --quiet --out "$place/killed" >/dev/null
check "killed in every stage" "$place/killed"
exit $bad
