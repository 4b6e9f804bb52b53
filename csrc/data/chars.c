/* chars.c -- characters of a text, stretches of it, and its lines (words.h). */
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
