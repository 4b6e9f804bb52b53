/* words.c -- characters, lines and words of a text (words.h). */
#include "data/words.h"

#include <string.h>
#include <utf8proc.h>

/* ---- characters ---- */

size_t ml_char(const uint8_t *p, size_t left, int32_t *code) {
  if (p[0] < 0x80) {
    *code = p[0];
    return 1;
  }
  utf8proc_ssize_t n = utf8proc_iterate(p, left < 4 ? (utf8proc_ssize_t)left : 4, code);
  if (n > 0) return (size_t)n;
  *code = -1;
  return 1;
}

static unsigned ascii_kind(int32_t c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return ML_CHAR_WORD | ML_CHAR_ALPHA;
  if (c >= '0' && c <= '9') return ML_CHAR_WORD | ML_CHAR_DIGIT;
  if (c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F)) return ML_CHAR_SPACE;
  return 0;
}

unsigned ml_char_kind(int32_t c) {
  if (c < 0) return 0;
  if (c < 0x80) return ascii_kind(c);
  if (c == 0x85) return ML_CHAR_SPACE;
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO: return ML_CHAR_WORD | ML_CHAR_ALPHA;
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_NO: return ML_CHAR_WORD;
    case UTF8PROC_CATEGORY_ND: return ML_CHAR_WORD | ML_CHAR_DIGIT;
    case UTF8PROC_CATEGORY_ZS: case UTF8PROC_CATEGORY_ZL: case UTF8PROC_CATEGORY_ZP:
      return ML_CHAR_SPACE;
    default: return 0;
  }
}

/* the property Sentence_Terminal of Unicode 15, as ranges */
static const int32_t terminal[][2] = {
    {'!', '!'}, {'.', '.'}, {'?', '?'}, {0x589, 0x589}, {0x61D, 0x61F}, {0x6D4, 0x6D4},
    {0x700, 0x702}, {0x7F9, 0x7F9}, {0x837, 0x837}, {0x839, 0x839}, {0x83D, 0x83E},
    {0x964, 0x965}, {0x104A, 0x104B}, {0x1362, 0x1362}, {0x1367, 0x1368}, {0x166E, 0x166E},
    {0x1735, 0x1736}, {0x17D4, 0x17D5}, {0x1803, 0x1803}, {0x1809, 0x1809}, {0x1944, 0x1945},
    {0x1AA8, 0x1AAB}, {0x1B5A, 0x1B5B}, {0x1B5E, 0x1B5F}, {0x1B7D, 0x1B7E}, {0x1C3B, 0x1C3C},
    {0x1C7E, 0x1C7F}, {0x203C, 0x203D}, {0x2047, 0x2049}, {0x2E2E, 0x2E2E}, {0x2E3C, 0x2E3C},
    {0x2E53, 0x2E54}, {0x3002, 0x3002}, {0xA4FF, 0xA4FF}, {0xA60E, 0xA60F}, {0xA6F3, 0xA6F3},
    {0xA6F7, 0xA6F7}, {0xA876, 0xA877}, {0xA8CE, 0xA8CF}, {0xA92F, 0xA92F}, {0xA9C8, 0xA9C9},
    {0xAA5D, 0xAA5F}, {0xAAF0, 0xAAF1}, {0xABEB, 0xABEB}, {0xFE52, 0xFE52}, {0xFE56, 0xFE57},
    {0xFF01, 0xFF01}, {0xFF0E, 0xFF0E}, {0xFF1F, 0xFF1F}, {0xFF61, 0xFF61}, {0x10A56, 0x10A57},
    {0x10F55, 0x10F59}, {0x10F86, 0x10F89}, {0x11047, 0x11048}, {0x110BE, 0x110C1},
    {0x11141, 0x11143}, {0x111C5, 0x111C6}, {0x111CD, 0x111CD}, {0x111DE, 0x111DF},
    {0x11238, 0x11239}, {0x1123B, 0x1123C}, {0x112A9, 0x112A9}, {0x1144B, 0x1144C},
    {0x115C2, 0x115C3}, {0x115C9, 0x115D7}, {0x11641, 0x11642}, {0x1173C, 0x1173E},
    {0x11944, 0x11944}, {0x11946, 0x11946}, {0x11A42, 0x11A43}, {0x11A9B, 0x11A9C},
    {0x11C41, 0x11C42}, {0x11EF7, 0x11EF8}, {0x11F43, 0x11F44}, {0x16A6E, 0x16A6F},
    {0x16AF5, 0x16AF5}, {0x16B37, 0x16B38}, {0x16B44, 0x16B44}, {0x16E98, 0x16E98},
    {0x1BC9F, 0x1BC9F}, {0x1DA88, 0x1DA88}};

bool ml_ends_sentence(int32_t c) {
  int low = 0, high = (int)(sizeof terminal / sizeof *terminal) - 1;
  while (low <= high) {
    int mid = (low + high) / 2;
    if (c < terminal[mid][0]) high = mid - 1;
    else if (c > terminal[mid][1]) low = mid + 1;
    else return true;
  }
  return false;
}

bool ml_closes_sentence(int32_t c) {
  return c == '"' || c == '\'' || c == ')' || c == ']' || c == 0xBB || c == 0x2019 || c == 0x201D;
}

