#!/bin/sh
# text.sh PYTHON [ROUNDS] -- learning and encoding text beside Hugging Face's tokenizers and tiktoken,
# in turns on the same cores and with as many threads: by the wall's clock and, in brackets, by the
# time of the processor, which other work on the machine does not lengthen; MB of memory. Text and
# tokenizers are those that make oracle-text left in build/oracle; a missing one is passed over.
set -eu
py=$1
rounds=${2:-3}
at=build/oracle
out=build/bench/text
mkdir -p $out
[ -s $out/dicts.txt ] || for name in gcide foldoc; do # what is not UTF-8 becomes U+FFFD
  "$py" -c 'import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read().decode("utf8",
"replace").encode())' "$at/$name.dict.dz" >>$out/dicts.txt
done
echo "--- text: $(wc -c <$out/dicts.txt) bytes of dictionaries; seconds and MB to learn 30000 tokens"
for threads in 1 2; do
  for pattern in gpt-2 qwen2; do
    for round in $(seq "$rounds"); do
      ours=$(lua5.4 tests/bench/text.lua train $threads $out/dicts.txt $out/ours.json $pattern)
      theirs=$("$py" tests/bench/text.py train $threads $out/dicts.txt $out/theirs.json $pattern)
      echo "$ours	$theirs" | awk -v t=$threads -v p=$pattern -F'\t' '{ printf \
        "train %s, %d threads: %.2f (%.2f) s %d MB; tokenizers %.2f (%.2f) s %d MB: %.1fx (%.1fx)\n",
        p, t, $1, $2, $3, $4, $5, $6, $4 / $1, $5 / $2 }'
    done
    "$py" tests/bench/text.py same $out/ours.json $out/theirs.json
    sha256sum $out/ours.json | cut -c -16
  done
done
lua5.4 tests/bench/text.lua train 5 $out/dicts.txt $out/ours.json qwen2
sha256sum $out/ours.json | cut -c -16
echo "--- encoding 20 MB of it, MB/s"
for threads in 1 2; do
  for name in r50k_base.tiktoken cl100k_base.tiktoken o200k_base.tiktoken deepseek_tokenizer.json \
    anthropic_tokenizer.json smollm2.json llama3.json qwen.json llama2.json; do
    [ -s $at/$name ] || { echo "$name: not there (make oracle-text)"; continue; }
    ours=$(lua5.4 tests/bench/text.lua encode $threads $out/dicts.txt $at/$name)
    theirs=$("$py" tests/bench/text.py encode $threads $out/dicts.txt $at/$name)
    echo "$ours	$theirs" | awk -v t=$threads -v n=$name -F'\t' '{ printf \
      "encode %-25s %d threads: %5.1f (%5.1f); beside it %4.1f (%4.1f): %4.1fx (%4.1fx)%s\n", n, t,
      $1, $2, $4, $5, $1 / $4, $2 / $5, $3 == $6 ? "" : ", " $3 " and " $6 " tokens" }'
  done
done
echo "--- one thing repeated: ms for 250 KB, 1 MB"
for name in cl100k_base.tiktoken qwen.json llama2.json; do
  lua5.4 tests/bench/text.lua linear $at/$name | sed "s/^/$name /"
done
