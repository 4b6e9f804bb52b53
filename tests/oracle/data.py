"""data.py N FILE|DIRECTORY... -- our filters beside datatrove's and NeMo Curator's on N documents,
decision by decision.

Documents come out of .jsonl (the field text), .txt (parted by blank lines into pieces of some 40
lines) and the text files of directories (.gz or not); and, of every third, spoiled ones: lines said
twice, line ends lost, list marks, ellipses, web boilerplate. Run by `make oracle-data DATA="..."`
from the top of the checkout; prints a table by filter, with SHOW=n the first n that differ, and with
FIXTURE=path writes the documents and datatrove's decisions there (tests/golden/data). Where decisions
differ, datatrove is asked again with our words and sentences in place of spaCy's: what then agrees
differs by those alone."""
import collections
import gzip
import importlib.util
import json
import os
import random
import subprocess
import sys
import types

from datatrove.data import Document
from datatrove.pipeline.filters import (C4QualityFilter, FineWebQualityFilter, GopherQualityFilter,
                                        GopherRepetitionFilter)

OUT = "build/oracle"
LIMIT = 20000  # characters of a document


class Symbols:
    """NeMo Curator's rules on characters, one after the other."""

    def __init__(self):
        # its packages import half of a cluster's software: modules alone are enough
        place = importlib.util.find_spec("nemo_curator").submodule_search_locations[0]
        for name in ("", ".stages", ".stages.text", ".stages.text.utils", ".stages.text.filters",
                     ".stages.text.filters.heuristic"):
            module = types.ModuleType("nemo_curator" + name)
            module.__path__ = [place + name.replace(".", "/")]
            sys.modules[module.__name__] = module
        m = importlib.import_module("nemo_curator.stages.text.filters.heuristic.string")
        self.rules = {"non_alpha_numeric": m.NonAlphaNumericFilter(), "numbers": m.NumbersFilter(),
                      "urls": m.UrlsFilter(), "white_space": m.WhiteSpaceFilter(),
                      "parentheses": m.ParenthesesFilter(), "punctuation": m.PunctuationFilter(),
                      "boilerplate": m.BoilerPlateStringFilter(), "long_word": m.LongWordFilter()}

    def filter(self, doc):
        for name, rule in self.rules.items():
            if not rule.keep_document(rule.score_document(doc.text)):
                return False, name
        return True


FILTERS = {
    "c4": C4QualityFilter(),
    "c4_open": C4QualityFilter(filter_no_terminal_punct=False),
    "gopher_quality": GopherQualityFilter(),
    "gopher_repetition": GopherRepetitionFilter(),
    "fineweb_quality": FineWebQualityFilter(),
    "symbols": Symbols(),
}


class Ours:
    """Our words and sentences, where datatrove's filters look for spaCy's."""

    NAMES = ("split_into_words", "split_into_sentences")

    def __init__(self):
        self.answers = subprocess.Popen(["lua5.4", "tests/oracle/words.lua"], encoding="utf-8",
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, text):
        self.answers.stdin.write(json.dumps(text) + "\n")
        self.answers.stdin.flush()
        return json.loads(self.answers.stdout.readline())

    def split_into_words(self, text, _language):
        return self.ask(text)["words"]

    def split_into_sentences(self, text, _language):
        return [None] * self.ask(text)["sentences"]

    def judge(self, f, text):
        module = sys.modules[type(f).__module__]
        kept = {name: getattr(module, name) for name in self.NAMES if hasattr(module, name)}
        for name in kept:
            setattr(module, name, getattr(self, name))
        try:
            return theirs(f, text)
        finally:
            for name, function in kept.items():
                setattr(module, name, function)


def pieces(text, lines=40):
    part = []
    for block in text.split("\n\n"):
        part.append(block)
        if sum(b.count("\n") + 2 for b in part) >= lines:
            yield "\n\n".join(part)
            part = []
    if part:
        yield "\n\n".join(part)


def read(path):
    try:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
            text = f.read(4 << 20).decode("utf-8")
    except (OSError, UnicodeDecodeError, EOFError):
        return
    if ".jsonl" in path:
        for line in text.splitlines():
            try:
                yield json.loads(line)["text"]
            except (ValueError, KeyError):
                pass
    elif path.endswith(".txt") and len(text) > LIMIT:
        yield from pieces(text)
    else:
        yield text


