/* pieces.c -- lines, paragraphs and sentences of a text, as duplicates of them are looked for
** (words.h). */
#include "data/words.h"

/* behind `breaks` \n in a row and those that follow */
static size_t end_of_lines(const uint8_t *p, size_t n, size_t from, size_t breaks) {
  size_t run = 0;
  for (size_t i = from; i < n; i++) {
    if (p[i] == '\n') run++;
    else if (run >= breaks) return i;
    else run = 0;
  }
  return n;
}

/* behind the white space that follows a sentence's last mark, or a \n */
static size_t end_of_sentence(const uint8_t *p, size_t n, size_t from) {
  bool inside = false, ended = false, spaced = false;
  int32_t c;
  for (size_t i = from, bytes; i < n; i += bytes) {
    bytes = ml_char(p + i, n - i, &c);
    if (ml_char_kind(c) & ML_CHAR_SPACE) {
      spaced = true;
      ended = ended || (inside && c == '\n');
      continue;
    }
    if (ended && spaced) return i;
    ended = ml_ends_sentence(c) || (ended && ml_closes_sentence(c));
    inside = true, spaced = false;
  }
  return n;
}

int ml_piece_at(ml_piece *out, const uint8_t *p, size_t n, size_t from, int unit) {
  size_t end = unit == ML_PIECE_SENTENCE ? end_of_sentence(p, n, from)
                                         : end_of_lines(p, n, from, unit == ML_PIECE_LINE ? 1 : 2);
  uint64_t *words, key = 0;
  int64_t count;
  int st = ml_simple_words(&words, &count, p + from, end - from);
  if (st != ML_OK) return st;
  for (int64_t i = 0; i < count; i++) key = ml_hash_mix(key, words[i]);
  ml_free(words);
  *out = (ml_piece){end, key, count};
  return ML_OK;
}
