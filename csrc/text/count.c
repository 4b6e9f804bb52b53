/* count.c -- distinct pieces and how often they came: open addressing over growing arrays. */
#include <string.h>

#include "text/text.h"

static int widen(ml_counts *t) {
  int64_t slots = t->slots ? t->slots * 2 : 4096;
  uint32_t *slot = ml_alloc0((size_t)slots * sizeof *slot);
  if (!slot) return ML_ENOMEM;
  for (int64_t w = 0; w < t->count; w++) {
    uint64_t i = t->word[w].hash & (uint64_t)(slots - 1);
    while (slot[i]) i = (i + 1) & (uint64_t)(slots - 1);
    slot[i] = (uint32_t)w + 1;
  }
  ml_free(t->slot);
  t->slot = slot, t->slots = slots;
  return ML_OK;
}

static int new_word(ml_counts *t, ml_bytes s, uint64_t hash, int64_t times) {
  if (s.n > INT32_MAX || t->count >= UINT32_MAX - 1)
    return ml_fail(ML_ERANGE, "text: a piece of %zu bytes, or 2^32 different ones", s.n);
  int st = ml_room((void **)&t->word, &t->room, t->count + 1, sizeof *t->word);
  if (st == ML_OK) st = ml_room((void **)&t->bytes, &t->bytes_room, t->used + (int64_t)s.n, 1);
  if (st != ML_OK) return st;
  memcpy(t->bytes + t->used, s.p, s.n);
  t->word[t->count++] = (ml_word_count){hash, times, (size_t)t->used, (int32_t)s.n};
  t->used += (int64_t)s.n;
  return ML_OK;
}

int ml_counts_add(ml_counts *t, ml_bytes s, uint64_t hash, int64_t times) {
  if (t->count * 2 >= t->slots && widen(t) != ML_OK) return ML_ENOMEM;
  uint64_t mask = (uint64_t)(t->slots - 1), i = hash & mask;
  for (; t->slot[i]; i = (i + 1) & mask) {
    ml_word_count *w = &t->word[t->slot[i] - 1];
    if (w->hash != hash || (size_t)w->n != s.n || memcmp(t->bytes + w->at, s.p, s.n) != 0) continue;
    w->times += times;
    return ML_OK;
  }
  int st = new_word(t, s, hash, times);
  if (st == ML_OK) t->slot[i] = (uint32_t)t->count;
  return st;
}

int ml_counts_gather(ml_counts *into, ml_counts *from) {
  for (int64_t w = 0; w < from->count; w++) {
    const ml_word_count *x = &from->word[w];
    int st = ml_counts_add(into, (ml_bytes){from->bytes + x->at, (size_t)x->n}, x->hash, x->times);
    if (st != ML_OK) return st;
  }
  ml_counts_free(from);
  return ML_OK;
}

void ml_counts_free(ml_counts *t) {
  ml_free(t->word), ml_free(t->slot), ml_free(t->bytes);
  *t = (ml_counts){0};
}
