/* symbols.c -- characters of a text by kind, as NeMo Curator counts them (stats.h). */
#include "data/stats.h"

#include <string.h>

static bool is_one_of(int32_t c, const char *set) { return c > 0 && c < 0x80 && strchr(set, c); }

static bool is_hex(uint8_t c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* bytes of an address that begins at p, all ASCII: http:// or https:// and a character more */
static size_t url_bytes(const uint8_t *p, size_t n) {
  size_t scheme = n > 7 && memcmp(p, "http://", 7) == 0    ? 7
                  : n > 8 && memcmp(p, "https://", 8) == 0 ? 8
                                                           : 0;
  size_t i = scheme;
  while (scheme && i < n) {
    bool letter = p[i] < 0x80 && (ml_char_kind(p[i]) & ML_CHAR_WORD);
    if (letter || is_one_of(p[i], "$-_@.&+/:=?#~!*(),")) i++;
    else if (p[i] == '%' && i + 2 < n && is_hex(p[i + 1]) && is_hex(p[i + 2])) i += 3;
    else break;
  }
  return i > scheme ? i : 0;
}

static void count_char(ml_symbols *s, int32_t c) {
  unsigned kind = ml_char_kind(c);
  s->chars++;
  s->plain += (c < 0x80 && (kind & ML_CHAR_WORD)) || is_one_of(c, "\n?!,.");
  s->digits += (kind & ML_CHAR_DIGIT) != 0;
  s->blank += is_one_of(c, "\t\n\r\b ");
  s->brackets += is_one_of(c, "(){}[]") || c == 0x27E8 || c == 0x27E9;
}

void ml_symbols_of(ml_symbols *s, const uint8_t *p, size_t n) {
  size_t url_end = 0;
  *s = (ml_symbols){0};
  for (size_t i = 0; i < n;) {
    int32_t c;
    size_t k = ml_char(p + i, n - i, &c), url;
    count_char(s, c);
    if (c == 'h' && i >= url_end && (url = url_bytes(p + i, n - i)) > 0) {
      s->url += (int64_t)url;
      url_end = i + url;
    }
    i += k;
  }
}