def files(place):
    if os.path.isfile(place):
        yield place
    for folder, folders, names in os.walk(place):
        folders.sort()
        for name in sorted(names):
            if not name.endswith((".html", ".png", ".svg", ".js", ".css", ".pdf")):
                yield os.path.join(folder, name)


def spoiled(text, rng):
    lines = text.split("\n")
    how = rng.randrange(7)
    if how == 0:
        at = rng.randrange(len(lines))
        return "\n".join(lines[:at] + lines[at:at + 3] * 2 + lines[at + 3:])
    if how == 1:
        return "\n".join(line.rstrip(".?!") for line in lines)
    if how == 2:
        return "\n".join("- " + line for line in lines)
    if how == 3:
        return "\n".join(line + rng.choice(["...", "", "…"]) for line in lines)
    if how == 4:
        return text + "\n\nWe use cookies. See our privacy policy.\nPlease enable JavaScript.\n" + text[:200]
    if how == 5:
        return " ".join(lines).replace(". ", ".\n")
    return text.replace(" the ", " # ").replace(" of ", " ... ")


def documents(places):
    rng, seen, n = random.Random(1), set(), 0
    for place in places:
        for path in files(place):
            for text in read(path):
                text = text[:LIMIT]
                if len(text) < 100 or text in seen or "\0" in text:
                    continue
                seen.add(text)
                yield text
                n += 1
                if n % 3 == 0:
                    yield spoiled(text, rng)


def theirs(f, text):
    doc = Document(text=text, id="0")
    try:
        answer = f.filter(doc)
    except ZeroDivisionError:
        return None  # a text without words: datatrove's #512
    keep, reason = answer if isinstance(answer, tuple) else (answer, "")
    return {"keep": bool(keep), "reason": "" if keep else reason, "text": doc.text}


def main():
    os.makedirs(OUT, exist_ok=True)
    path = f"{OUT}/documents.jsonl"
    texts = list(documents(sys.argv[2:]))
    texts = random.Random(2).sample(texts, min(int(sys.argv[1]), len(texts)))
    with open(path, "w", encoding="utf-8") as f:
        for text in texts:
            f.write(json.dumps({"text": text}) + "\n")
    out = subprocess.run(["lua5.4", "tests/oracle/data.lua", path], check=True, capture_output=True)
    ours = [json.loads(line) for line in out.stdout.decode("utf-8", "surrogateescape").splitlines()]
    assert len(ours) == len(texts)
    fixture, same_words = [{"text": text} for text in texts], Ours()
    print(f"{len(texts)} documents, {sum(map(len, texts)) / 1e6:.1f} M characters")
    for name, f in FILTERS.items():
        same = kept = reasons = texts_differ = failed = by_words = 0
        differ = collections.Counter()
        shown = []
        for text, mine, row in zip(texts, ours, fixture):
            want, got = theirs(f, text), mine[name]
            if want is None:
                failed += 1
                continue
            kept += want["keep"]
            row[name] = "" if want["keep"] else want["reason"]
            if want["keep"] == got["keep"]:
                same += 1
                reasons += want["reason"] == got["reason"]
                texts_differ += bool(want["keep"] and "text" in got and got["text"] != want["text"])
            else:
                pair = f"theirs {want['reason'] or 'keep'}, ours {got['reason'] or 'keep'}"
                differ[pair] += 1
                by_words += same_words.judge(f, text)["keep"] == got["keep"]
                if len(shown) < int(os.environ.get("SHOW", "0")):
                    shown.append((pair, text))
        n = len(texts) - failed
        print(f"{name:18s} {n} judged ({failed} raised there), {kept} kept there, same decision "
              f"{100 * same / n:.2f} %, same reason {100 * reasons / max(1, same):.2f} %, "
              f"other text {texts_differ}; with our words and sentences "
              f"{100 * (same + by_words) / n:.2f} %")
        for pair, count in differ.most_common():
            print(f"    {count:5d} {pair}")
        for pair, text in shown:
            print("   ", pair, repr(text[:300]))
    if "FIXTURE" in os.environ:
        with open(os.environ["FIXTURE"], "w", encoding="utf-8") as f:
            f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in fixture)


if __name__ == "__main__":
    main()
