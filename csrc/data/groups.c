/* groups.c -- values brought together by key (spill.h): pairs are parted by the high bits of their
** keys, a part is sorted when its turn comes. */
#include "data/spill.h"

#include <stdlib.h>
#include <string.h>

enum { PARTS = 64, BLOCK = 256 };

typedef struct { uint64_t key; int64_t value; } pair;

typedef struct {
  int64_t *blocks, count, room; /* where BLOCK pairs each are in the file */
  int64_t used;                 /* pairs in the fill */
  pair fill[BLOCK];
} part;

struct ml_groups {
  ml_spill *file; /* made when first wanted */
  char *dir;
  int64_t turn;     /* parts sorted so far; 0 while pairs are added */
  pair *sorted;     /* the part whose turn it is */
  int64_t *values;  /* of it, in the same order */
  int64_t n, at;
  part part[PARTS];
};

int ml_groups_new(ml_groups **out, const char *dir) {
  size_t length = strlen(dir) + 1;
  ml_groups *g = ml_alloc0(sizeof *g);
  if (!g) return ML_ENOMEM;
  g->dir = ml_alloc(length);
  if (!g->dir) return ml_groups_free(g), ML_ENOMEM;
  memcpy(g->dir, dir, length);
  *out = g;
  return ML_OK;
}

static void drop_sorted(ml_groups *g) {
  ml_free(g->sorted), ml_free(g->values);
  g->sorted = NULL, g->values = NULL;
  g->n = g->at = 0;
}

void ml_groups_free(ml_groups *g) {
  if (!g) return;
  for (int i = 0; i < PARTS; i++) ml_free(g->part[i].blocks);
  drop_sorted(g);
  ml_spill_free(g->file);
  ml_free(g->dir), ml_free(g);
}

static int grow(part *p) {
  int64_t room = p->room ? 2 * p->room : 16;
  int64_t *more = ml_alloc((size_t)room * sizeof *more);
  if (!more) return ML_ENOMEM;
  if (p->count) memcpy(more, p->blocks, (size_t)p->count * sizeof *more);
  ml_free(p->blocks);
  p->blocks = more, p->room = room;
  return ML_OK;
}

static int put_aside(ml_groups *g, part *p) {
  int st = g->file ? ML_OK : ml_spill_new(&g->file, g->dir);
  if (st == ML_OK && p->count == p->room) st = grow(p);
  if (st == ML_OK) st = ml_spill_put(g->file, p->fill, sizeof p->fill, &p->blocks[p->count]);
  if (st != ML_OK) return st;
  p->count++;
  p->used = 0;
  return ML_OK;
}

int ml_groups_add(ml_groups *g, uint64_t key, int64_t value) {
  part *p = &g->part[key >> 58];
  if (g->turn) return ml_fail(ML_ESTATE, "groups: nothing can be added once groups were given");
  int st = p->used == BLOCK ? put_aside(g, p) : ML_OK;
  if (st == ML_OK) p->fill[p->used++] = (pair){key, value};
  return st;
}

static int by_key(const void *a, const void *b) {
  const pair *x = a, *y = b;
  if (x->key != y->key) return x->key > y->key ? 1 : -1;
  return (x->value > y->value) - (x->value < y->value);
}

static int gather(ml_groups *g, const part *p) {
  int st = ML_OK;
  for (int64_t i = 0; i < p->count && st == ML_OK; i++)
    st = ml_spill_get(g->file, p->blocks[i], g->sorted + i * BLOCK, sizeof p->fill);
  memcpy(g->sorted + p->count * BLOCK, p->fill, (size_t)p->used * sizeof(pair));
  return st;
}

static int take_part(ml_groups *g, const part *p) {
  int64_t n = p->count * BLOCK + p->used;
  drop_sorted(g);
  g->sorted = ml_alloc((size_t)n * sizeof *g->sorted);
  g->values = ml_alloc((size_t)n * sizeof *g->values);
  if (!g->sorted || !g->values) return ML_ENOMEM;
  int st = gather(g, p);
  if (st != ML_OK) return st;
  qsort(g->sorted, (size_t)n, sizeof *g->sorted, by_key);
  for (int64_t i = 0; i < n; i++) g->values[i] = g->sorted[i].value;
  g->n = n;
  return ML_OK;
}

int ml_groups_next(ml_groups *g, uint64_t *key, const int64_t **values, int64_t *n) {
  for (;;) {
    while (g->at < g->n) {
      int64_t from = g->at++;
      while (g->at < g->n && g->sorted[g->at].key == g->sorted[from].key) g->at++;
      *key = g->sorted[from].key, *values = g->values + from, *n = g->at - from;
      if (*n > 1) return ML_OK;
    }
    if (g->turn == PARTS) break;
    int st = take_part(g, &g->part[g->turn]);
    if (st != ML_OK) return st;
    g->turn++;
  }
  drop_sorted(g);
  *n = 0;
  return ML_OK;
}
