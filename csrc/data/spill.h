/* spill.h -- what does not fit into memory while documents are compared: bytes put aside, and
** (key, value) pairs brought together by key. Both use files without a name. */
#ifndef ML_SPILL_H
#define ML_SPILL_H

#include "base/base.h"

/* ---- spill.c ---- */
typedef struct ml_spill ml_spill;
int ml_spill_new(ml_spill **out, const char *dir);
void ml_spill_free(ml_spill *s); /* accepts NULL */
int ml_spill_put(ml_spill *s, const void *p, size_t n, int64_t *at); /* *at: where it is */
int ml_spill_get(ml_spill *s, int64_t at, void *p, size_t n);
int64_t ml_spill_size(const ml_spill *s);

/* ---- groups.c: pairs are added, then the values of each key that came more than once are given,
** ascending. Keys are hashes: their high bits must vary. Memory is a 64th of all pairs, and 260 kB;
** few pairs never touch a file. ---- */
typedef struct ml_groups ml_groups;
int ml_groups_new(ml_groups **out, const char *dir);
void ml_groups_free(ml_groups *g); /* accepts NULL */
int ml_groups_add(ml_groups *g, uint64_t key, int64_t value);
/* the next group, good until the next call; *n is 0 after the last. No more can be added then. */
int ml_groups_next(ml_groups *g, uint64_t *key, const int64_t **values, int64_t *n);

#endif
