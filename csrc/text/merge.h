/* merge.h -- a vocabulary with its merges, and what pieces become; see merge.c */
#ifndef ML_TEXT_MERGE_H
#define ML_TEXT_MERGE_H

#include "text/text.h"

typedef struct {
  int32_t a, b, rank, id;
} ml_rule; /* a < 0: free */

typedef struct {
  int64_t count;
  ml_strings ordinary, added;      /* by their bytes: those that merges make, and the others */
  int32_t *ordinary_id, *added_id; /* of each string */
  int64_t *number;                 /* of an id: its string in one of them */
  uint8_t *kind, *shown;           /* of an id; what decode writes, all of it */
  int64_t *show_at;                /* of each id in shown, count + 1 of them */
  ml_rule *rules;                  /* open addressing, a power of two */
  int64_t slots, merge_count;
  int32_t *merges; /* a, b of each, the best first */
  bool chars, ignore_merges, fuse;
  bool marked, whole;             /* no token runs into a word mark; every byte has a token */
  int32_t start[256];             /* of bytes; of ASCII characters, -1: unknown */
  int32_t fallback[256], unknown; /* -1: none */
} ml_vocab;
int ml_vocab_new(ml_vocab *t, const ml_bpe_spec *spec); /* t is zeros; free it even on failure */
void ml_vocab_free(ml_vocab *t);
bool ml_vocab_token(const ml_vocab *t, int64_t id, ml_bytes *token, ml_bytes *shown, int *kind);
const ml_rule *ml_vocab_rule(const ml_vocab *t, int32_t a, int32_t b); /* a < 0: none */

/* what one thread works with */
typedef struct {
  uint64_t key[3];
  int32_t n, ids[9];
} ml_memo; /* n is 0: free */
typedef struct {
  ml_memo *memo;
  int32_t *id, *size, *next, *last; /* of a piece: a list of symbols */
  int64_t id_room, size_room, next_room, last_room;
  uint64_t *heap; /* rank << 32 | place */
  int64_t n, heap_n, heap_room;
} ml_lane;
void ml_lane_free(ml_lane *t);
/* the ids of a piece, added to out; spans: with what each stands for */
int ml_merge_piece(const ml_vocab *v, ml_lane *lane, const ml_piece *s, bool spans, ml_ids *out);
int ml_ids_put(ml_ids *out, const int32_t *ids, int64_t n);
int ml_ids_span(ml_ids *out, ml_origin span); /* of the id that was put last */

#endif
