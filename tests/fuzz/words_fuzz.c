/* words_fuzz.c -- any bytes as a text: every count stays within the text, and what is counted twice
** agrees. */
#include "data/stats.h"

#define MUST(x) do { if (!(x)) __builtin_trap(); } while (0)

static void check_words(const uint8_t *p, size_t n, int64_t chars) {
  ml_words words;
  int64_t sum = 0;
  size_t end = 0;
  MUST(ml_words_of(&words, p, n) == ML_OK);
  for (int64_t i = 0; i < words.n; i++) {
    ml_word w = words.w[i];
    MUST(w.bytes > 0 && w.at >= end && w.at + (size_t)w.bytes <= n);
    MUST(ml_char_count(p + w.at, w.bytes) == w.chars);
    end = w.at + (size_t)w.bytes;
    sum += w.chars;
  }
  MUST(sum <= chars);
  ml_free(words.w);
}

static void check_stats(const uint8_t *p, size_t n, int64_t chars) {
  ml_quality q;
  ml_repetition r;
  ml_layout l;
  uint64_t stop = ml_hash_bytes((const uint8_t *)"the", 3);
  MUST(ml_quality_of(&q, p, n, &stop, 1) == ML_OK);
  MUST(ml_repetition_of(&r, p, n) == ML_OK);
  MUST(ml_layout_of(&l, p, n, 30) == ML_OK);
  MUST(q.words == l.words && q.plain <= q.words && q.plain_chars <= chars);
  MUST(r.chars == chars && l.chars + l.breaks == chars);
  MUST(r.lines.again_chars <= chars && r.paragraphs.again_chars <= chars);
  for (int k = ML_TOP_MAX + 1; k <= ML_GRAM_MAX; k++) MUST(r.gram[k] <= chars);
  MUST(ml_sentences(p, n) <= chars);
}

static void check_lines(const uint8_t *p, size_t n) {
  ml_span rest = {p, n}, line;
  size_t bytes = 0;
  while (ml_next_line(&rest, &line)) {
    int64_t words, longest;
    ml_line_words(ml_strip(line), &words, &longest);
    MUST(words + longest <= (int64_t)line.n + 1);
    bytes += line.n;
  }
  MUST(bytes <= n);
}

/* pieces are the text, cut */
static void check_pieces(const uint8_t *p, size_t n, int64_t chars) {
  for (int unit = ML_PIECE_LINE; unit <= ML_PIECE_SENTENCE; unit++) {
    ml_piece piece = {0};
    for (size_t from = 0; from < n; from = piece.end) {
      MUST(ml_piece_at(&piece, p, n, from, unit) == ML_OK);
      MUST(piece.end > from && piece.end <= n && piece.words <= chars);
    }
  }
}

static void check_kinds(const uint8_t *p, size_t n, int64_t chars) {
  ml_symbols s;
  int64_t scripts[ML_SCRIPTS], letters = 0;
  ml_symbols_of(&s, p, n);
  MUST(s.chars == chars && s.url <= chars && s.plain + s.brackets <= chars);
  MUST(s.digits + s.blank + s.brackets <= chars);
  ml_scripts_of(scripts, p, n);
  for (int i = 0; i < ML_SCRIPTS; i++) letters += scripts[i];
  MUST(letters <= chars);
}

static void check_shingles(const uint8_t *p, size_t n) {
  for (int words = 1; words <= 5; words += 4) {
    uint64_t *v, bands[4];
    int64_t count;
    MUST(ml_shingles(&v, &count, p, n, words) == ML_OK);
    for (int64_t i = 1; i < count; i++) MUST(v[i - 1] < v[i]);
    MUST(ml_shared(v, count, v, count) == count);
    ml_signature(bands, v, count, 4, 2, 1);
    ml_free(v);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  int64_t chars = ml_char_count(p, n);
  check_words(p, n, chars);
  check_stats(p, n, chars);
  check_lines(p, n);
  check_pieces(p, n, chars);
  check_kinds(p, n, chars);
  check_shingles(p, n);
  return 0;
}
