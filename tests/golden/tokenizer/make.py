"""make.py TOKENIZER.JSON -- compares our encoding with Hugging Face's `tokenizers` (PyPI) loaded with
the same tokenizer.json, and our trainer's vocabulary with theirs, on text made here. Run from the
repository's root; needs lua5.4 and a build. Writes cases.json: strings and their ids."""
import json
import random
import subprocess
import sys

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
WORDS = ("the moon rose over a cold harbour and seven boats came home with nets 12 345 plums it's "
         "they'll I'D naïve Straße über ça señor łódź Ελλάδα Привет мир 你好 世界 日本語 한국어 عربى हिन्दी "
         "ไทย e\u0301 👍🏽 👩‍👩‍👧 <|im_end|> <|endoftext|> … — «quoted» {json: [1, 2]} x+=1; // code\tTab "
         "a\u180eb \u0085nel \u200bzw \u2028ls \ufeffbom \u202f.\u180e \u00a0nbsp \u2003em \r\n \n\n \t ſ K ǅ ﬁ ² ½ Ⅷ ٣").split(" ")
CODE = "import sys\nfor i in range(10):\n    print(i ** 2, '\\n')\n\n\nif x:\n\treturn\r\n"


def texts(n):
    r = random.Random(7)
    for i in range(n):
        parts = [r.choice(WORDS) for _ in range(r.randrange(0, 12))]
        s = "".join(p + r.choice([" ", "", "  ", "\n", ", ", " \n "]) for p in parts)
        if i % 5 == 0:
            s += "".join(chr(r.choice([r.randrange(32, 127), r.randrange(0x80, 0x3000),
                                       r.randrange(0x1F300, 0x1F700)])) for _ in range(r.randrange(9)))
        if i % 11 == 0:
            s += CODE[r.randrange(20):r.randrange(20, len(CODE))]
        yield s


def ours(script, lines):
    """lines of JSON in, lines of JSON out"""
    run = subprocess.run(["lua5.4", "-e", script], input="\n".join(json.dumps(x) for x in lines),
                         capture_output=True, text=True, check=True)
    return [json.loads(x) for x in run.stdout.splitlines()]


ENCODE = """
local ml = require "moonlit"
local tok = assert(ml.text.load(%s))
for line in io.lines() do
  local s = ml.json.decode('[' .. line .. ']')[1]
  print(ml.json.encode { ml.json.array(tok:encode(s)), ml.json.array(tok:encode(s, { special = true })) })
end
"""

TRAIN = """
local ml = require "moonlit"
local texts = {}
for line in io.lines() do texts[#texts + 1] = ml.json.decode('[' .. line .. ']')[1] end
local tok = ml.text.train(texts, { vocab = 600, special = { "<|endoftext|>", "<|im_end|>" } })
assert(tok:save(%s))
print "true"
"""


def main():
    path = sys.argv[1]
    sample = list(texts(10000))
    ours(TRAIN % json.dumps(path), sample)
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    theirs.decoder = decoders.ByteLevel()
    theirs.train_from_iterator(sample, trainers.BpeTrainer(
        vocab_size=600, min_frequency=2, show_progress=False,
        special_tokens=["<|endoftext|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    mine = json.load(open(path))["model"]
    other = json.loads(theirs.to_str())["model"]
    same = sum(a == b for a, b in zip(mine["merges"], other["merges"]))
    print(f"merges: {same} of {len(other['merges'])} equal, {len(mine['merges'])} ours; "
          f"vocabulary equal: {mine['vocab'] == other['vocab']}")
    loaded = Tokenizer.from_file(path)
    plain = Tokenizer.from_file(path)
    plain.encode_special_tokens = True
    wrong = 0
    got = ours(ENCODE % json.dumps(path), sample)
    for s, (a, b) in zip(sample, got):
        wrong += a != plain.encode(s).ids or b != loaded.encode(s).ids
    print(f"{len(sample)} strings, {wrong} encoded otherwise")
    cases = [{"text": s, "ids": plain.encode(s).ids, "special": loaded.encode(s).ids}
             for s in sample[:4000:40]]
    json.dump(cases, open("tests/golden/tokenizer/cases.json", "w"), ensure_ascii=True)


main()
