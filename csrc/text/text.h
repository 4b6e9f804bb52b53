/* text.h -- byte-level BPE (Sennrich et al. 2016, on bytes as GPT-2 has it): texts are cut into
** pieces by a regular expression, pieces into bytes, and pairs of tokens merged by rank. A token is
** a byte string and an id from 0. Any bytes can be encoded: what is not UTF-8 is pieces of its
** own. */
#ifndef ML_TEXT_H
#define ML_TEXT_H

#include "base/base.h"

typedef struct { const uint8_t *p; size_t n; } ml_bytes;

/* room for `need` elements of `size` bytes in a block that grows by half: status */
int ml_room(void **p, int64_t *have, int64_t need, int64_t size);

/* ---- strings.c: distinct byte strings, numbered from 0 in the order they came ---- */
typedef struct {
  int64_t count, slots, bytes, room_bytes, room;
  int64_t *slot, *start; /* slot: number + 1, or 0; start: of each in text, count + 1 of them */
  uint64_t *hash;
  uint8_t *text;
} ml_strings;
int ml_strings_add(ml_strings *t, ml_bytes s, int64_t *number); /* finds it, or adds it */
int64_t ml_strings_find(const ml_strings *t, ml_bytes s);       /* -1: not there */
ml_bytes ml_strings_at(const ml_strings *t, int64_t number);
void ml_strings_free(ml_strings *t);

/* ---- pairs.c: a map from a pair of ids to a number from 0, in the order they came ---- */
typedef struct {
  int64_t count, slots, room;
  int64_t *slot;
  uint64_t *key;
} ml_pairs;
static inline uint64_t ml_pair(int32_t a, int32_t b) {
  return (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
}
int ml_pairs_add(ml_pairs *t, uint64_t pair, int64_t *number);
int64_t ml_pairs_find(const ml_pairs *t, uint64_t pair); /* -1: not there */
void ml_pairs_free(ml_pairs *t);

/* ---- pretok.c: PCRE2. Every byte is in one piece: matches, and what lies between them ---- */
typedef struct ml_pretok ml_pretok;
typedef int ml_piece_fn(void *ctx, ml_bytes piece); /* a status; not ML_OK stops */
int ml_pretok_new(ml_pretok **out, const char *pattern, size_t n); /* ML_EFORMAT: no regex */
void ml_pretok_free(ml_pretok *t);                                 /* accepts NULL */
/* worker: of ml_parallel, or 0; a worker has its own room for matching */
int ml_pretok_each(ml_pretok *t, int worker, ml_bytes text, ml_piece_fn *fn, void *ctx);
/* Where a text may be cut, at `want` or after, so that the parts have the pieces of the whole: for
** the patterns of moonlit.text.patterns only. text.n where there is no such place. */
size_t ml_pretok_cut(ml_bytes text, size_t want);

/* ---- train.c ---- */
typedef struct ml_trainer ml_trainer;
int ml_trainer_new(ml_trainer **out, const char *pattern, size_t n);
void ml_trainer_free(ml_trainer *t); /* accepts NULL */
int ml_trainer_add(ml_trainer *t, const ml_bytes *texts, int64_t n); /* counts their pieces */
typedef struct { int32_t a, b, id; } ml_merge;
/* Merges the most frequent pair, ties to the smaller ids, until there are `vocab` tokens or no pair
** comes min_frequency times. Token `first` + i is byte alphabet[i], 256 of them; merges' tokens
** follow; ids below `first` are left alone. The same for any number of threads and any order or
** cutting of the texts. merges is the caller's to ml_free; a token that two merges make is one. */
int ml_trainer_run(ml_trainer *t, const uint8_t alphabet[256], int32_t first, int64_t vocab,
                   int64_t min_frequency, ml_merge **merges, int64_t *count);

/* ---- bpe.c ---- */
typedef struct ml_bpe ml_bpe;
typedef struct {
  const ml_bytes *tokens; /* id order; those of special tokens are their text */
  const bool *special;    /* one a token */
  int64_t count;
  const int32_t *merges; /* a, b for each, the best first */
  int64_t merge_count;
  const char *pattern;
  size_t pattern_size;
  bool ignore_merges; /* a piece that is a token is that token */
} ml_bpe_spec;
int ml_bpe_new(ml_bpe **out, const ml_bpe_spec *spec); /* copies; ML_EFORMAT names what is wrong */
void ml_bpe_free(ml_bpe *t);                           /* accepts NULL */
typedef struct { int32_t *ids; int64_t n, room; } ml_ids;
/* Adds to out. special: the text of special tokens means them, else it is text like any other. */
int ml_bpe_encode(ml_bpe *t, int worker, ml_bytes text, bool special, ml_ids *out);
int ml_bpe_encode_all(ml_bpe *t, const ml_bytes *texts, int64_t n, bool special, ml_ids *out);
int64_t ml_bpe_count(const ml_bpe *t);
bool ml_bpe_token(const ml_bpe *t, int64_t id, ml_bytes *token, bool *special); /* no such id: no */
int64_t ml_bpe_find(const ml_bpe *t, ml_bytes token, bool special);             /* -1: none */

#endif
