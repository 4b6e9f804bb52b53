"""text.py train THREADS FILE OUT PATTERN | encode THREADS FILE TOKENIZER | same OURS THEIRS
The rival's half of text.sh: Hugging Face's tokenizers, or tiktoken for its files."""
import json
import os
import resource
import sys
import time

os.environ["RAYON_NUM_THREADS"] = sys.argv[2]
os.environ["TOKENIZERS_PARALLELISM"] = "true"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN = CONTRACTIONS + (r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
                       r"\s+(?!\S)|\s+")


def documents(path, most=1 << 60):
    group, size, total = [], 0, 0
    with open(path, encoding="utf8", newline="") as f:
        for line in f:
            group.append(line)
            size += len(line.encode())
            if size >= 4096:
                yield "".join(group)
                total += size
                group, size = [], 0
                if total >= most:
                    return
    if group:
        yield "".join(group)


def train(path, out, pattern):
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if pattern == "qwen2":
        tok.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(QWEN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=30000, min_frequency=2, show_progress=False,
                                  special_tokens=["<|endoftext|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    start, cpu = time.time(), time.process_time()
    tok.train_from_iterator(documents(path), trainer)
    seconds, spent = time.time() - start, time.process_time() - cpu
    tok.save(out)
    print("%.2f\t%.2f\t%.0f" % (seconds, spent,
                                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def encode(path, file):
    docs = list(documents(path, 20 << 20))
    size = sum(len(s.encode()) for s in docs)
    if file.endswith(".tiktoken"):
        import base64
        import tiktoken
        import tiktoken_ext.openai_public as public
        with open(file, "rb") as f:
            ranks = {base64.b64decode(t): int(i) for t, i in (x.split() for x in f.read().splitlines())}
        public.load_tiktoken_bpe = lambda *a, **k: ranks
        public.data_gym_to_mergeable_bpe_ranks = lambda *a, **k: ranks
        known = getattr(public, os.path.basename(file)[:-len(".tiktoken")])()
        tok = tiktoken.Encoding(**{k: v for k, v in known.items() if k != "explicit_n_vocab"})
        threads = int(sys.argv[2])
        def count():
            if threads == 1:
                return sum(len(tok.encode_ordinary(s)) for s in docs)
            return sum(map(len, tok.encode_ordinary_batch(docs, num_threads=threads)))
    else:
        from tokenizers import Tokenizer
        tok = Tokenizer.from_file(file)
        tok.encode_special_tokens = True
        def count():
            n = 0
            for i in range(0, len(docs), 256):
                n += sum(len(e.ids) for e in tok.encode_batch_fast(docs[i:i + 256],
                                                                   add_special_tokens=False))
            return n
    best = least = 1e9
    for _ in range(3):
        start, cpu = time.time(), time.process_time()
        n = count()
        best, least = min(best, time.time() - start), min(least, time.process_time() - cpu)
    print("%.2f\t%.2f\t%d" % (size / best / 1e6, size / least / 1e6, n))


def same(ours, theirs):
    a, b = (json.load(open(p, encoding="utf8"))["model"] for p in (ours, theirs))
    pairs = [[tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in x["merges"]]
             for x in (a, b)]
    first = next((i for i, (x, y) in enumerate(zip(*pairs)) if x != y), None)
    print("%d and %d merges, %s; vocabularies %s" % (
        len(pairs[0]), len(pairs[1]), "equal" if pairs[0] == pairs[1] else
        "different from number %s on: %s" % (first, [p[first] for p in pairs] if first else ""),
        "equal" if a["vocab"] == b["vocab"] else "different"))


{"train": lambda: train(*sys.argv[3:6]), "encode": lambda: encode(*sys.argv[3:5]),
 "same": lambda: same(*sys.argv[2:4])}[sys.argv[1]]()
