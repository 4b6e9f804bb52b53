/* utf8.c -- characters in bytes that may not be any, and the two classes of them that
** tokenizers ask for by name. */
#include "text/text.h"

#include <string.h>
#include <utf8proc.h>

size_t ml_utf8_size(const uint8_t *p, size_t left) { /* Unicode 15, table 3-7 */
  uint8_t c = p[0], low = 0x80, high = 0xbf;
  if (c < 0x80) return 1;
  size_t n = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
  if (n > left) return 0;
  if (c == 0xe0) low = 0xa0;
  if (c == 0xed) high = 0x9f;
  if (c == 0xf0) low = 0x90;
  if (c == 0xf4) high = 0x8f;
  for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf)
    if (p[i] < low || p[i] > high) return 0;
  return n;
}

int32_t ml_utf8_code(const uint8_t *p, size_t size) {
  if (size <= 1) return p[0];
  int32_t c = p[0] & (0x7f >> size);
  for (size_t i = 1; i < size; i++) c = c << 6 | (p[i] & 0x3f);
  return c;
}

size_t ml_utf8_put(int32_t c, uint8_t to[4]) {
  if (c < 0x80) {
    to[0] = (uint8_t)c;
    return 1;
  }
  size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t i = n - 1; i > 0; i--, c >>= 6) to[i] = (uint8_t)(0x80 | (c & 0x3f));
  to[0] = (uint8_t)(0xf00 >> n | c);
  return n;
}

static size_t plain_run(const uint8_t *p, size_t left) { /* ASCII, eight at a time */
  size_t n = 0;
  for (uint64_t w; n + 8 <= left; n += 8) {
    memcpy(&w, p + n, 8);
    if (w & 0x8080808080808080u) break;
  }
  return n;
}

size_t ml_utf8_run(ml_bytes s, size_t at, bool *valid) {
  size_t end = at, n = ml_utf8_size(s.p + at, s.n - at);
  *valid = n > 0;
  while (end < s.n && (n > 0) == *valid) {
    end += n > 0 ? n : 1;
    if (*valid) end += plain_run(s.p + end, s.n - end);
    n = end < s.n ? ml_utf8_size(s.p + end, s.n - end) : 0;
  }
  return end;
}

size_t ml_utf8_last(ml_bytes s) {
  for (size_t n = 1; n <= 4 && n <= s.n; n++)
    if ((s.p[s.n - n] & 0xc0) != 0x80) return ml_utf8_size(s.p + s.n - n, n) == n ? n : 0;
  return 0;
}

bool ml_utf8_space(int32_t c) {
  return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

bool ml_utf8_word(int32_t c) { /* Alphabetic, M, Nd, Pc and Join_Control */
  switch (utf8proc_category(c)) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LL:
  case UTF8PROC_CATEGORY_LT:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
  case UTF8PROC_CATEGORY_NL:
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_PC:
    return true;
  default:
    break;
  }
  return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) ||
         (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
         (c >= 0x1f170 && c <= 0x1f189);
}
