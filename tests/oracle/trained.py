"""trained.py -- tokenizers made for text.py: SmolLM2's from its GGUF file, and small ones of the kinds
that have no free file: Llama 3, Qwen, Llama 2, Mistral, Gemma, and one that we trained."""
import glob
import json
import os
import subprocess

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

SIZE, ALPHABET = 6000, 800  # tokens in all, and characters, of those trained here
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTIONS + (r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
                         r"\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def level(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def save(tok, path, change=None):
    t = json.loads(tok.to_str())
    if change:
        change(t)
    with open(path, "w", encoding="utf8") as f:
        json.dump(t, f, ensure_ascii=False)
    return path


def smollm2(out, _):
    import gguf
    r = gguf.GGUFReader(glob.glob(out + "/*.gguf")[0])
    def field(name):
        f = r.fields[name]
        return [bytes(f.parts[i]).decode() for i in f.data]
    tokens = field("tokenizer.ggml.tokens")
    merges = [tuple(m.split(" ")) for m in field("tokenizer.ggml.merges")]
    kinds = [int(r.fields["tokenizer.ggml.token_type"].parts[i][0])
             for i in r.fields["tokenizer.ggml.token_type"].data]
    tok = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([t for t, k in zip(tokens, kinds) if k == 3])
    return save(tok, out + "/smollm2.json")


def byte_level(pattern, texts, special, normalizer=None):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer, tok.decoder = level(pattern), decoders.ByteLevel()
    if normalizer:
        tok.normalizer = normalizer
    tok.train_from_iterator(texts[:20000], trainers.BpeTrainer(
        vocab_size=SIZE, show_progress=False, special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tok


def llama3(out, texts):
    tok = byte_level(LLAMA3, texts, ["<|begin_of_text|>", "<|eot_id|>"])
    tok.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B",
                                      special_tokens=[("<|begin_of_text|>", 0)])])
    def change(t):
        t["model"]["ignore_merges"] = True
        t["model"]["merges"] = [" ".join(m) for m in t["model"]["merges"]]
    return save(tok, out + "/llama3.json", change)


def qwen(out, texts):
    tok = byte_level(QWEN, texts, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizers.NFC())
    tok.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False),
                    AddedToken("<tool>", normalized=True), AddedToken("<word>", single_word=True),
                    AddedToken("<left>", lstrip=True), AddedToken("<right>", rstrip=True),
                    AddedToken("don't", single_word=True), AddedToken("q\u0323\u0307", normalized=True)])
    tok.add_special_tokens([AddedToken("[MASK]", lstrip=True, rstrip=True, special=True)])
    return save(tok, out + "/qwen.json")


def characters(texts, pre_tokenizer, special=("<unk>", "<s>", "</s>")):
    """a model of characters, with tokens for the bytes of those it does not know"""
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.pre_tokenizer = pre_tokenizer
    special = list(special) + ["<0x%02X>" % b for b in range(256)]
    # no key of ours may hold a NUL, and no merge of theirs is to make a special token of text
    texts = [s for s in texts[:30000] if "\0" not in s and "s>" not in s and "<" not in s]
    tok.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=SIZE, limit_alphabet=ALPHABET, show_progress=False, special_tokens=special))
    return json.loads(tok.to_str())


def keep_added(t, n):
    t["added_tokens"] = t["added_tokens"][:n]


def char_decoder(strip):
    steps = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
             {"type": "Fuse"}]
    if strip:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": steps}


TEMPLATE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                                                     {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}


def write(t, path):
    with open(path, "w", encoding="utf8") as f:
        json.dump(t, f, ensure_ascii=False)
    return path


def llama2(out, texts):
    t = characters(texts, pre_tokenizers.Metaspace(prepend_scheme="always"))
    keep_added(t, 3)
    t["pre_tokenizer"] = None
    t["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    t["decoder"], t["post_processor"] = char_decoder(True), TEMPLATE
    return write(t, out + "/llama2.json")


def mistral(out, texts):
    t = characters(texts, pre_tokenizers.Metaspace(prepend_scheme="first"))
    keep_added(t, 3)
    t["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first",
                          "split": False}
    t["decoder"] = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    t["post_processor"] = TEMPLATE
    return write(t, out + "/mistral.json")


def metaspace(out, texts):
    """the plain kind: words cut, unknown characters one token, nothing falls back to bytes"""
    t = characters(texts, pre_tokenizers.Metaspace(prepend_scheme="always"))
    keep_added(t, 3)
    t["model"]["byte_fallback"] = False
    t["normalizer"] = {"type": "NFKC"}
    t["decoder"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return write(t, out + "/metaspace.json")


def gemma(out, texts):
    t = characters([s.replace(" ", "▁") for s in texts],
                   pre_tokenizers.Split("▁", "merged_with_previous"), ("<pad>", "<eos>", "<bos>", "<unk>"))
    keep_added(t, 4)
    t["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    t["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                          "invert": False}
    n = len(t["model"]["vocab"])
    for i, s in enumerate(["\n\n", "▁▁", "▁▁▁", "<tool>", "\t\t"]):
        if s not in t["model"]["vocab"]:
            t["model"]["vocab"][s] = n = max(t["model"]["vocab"].values()) + 1
        t["added_tokens"].append({"id": t["model"]["vocab"][s], "content": s, "single_word": False,
                                  "lstrip": False, "rstrip": False, "normalized": False,
                                  "special": False})
    t["decoder"] = char_decoder(False)
    return write(t, out + "/gemma.json")


def ours(out, texts):
    path = out + "/ours.json"
    with open(out + "/ours.jsonl", "w", encoding="utf8") as f:
        for s in texts[:20000]:
            f.write(json.dumps({"text": s}) + "\n")
    subprocess.run(["lua5.4", "-e", f"""
      local ml = require "moonlit"
      local docs = ml.must(ml.data.read "{out}/ours.jsonl")
      ml.must(ml.text.train(docs, {{ vocab = 6000,
        special = {{ "<|endoftext|>", "<|im_end|>" }} }}):save "{path}")"""], check=True)
    os.remove(out + "/ours.jsonl")
    return path


kinds = {"smollm2": smollm2, "llama3": llama3, "qwen": qwen, "llama2": llama2, "mistral": mistral,
         "metaspace": metaspace, "gemma": gemma, "ours": ours}
