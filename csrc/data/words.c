/* words.c -- words of a text, as the published rules count them and as near-duplicates share them
** (words.h). */
#include "data/words.h"

#include <string.h>
#include <utf8proc.h>

/* ---- words ---- */

typedef struct { ml_words *out; int64_t room; } growing;

static int add_word(growing *g, ml_word w) {
  ml_words *out = g->out;
  if (out->n == g->room) {
    int64_t room = g->room * 2 + 64;
    ml_word *more = ml_alloc((size_t)room * sizeof *more);
    if (!more) return ML_ENOMEM;
    if (out->n) memcpy(more, out->w, (size_t)out->n * sizeof *more);
    ml_free(out->w);
    out->w = more;
    g->room = room;
  }
  out->w[out->n++] = w;
  return ML_OK;
}

/* may the character at p join the word before it, whose last character is of `kind`, and the one
** after? Its bytes if so. ' _ . @ between any; a comma between digits; - between a letter and a
** digit, as in UTF-8; : < > = / before a digit */
static size_t joiner(const uint8_t *p, size_t left, unsigned kind) {
  size_t n = p[0] != 0 && strchr("'_.@,-:<>=/", p[0]) ? 1
             : left > 2 && memcmp(p, "\xE2\x80\x99", 3) == 0 ? 3 : 0;
  int32_t c;
  if (n == 0 || n >= left) return 0;
  ml_char(p + n, left - n, &c);
  unsigned next = ml_char_kind(c);
  bool before = kind & ML_CHAR_DIGIT, digit = next & ML_CHAR_DIGIT, joins = next & ML_CHAR_WORD;
  if (p[0] == ',') joins = before && digit;
  else if (p[0] == '-') joins = digit && !before;
  else if (n == 1 && strchr(":<>=/", p[0])) joins = digit;
  return joins ? n : 0;
}

/* the mark behind a word that is a part of it before white space: the dot of a capital that stands
** alone, "A. B. Smith" and "U.S.", and the hyphen of a word that goes on in the next line */
static bool keeps_mark(const uint8_t *p, size_t left, size_t i) {
  if (i == 0 || i >= left || (i + 1 < left && p[i + 1] > ' ')) return false;
  bool capital = p[i - 1] >= 'A' && p[i - 1] <= 'Z', alone = i == 1 || p[i - 2] == '.';
  return p[i] == '-' || (p[i] == '.' && capital && alone);
}

/* the run of word characters at p, or of marks before them; fills in all but `at` */
static ml_word run_of(const uint8_t *p, size_t left, size_t marks) {
  ml_word w = {.chars = (uint32_t)marks};
  size_t i = marks;
  unsigned last = 0;
  int32_t c;
  while (i < left) {
    size_t k = ml_char(p + i, left - i, &c);
    unsigned kind = ml_char_kind(c);
    if (kind & ML_CHAR_WORD) w.alpha |= (kind & ML_CHAR_ALPHA) != 0;
    else if ((k = joiner(p + i, left - i, last)) == 0) break;
    last = kind;
    i += k;
    w.chars++;
  }
  if (keeps_mark(p, left, i)) i++, w.chars++;
  w.bytes = (uint32_t)i;
  w.hash = ml_hash_bytes(p, i);
  return w;
}

/* the run of one mark that a line or an ellipsis is made of, - or . ; of dashes that begin a word,
** -f or --enable, the word too */
static ml_word rule_of(const uint8_t *p, size_t left, bool begins) {
  size_t i = 1;
  int32_t c;
  while (i < left && p[i] == p[0]) i++;
  if (begins && p[0] == '-' && i < left) {
    ml_char(p + i, left - i, &c);
    if (ml_char_kind(c) & ML_CHAR_WORD) return run_of(p, left, i);
  }
  return (ml_word){.bytes = (uint32_t)i, .chars = (uint32_t)i, .symbol = true,
                   .hash = ml_hash_bytes(p, i)};
}

/* bytes of 's 'll 're 've 'd 'm that stand alone at p; 0 if they do not */
static size_t contraction(const uint8_t *p, size_t left) {
  static const char *const ends[] = {"'s", "'d", "'m", "'ll", "'re", "'ve"};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    size_t n = strlen(ends[i]);
    int32_t c = ' ';
    if (left < n || memcmp(p, ends[i], n) != 0) continue;
    if (left > n) ml_char(p + n, left - n, &c);
    if (!(ml_char_kind(c) & ML_CHAR_WORD)) return n;
  }
  return 0;
}

/* bytes of an address that begins at p, to the white space behind it, without the punctuation it
** ends in; 0 where there is none */
static size_t address(const uint8_t *p, size_t left) {
  static const char *const schemes[] = {"http://", "https://", "ftp://"};
  size_t begin = 0, i;
  for (size_t k = 0; k < sizeof schemes / sizeof *schemes && !begin; k++) {
    size_t n = strlen(schemes[k]);
    if (left > n && memcmp(p, schemes[k], n) == 0) begin = n;
  }
  if (!begin) return 0;
  for (i = begin; i < left && p[i] > ' '; i++) {}
  while (i > begin && strchr(".,;:!?)]}>\"'`*", p[i - 1])) i--;
  return i > begin ? i : 0;
}

