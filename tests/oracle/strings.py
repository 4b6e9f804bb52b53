"""strings.py -- the strings that text.py compares on: real text in several scripts (the machine's
message catalogues), dictionaries, code, runs of white space, emoji and marks, control characters,
random characters and bytes, look-alikes of special tokens. The same for the same number."""
import glob
import gzip
import gettext
import random
import unicodedata

from tokenizers import normalizers

SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\r", "\u00a0", "\u2003", "\u3000",
          "\u2028", "\u0085", "\u180e", "\u200b", "\ufeff", "\x0b", "\x0c", "\u202f", "\u1680"]
EMOJI = ["👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "☕️", "é", "e\u0301", "a\u0308\u0323", "ế", "ﬁ", "ﷺ", "가",
         "\u1112\u1161\u11ab", "ｶﾞ", "ㄱㅏ", "①", "²½", "Ⅷ", "ſ", "K", "ǅ", "\u0344", "Å", "…", "\u0301x",
         "q\u0307\u0323", "ß", "İ", "٣", "१२३", "𝟘𝟙", "𝔘𝔫𝔦", "的", "日本語テキスト", "\U00020000"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<EOT>", "<META>", "<s>", "</s>", "<unk>",
           "<think>", "</think>", "<tool>", "[MASK]", "<｜begin▁of▁sentence｜>", "<｜User｜>", "<0x41>",
           "<|begin_of_text|>", "<|eot_id|>", "<|endofprompt|>", "<|fim_prefix|>", "▁", "▁▁",
           "<|im_", "|>", "<|", "< |endoftext|>", "<word>", "<left>", "<right>", "<|reserved|>"]
MARKS = "\u0301\u0323\u0334"
CONTRACTIONS = ["I'm", "it's", "you'LL", "WE'RE", "'tis", "don't", "'S", "x'ſ", "o'clock", "'ve", "''s"]


def is_known(old, c):
    """whether c decomposes, composes and is put in order as in newer Unicode's tables"""
    forms = [c] + (["a" + c + m for m in MARKS] + ["a" + m + c for m in MARKS]
                   if unicodedata.combining(c) else [])
    return all(old.normalize_str(s) == unicodedata.normalize("NFKC", s) for s in forms)


def assigned():
    """characters that Unicode 14 knows, but for the 170 whose forms came after Unicode 9: that is how
    old the tables of `tokenizers` are"""
    old = normalizers.NFKC()
    return [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000
            and unicodedata.category(chr(c)) not in ("Cn", "Co") and is_known(old, chr(c))]


def catalogues():
    out = []
    for path in sorted(glob.glob("/usr/share/**/*.mo", recursive=True)):
        if "UTF-8" not in path and "/locale/" not in path:
            continue
        try:
            with open(path, "rb") as f:
                out += [s for s in gettext.GNUTranslations(f)._catalog.values()
                        if isinstance(s, str) and not s.isascii()]
        except (OSError, LookupError, ValueError):
            continue
    return sorted(set(out))


def code():
    out = []
    for path in sorted(glob.glob("/usr/lib/python3*/*.py"))[:150] + sorted(glob.glob("csrc/*/*.c")):
        with open(path, encoding="utf8", errors="ignore") as f:
            out += f.read().split("\n\n")
    return out


def dictionaries(folder):
    out = []
    for path in sorted(glob.glob(folder + "/*.dict.dz")):
        with gzip.open(path) as f:
            out += f.read(8 << 20).decode("utf8", "replace").split("\n\n")
    return out


def text(r, sources, chars):
    kind = r.randrange(12)
    if kind < 5:
        return r.choice(r.choice(sources))[:r.choice([40, 200, 600])]
    if kind == 5:
        return "".join(r.choice(chars) for _ in range(r.randrange(1, 24)))
    if kind == 6:
        return "".join(r.choice(SPACES) * r.randrange(1, 9) + r.choice(["", "a", "1", ".", "é"])
                       for _ in range(r.randrange(1, 8)))
    if kind == 7:
        return "".join(chr(r.randrange(0, 0x100)) for _ in range(r.randrange(1, 30)))
    if kind == 8:
        return r.choice(["a", " ", "!", "的", "1", "\n", "=", "Ab", "é", "\u0301"]) * r.randrange(1, 300)
    parts = []
    for _ in range(r.randrange(1, 10)):
        parts.append(r.choice(r.choice([SPACES, EMOJI, SPECIAL, SPECIAL, CONTRACTIONS])))
        if r.random() < 0.5:
            parts.append(r.choice(r.choice(sources))[:r.randrange(1, 20)])
    return "".join(parts)


def make(n, folder):
    """n texts, and n // 10 byte strings that are not UTF-8"""
    r = random.Random(11)
    sources = [s for s in (catalogues(), code(), dictionaries(folder)) if s]
    chars = assigned()
    texts = ["", " "]
    while len(texts) < n:
        texts.append(text(r, sources, chars))
    broken = []
    while len(broken) < n // 10:
        s = bytearray(r.choice(texts).encode()[:200])
        for _ in range(r.randrange(1, 6)):
            s.insert(r.randrange(len(s) + 1), r.randrange(0x80, 0x100))
        broken.append(bytes(s) if r.random() < 0.7 else r.randbytes(r.randrange(1, 60)))
    return texts, broken
