/* stats.h -- what the filters of curation ask of a text; the thresholds are in lua/moonlit/data.
** Lengths are in characters. */
#ifndef ML_STATS_H
#define ML_STATS_H

#include "data/words.h"

#define ML_STOP_WORDS_MAX 64

typedef struct {
  int64_t words;          /* symbols too */
  int64_t plain, plain_chars; /* words that are no symbols, and their characters */
  int64_t alpha;          /* words with a letter */
  int64_t stops;          /* how many of the stop words occur */
  int64_t hashes, ellipses; /* "#"; "..." and U+2026 */
  int64_t lines, bullets, trailing; /* lines; those begun by a bullet or -, ended by an ellipsis */
} ml_quality;
/* stops: hashes (ml_hash_bytes) of at most ML_STOP_WORDS_MAX words */
int ml_quality_of(ml_quality *q, const uint8_t *p, size_t n, const uint64_t *stops, int count);

typedef struct { int64_t count, again, again_chars; } ml_repeats; /* pieces; those seen before */
enum { ML_TOP_MIN = 2, ML_TOP_MAX = 4, ML_GRAM_MAX = 10 };
typedef struct {
  int64_t chars;
  ml_repeats paragraphs, lines;
  int64_t top[ML_TOP_MAX + 1];     /* [n]: characters of the most frequent n words in a row */
  int64_t gram[ML_GRAM_MAX + 1];   /* [n > 4]: characters of n words in a row seen before */
} ml_repetition;
int ml_repetition_of(ml_repetition *r, const uint8_t *p, size_t n);

typedef struct {
  ml_repeats lines;       /* that are not blank */
  int64_t ended, brief;   /* of those: end in a sentence's mark; have at most `brief` characters */
  int64_t chars, breaks;  /* characters without \n; how many \n */
  int64_t words;
} ml_layout;
int ml_layout_of(ml_layout *l, const uint8_t *p, size_t n, int64_t brief);

typedef struct {
  int64_t chars;
  int64_t plain;          /* ASCII letters and digits, \n ? ! , . */
  int64_t digits;         /* of any script */
  int64_t blank;          /* space, \t \n \r \b */
  int64_t brackets;       /* ( ) { } [ ] U+27E8 U+27E9 */
  int64_t url;            /* in addresses that begin by http:// or https:// */
} ml_symbols;
void ml_symbols_of(ml_symbols *s, const uint8_t *p, size_t n);

enum { ML_LATIN, ML_GREEK, ML_CYRILLIC, ML_ARMENIAN, ML_HEBREW, ML_ARABIC, ML_DEVANAGARI,
       ML_BENGALI, ML_TAMIL, ML_THAI, ML_GEORGIAN, ML_HANGUL, ML_KANA, ML_HAN, ML_OTHER_SCRIPT,
       ML_SCRIPTS };
void ml_scripts_of(int64_t counts[ML_SCRIPTS], const uint8_t *p, size_t n); /* letters of each */

/* sentences: pieces that end in . ! ? or the like, closing quotes included, before white space */
int64_t ml_sentences(const uint8_t *p, size_t n);

/* white-space separated words of a line, and the characters of the longest */
void ml_line_words(ml_span line, int64_t *words, int64_t *longest);

#endif
