/* encode_fuzz.c -- any bytes as a text for tokenizers of every kind, made once: bytes behind
** GPT-4o's pattern with added tokens of all flags; the same rewritten to a normal form (NFC, NFD,
** NFKC, NFKD); characters that fall back to bytes, behind a word mark. Where nothing is rewritten
** the text comes back; spans lie in the text and go forward, and do not change the ids. */
#include <string.h>

#include "decoded.h"

#define TEXT(s) ((ml_bytes){(const uint8_t *)(s), sizeof(s) - 1})

enum { KINDS = 7, TOKENS = 256 + 24 };

static const char *const WORDS[] = {
    "ab", "abc", " a", "aa", "aaaa", "  ", "\xc3\xa9", "e\xcc\x81", "\n\n", "\xe2\x96\x81",
    "\xe2\x96\x81\xe2\x96\x81", "<|e|>", "<w>", "<l>", "<r>", "<b> ", "'s", "\xe4\xbd\xa0"};
static const int FLAGS[] = {[11] = ML_ADDED | ML_ADDED_SPECIAL,
                            [12] = ML_ADDED | ML_ADDED_WORD,
                            [13] = ML_ADDED | ML_ADDED_LEFT,
                            [14] = ML_ADDED | ML_ADDED_RIGHT,
                            [15] = ML_ADDED | ML_ADDED_LEFT | ML_ADDED_RIGHT,
                            [17] = 0};
static const char PATTERN[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

static ml_bpe *made(int kind) {
  static uint8_t byte[256];
  ml_bytes tokens[TOKENS];
  uint8_t kinds[TOKENS] = {0}, flags[TOKENS] = {0};
  bool normal[TOKENS] = {0};
  int32_t fallback[256];
  int64_t n = 256;
  for (int b = 0; b < 256; b++)
    byte[b] = (uint8_t)b, tokens[b] = (ml_bytes){&byte[b], 1}, fallback[b] = b;
  for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++, n++) {
    tokens[n] = (ml_bytes){(const uint8_t *)WORDS[i], strlen(WORDS[i])};
    flags[n] = (uint8_t)FLAGS[i];
    kinds[n] = i == 11 ? ML_TOKEN_SPECIAL : FLAGS[i] ? ML_TOKEN_OTHER : ML_TOKEN_ORDINARY;
    normal[n] = i == 14;
  }
  ml_bytes mark = TEXT("\xe2\x96\x81"), space = TEXT(" "), pattern = TEXT(PATTERN);
  ml_step rewrite[] = {
      {.kind = ML_STEP_FORM, .how = kind - 1},
      {.kind = ML_STEP_PREPEND, .how = ML_ALWAYS, .with = mark},
      {.kind = ML_STEP_REPLACE, .linear = true, .pattern = space, .with = mark}};
  ml_step cut[] = {{.kind = ML_STEP_CUT, .linear = true, .pattern = pattern},
                   {.kind = ML_STEP_PREPEND, .how = ML_IF_FIRST, .with = mark},
                   {.kind = ML_STEP_CUT, .how = ML_CUT_NEXT, .linear = true, .pattern = mark}};
  bool chars = kind >= 5;
  ml_bpe_spec spec = {.tokens = tokens,
                      .kinds = kinds,
                      .flags = flags,
                      .normal = normal,
                      .count = n,
                      .by_rank = true,
                      .chars = chars,
                      .fallback = chars ? fallback : NULL,
                      .unknown = -1,
                      .rewrite = rewrite + (kind == 5),
                      .cut = cut + (kind == 6)};
  spec.rewrites = kind == 0 || kind == 6 ? 0 : kind == 5 ? 2 : 1;
  spec.cuts = kind == 5 ? 0 : kind == 6 ? 2 : 1;
  ml_bpe *t = NULL;
  MUST(ml_bpe_new(&t, &spec) == ML_OK);
  return t;
}

static void check_spans(ml_bytes text, const ml_ids *with, const ml_ids *ids) {
  size_t last = 0;
  MUST(with->n == ids->n);
  for (int64_t i = 0; i < with->n; i++) {
    ml_origin s = with->spans[i];
    MUST(with->ids[i] == ids->ids[i]);
    MUST(s.start <= s.end && s.end <= text.n && s.start <= last + 1);
    if (s.end > last) last = s.end;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  static ml_bpe *kinds[KINDS];
  static ml_ids plain, special, spans;
  if (n < 1) return 0;
  int kind = p[0] % KINDS;
  ml_bytes text = {p + 1, n - 1};
  if (!kinds[kind]) kinds[kind] = made(kind);
  ml_bpe *t = kinds[kind];
  plain.n = special.n = spans.n = 0;
  MUST(ml_bpe_encode(t, 0, text, (ml_encode_options){false, false}, &plain) == ML_OK);
  MUST(ml_bpe_encode(t, 0, text, (ml_encode_options){true, false}, &special) == ML_OK);
  MUST(ml_bpe_encode(t, 0, text, (ml_encode_options){true, true}, &spans) == ML_OK);
  for (int64_t i = 0; i < plain.n; i++) MUST(plain.ids[i] != 256 + 11);
  bool widened = memchr(text.p, '<', text.n) != NULL; /* flags take white space into a token */
  if (kind == 0 && !widened) check_decodes(t, text, &plain);
  check_spans(text, &spans, &special);
  return 0;
}