int64_t ml_char_count(const uint8_t *p, size_t n) {
  int64_t count = 0;
  int32_t c;
  for (size_t i = 0; i < n; count++) i += ml_char(p + i, n - i, &c);
  return count;
}

/* ---- spans ---- */

/* where the last character of s begins */
static size_t last_char(ml_span s, int32_t *code) {
  for (size_t back = 1; back <= 4 && back <= s.n; back++)
    if (ml_char(s.p + s.n - back, back, code) == back && *code >= 0) return s.n - back;
  *code = -1;
  return s.n - 1;
}

ml_span ml_strip(ml_span s) {
  int32_t c;
  while (s.n) {
    size_t k = ml_char(s.p, s.n, &c);
    if (!(ml_char_kind(c) & ML_CHAR_SPACE)) break;
    s.p += k;
    s.n -= k;
  }
  while (s.n) {
    size_t at = last_char(s, &c);
    if (!(ml_char_kind(c) & ML_CHAR_SPACE)) break;
    s.n = at;
  }
  return s;
}

uint64_t ml_hash_bytes(const uint8_t *p, size_t n) {
  uint64_t h = n * 0x9E3779B97F4A7C15u + 1, v;
  for (; n >= 8; p += 8, n -= 8) {
    memcpy(&v, p, 8);
    h = ml_hash_mix(h, v);
  }
  v = 0;
  memcpy(&v, p, n);
  return ml_hash_mix(h, v);
}

/* bytes of the line end at p, 0 if there is none */
static size_t line_end(const uint8_t *p, size_t left) {
  if (p[0] == '\r') return left > 1 && p[1] == '\n' ? 2 : 1;
  if ((p[0] >= '\n' && p[0] <= '\f') || (p[0] >= 0x1C && p[0] <= 0x1E)) return 1;
  if (left > 1 && p[0] == 0xC2 && p[1] == 0x85) return 2;
  if (left > 2 && p[0] == 0xE2 && p[1] == 0x80 && (p[2] == 0xA8 || p[2] == 0xA9)) return 3;
  return 0;
}

bool ml_next_line(ml_span *rest, ml_span *line) {
  if (rest->n == 0) return false;
  size_t i = 0, end = 0;
  while (i < rest->n && (end = line_end(rest->p + i, rest->n - i)) == 0) i++;
  *line = (ml_span){rest->p, i};
  rest->p += i + end;
  rest->n -= i + end;
  return true;
}

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

/* may the character at p join the word before it and the one after? Its bytes if so: ' _ . @
** between any, a comma between digits */
static size_t joiner(const uint8_t *p, size_t left, bool digit) {
  size_t n = strchr("'_.@", p[0]) ? 1 : left > 2 && memcmp(p, "\xE2\x80\x99", 3) == 0 ? 3 : 0;
  unsigned wanted = ML_CHAR_WORD;
  int32_t c;
  if (digit && p[0] == ',') n = 1, wanted = ML_CHAR_DIGIT;
  if (p[0] == 0 || n == 0 || n >= left) return 0;
  ml_char(p + n, left - n, &c);
  return ml_char_kind(c) & wanted ? n : 0;
}

/* the run of word characters at p; fills in all but `at` */
static ml_word run_of(const uint8_t *p, size_t left) {
  ml_word w = {0};
  size_t i = 0;
  bool digit = false;
  int32_t c;
  while (i < left) {
    size_t k = ml_char(p + i, left - i, &c);
    unsigned kind = ml_char_kind(c);
    if (kind & ML_CHAR_WORD) w.alpha |= (kind & ML_CHAR_ALPHA) != 0;
    else if ((k = joiner(p + i, left - i, digit)) == 0) break;
    digit = kind & ML_CHAR_DIGIT;
    i += k;
    w.chars++;
  }
  w.bytes = (uint32_t)i;
  w.hash = ml_hash_bytes(p, i);
  return w;
}

/* the run of one mark that a line or an ellipsis is made of: - or . */
static ml_word rule_of(const uint8_t *p, size_t left) {
  size_t i = 1;
  while (i < left && p[i] == p[0]) i++;
  return (ml_word){.bytes = (uint32_t)i, .chars = (uint32_t)i, .symbol = true,
                   .hash = ml_hash_bytes(p, i)};
}

static int too_long(size_t n) {
  return n <= UINT32_MAX ? ML_OK : ml_fail(ML_ERANGE, "a text may not be longer than 4 GiB");
}

int ml_words_of(ml_words *out, const uint8_t *p, size_t n) {
  growing g = {out, 0};
  *out = (ml_words){0};
  int st = too_long(n);
  for (size_t i = 0; st == ML_OK && i < n;) {
    int32_t c;
    size_t k = ml_char(p + i, n - i, &c);
    unsigned kind = ml_char_kind(c);
    if (kind & ML_CHAR_SPACE) {
      i += k;
      continue;
    }
    ml_word w = {.bytes = (uint32_t)k, .chars = 1, .symbol = true};
    if (kind & ML_CHAR_WORD) w = run_of(p + i, n - i);
    else if (c == '-' || c == '.') w = rule_of(p + i, n - i);
    else w.hash = ml_hash_bytes(p + i, k);
    w.at = (uint32_t)i;
    st = add_word(&g, w);
    i += w.bytes;
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