static ml_word word_of(const uint8_t *p, size_t n) {
  return (ml_word){.bytes = (uint32_t)n, .chars = (uint32_t)ml_char_count(p, n), .alpha = true,
                   .hash = ml_hash_bytes(p, n)};
}

static int too_long(size_t n) {
  return n <= UINT32_MAX ? ML_OK : ml_fail(ML_ERANGE, "a text may not be longer than 4 GiB");
}

int ml_words_of(ml_words *out, const uint8_t *p, size_t n) {
  growing g = {out, 0};
  *out = (ml_words){0};
  int st = too_long(n);
  size_t end = SIZE_MAX; /* of the word before */
  for (size_t i = 0; st == ML_OK && i < n;) {
    int32_t c;
    size_t k = ml_char(p + i, n - i, &c);
    unsigned kind = ml_char_kind(c);
    if (kind & ML_CHAR_SPACE) {
      i += k;
      continue;
    }
    size_t url = c == 'h' || c == 'f' ? address(p + i, n - i) : 0;
    size_t short_end = i != end && c == '\'' ? contraction(p + i, n - i) : 0;
    ml_word w = {.bytes = (uint32_t)k, .chars = 1, .symbol = true};
    if (url) w = word_of(p + i, url);
    else if (kind & ML_CHAR_WORD) w = run_of(p + i, n - i, 0);
    else if (c == '-' || c == '.') w = rule_of(p + i, n - i, i != end);
    else if (short_end) w = word_of(p + i, short_end);
    else w.hash = ml_hash_bytes(p + i, k);
    w.at = (uint32_t)i;
    st = add_word(&g, w);
    i += w.bytes;
    end = i;
  }
  if (st == ML_OK) return ML_OK;
  ml_free(out->w);
  *out = (ml_words){0};
  return st;
}

/* ---- words that near-duplicates share ---- */

/* c in lower case and without marks, into at most 8 code points; -1 stands for a byte */
static int simplify(int32_t c, int32_t out[8]) {
  if (c < 0x80) {
    out[0] = c >= 'A' && c <= 'Z' ? c + 32 : c;
    return 1;
  }
  int32_t parts[8];
  int last_class = 0, n = 0;
  utf8proc_ssize_t count = utf8proc_decompose_char(utf8proc_tolower(c), parts, 8,
                                                   UTF8PROC_DECOMPOSE, &last_class);
  for (utf8proc_ssize_t i = 0; i < count && i < 8; i++)
    if (utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN) out[n++] = parts[i];
  return n;
}

/* the end of the number at p: digits, then perhaps one . or , and more digits */
static size_t number_end(const uint8_t *p, size_t left) {
  size_t i = 0;
  int32_t c;
  for (int part = 0; part < 2; part++) {
    while (i < left) {
      size_t k = ml_char(p + i, left - i, &c);
      if (!(ml_char_kind(c) & ML_CHAR_DIGIT)) break;
      i += k;
    }
    if (part == 1 || i + 1 >= left || (p[i] != '.' && p[i] != ',')) break;
    ml_char(p + i + 1, left - i - 1, &c);
    if (!(ml_char_kind(c) & ML_CHAR_DIGIT)) break;
    i++;
  }
  return i;
}

/* adds the character at p to the hash of a word; returns its bytes, 0 if it ends the word */
static size_t take(const uint8_t *p, size_t left, uint64_t *hash) {
  int32_t c, parts[8];
  size_t k = ml_char(p, left, &c);
  unsigned kind = ml_char_kind(c);
  if (!(kind & ML_CHAR_WORD)) return 0;
  if (kind & ML_CHAR_DIGIT) {
    *hash = ml_hash_mix(*hash, '0');
    return number_end(p, left);
  }
  for (int i = 0, n = simplify(c, parts); i < n; i++)
    *hash = ml_hash_mix(*hash, (uint64_t)parts[i]);
  return k;
}

int ml_simple_words(uint64_t **out, int64_t *count, const uint8_t *p, size_t n) {
  *count = 0;
  *out = ml_alloc((n / 2 + 1) * sizeof **out); /* a word and what ends it take two bytes */
  if (!*out) return ML_ENOMEM;
  for (size_t i = 0; i < n;) {
    uint64_t hash = 1;
    size_t start = i, k;
    while (i < n && (k = take(p + i, n - i, &hash)) > 0) i += k;
    if (i > start && hash != 1) (*out)[(*count)++] = hash; /* marks alone are no word */
    if (i < n) {
      int32_t c;
      i += ml_char(p + i, n - i, &c);
    }
  }
  return ML_OK;
}
