#!/bin/sh
# anchor.sh FILE -- nanoGPT's published result and the speedrun on a real text, 90/10:
# one run of preset=nanogpt, three seeds of preset=speedrun.
set -eu
data=${1:?usage: make anchor DATA=FILE}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for run in "nanogpt 1" "speedrun 1" "speedrun 2" "speedrun 3"; do
  set -- $run
  lua5.4 recipes/shakespeare.lua data="$data" preset="$1" seed="$2" --out "$out/$1-$2" --quiet >"$out/log"
  printf '%-9s seed %s  %s\n' "$1" "$2" "$(tail -2 "$out/log" | tr '\n' ' ')"
done
