/* words.h -- a text as characters, lines and words: what the rules of curation count. Text is
** UTF-8; a byte that is none is a character of its own, a symbol. No text makes these fail, only
** want of memory does. */
#ifndef ML_WORDS_H
#define ML_WORDS_H

#include "base/base.h"

/* ---- characters ---- */
enum { ML_CHAR_SPACE = 1, ML_CHAR_WORD = 2, ML_CHAR_ALPHA = 4, ML_CHAR_DIGIT = 8 };
/* the character at p (left > 0 bytes): its code point, or -1; returns its bytes */
size_t ml_char(const uint8_t *p, size_t left, int32_t *code);
unsigned ml_char_kind(int32_t code);      /* letters, digits, marks and numbers are WORD */
bool ml_ends_sentence(int32_t code);      /* Unicode's Sentence_Terminal: . ! ? and others */
bool ml_closes_sentence(int32_t code);    /* may stand between those and white space: quotes */
int64_t ml_char_count(const uint8_t *p, size_t n);

/* ---- spans of a text ---- */
typedef struct { const uint8_t *p; size_t n; } ml_span;
ml_span ml_strip(ml_span s);              /* without white space at either end */
uint64_t ml_hash_bytes(const uint8_t *p, size_t n);
/* of a sequence so far and its next value: their order counts */
static inline uint64_t ml_hash_mix(uint64_t h, uint64_t v) {
  h = (h * 0xBF58476D1CE4E5B9u ^ v) * 0x9E3779B97F4A7C15u;
  h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93u;
  return h ^ (h >> 29);
}

/* The next line of the rest of a text, cut off its front; false at the end. Ends are those of
** Python's splitlines: \n \r\n \r \v \f, the separators 1C to 1E, U+0085, U+2028, U+2029. */
bool ml_next_line(ml_span *rest, ml_span *line);

/* ---- words ---- */
typedef struct {
  uint64_t hash;      /* of its bytes */
  uint32_t at, bytes; /* where it is in the text */
  uint32_t chars;
  bool symbol;        /* neither letter, mark nor digit: one character, or a run of - or . */
  bool alpha;         /* has a letter */
} ml_word;
typedef struct { ml_word *w; int64_t n; } ml_words; /* ml_free(w) */

/* Maximal runs of letters, marks and digits, in which one of ' U+2019 . _ @ may stand between two,
** a comma between digits, - between a letter and a digit, one of : < > = / before a digit; with
** dashes before (-f), the dot of a capital that stands alone (U.S.) and a hyphen at a line's end;
** addresses (http://...); 's and the like; runs of - or of .; every other character that is not
** white space is a word of its own. As near to spaCy's words, which the published rules count, as
** lines allow. */
int ml_words_of(ml_words *out, const uint8_t *p, size_t n);

/* The same text as what near-duplicates share: hashes only, of runs of letters, marks and digits,
** in lower case, without marks, every number (with one . or , inside) as 0. *out: ml_free. */
int ml_simple_words(uint64_t **out, int64_t *count, const uint8_t *p, size_t n);

/* ---- pieces: a text cut without a rest, each piece with the white space behind it ---- */
enum { ML_PIECE_LINE, ML_PIECE_PARAGRAPH, ML_PIECE_SENTENCE }; /* to \n, \n\n, or its last mark */
typedef struct { size_t end; uint64_t key; int64_t words; } ml_piece; /* key: of simple words */
/* the piece that begins at `from` < n; sentences are those of lines */
int ml_piece_at(ml_piece *out, const uint8_t *p, size_t n, size_t from, int unit);

/* ---- shingles: hashes of n words in a row, ascending, each once ---- */
int ml_shingles(uint64_t **out, int64_t *count, const uint8_t *p, size_t n, int words);
int64_t ml_sort_unique(uint64_t *v, int64_t n);
int64_t ml_shared(const uint64_t *a, int64_t na, const uint64_t *b, int64_t nb);
/* bands hashes of rows minima each: texts that share a fraction s of their shingles have the same
** hash in a band with probability s^rows */
void ml_signature(uint64_t *out, const uint64_t *shingles, int64_t n, int bands, int rows,
                  uint64_t seed);

#endif
