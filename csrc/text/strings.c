/* strings.c -- distinct byte strings and pairs of ids, numbered in the order they came: open
** addressing over growing arrays. */
#include "text/text.h"

#include <string.h>

int ml_room(void **p, int64_t *have, int64_t need, int64_t size) {
  if (need <= *have) return ML_OK;
  int64_t want = *have + *have / 2 > need ? *have + *have / 2 : need, bytes;
  if (want < 16) want = 16;
  if (!ml_mul_ok(want, size, &bytes)) return ml_fail(ML_ENOMEM, "text: too much of it");
  void *q = ml_alloc((size_t)bytes);
  if (!q) return ML_ENOMEM;
  if (*p) memcpy(q, *p, (size_t)(*have * size));
  ml_free(*p);
  *p = q, *have = want;
  return ML_OK;
}

static uint64_t mix(uint64_t h) {
  h ^= h >> 32;
  h *= 0xd6e8feb86659fd93u;
  return h ^ h >> 32;
}

uint64_t ml_strings_hash(ml_bytes s) {
  uint64_t h = 0x9e3779b97f4a7c15u ^ s.n;
  size_t i = 0;
  for (; i + 8 <= s.n; i += 8) {
    uint64_t w;
    memcpy(&w, s.p + i, 8);
    h = mix(h ^ w) * 0x9e3779b97f4a7c15u;
  }
  for (; i < s.n; i++) h = (h ^ s.p[i]) * 0x100000001b3u;
  return mix(h);
}

/* a power of two of slots, at most half of them in use; hash_at gives each number's hash */
#define GROW(t, hash_at)                                                                           \
  do {                                                                                             \
    int64_t slots = (t)->slots ? (t)->slots * 2 : 64;                                              \
    int64_t *slot = ml_alloc0((size_t)slots * sizeof *slot);                                       \
    if (!slot) return ML_ENOMEM;                                                                   \
    for (int64_t i = 0; i < (t)->count; i++) {                                                     \
      uint64_t at = (hash_at) & (uint64_t)(slots - 1);                                             \
      while (slot[at]) at = (at + 1) & (uint64_t)(slots - 1);                                      \
      slot[at] = i + 1;                                                                            \
    }                                                                                              \
    ml_free((t)->slot);                                                                            \
    (t)->slot = slot, (t)->slots = slots;                                                          \
  } while (0)

/* ---- strings ---- */

ml_bytes ml_strings_at(const ml_strings *t, int64_t number) {
  int64_t at = t->start[number];
  return (ml_bytes){t->text + at, (size_t)(t->start[number + 1] - at)};
}

/* the slot of a string: where it is, or where it would go */
static uint64_t slot_of(const ml_strings *t, ml_bytes s, uint64_t h) {
  uint64_t mask = (uint64_t)(t->slots - 1), at = h & mask;
  for (; t->slot[at]; at = (at + 1) & mask) {
    int64_t i = t->slot[at] - 1;
    if (t->hash[i] != h) continue;
    ml_bytes have = ml_strings_at(t, i);
    if (have.n == s.n && memcmp(have.p, s.p, s.n) == 0) break;
  }
  return at;
}

int64_t ml_strings_find(const ml_strings *t, ml_bytes s) {
  return t->slots ? t->slot[slot_of(t, s, ml_strings_hash(s))] - 1 : -1;
}

static int strings_room(ml_strings *t, size_t bytes) {
  int64_t room = t->room;
  int st = ml_room((void **)&t->hash, &room, t->count + 1, sizeof *t->hash);
  if (st != ML_OK) return st;
  int64_t starts = t->room ? t->room + 1 : 0;
  if (room != t->room) {
    st = ml_room((void **)&t->start, &starts, room + 1, sizeof *t->start);
    if (st != ML_OK) return st; /* hash has more room than we say: harmless */
    if (t->room == 0) t->start[0] = 0;
    t->room = room;
  }
  return ml_room((void **)&t->text, &t->room_bytes, t->bytes + (int64_t)bytes, 1);
}

int ml_strings_add(ml_strings *t, ml_bytes s, int64_t *number) {
  if (t->count * 2 >= t->slots) GROW(t, t->hash[i]);
  uint64_t h = ml_strings_hash(s), at = slot_of(t, s, h);
  *number = t->slot[at] - 1;
  if (*number >= 0) return ML_OK;
  int st = strings_room(t, s.n);
  if (st != ML_OK) return st;
  if (s.n > 0) memcpy(t->text + t->bytes, s.p, s.n);
  t->bytes += (int64_t)s.n;
  t->hash[t->count] = h;
  t->start[++t->count] = t->bytes;
  t->slot[at] = t->count;
  *number = t->count - 1;
  return ML_OK;
}

void ml_strings_free(ml_strings *t) {
  ml_free(t->slot), ml_free(t->start), ml_free(t->hash), ml_free(t->text);
  *t = (ml_strings){0};
}

/* ---- pairs ---- */

static uint64_t pair_slot(const ml_pairs *t, uint64_t pair) {
  uint64_t mask = (uint64_t)(t->slots - 1), at = mix(pair * 0x9e3779b97f4a7c15u) & mask;
  while (t->slot[at] && t->key[t->slot[at] - 1] != pair) at = (at + 1) & mask;
  return at;
}

int64_t ml_pairs_find(const ml_pairs *t, uint64_t pair) {
  return t->slots ? t->slot[pair_slot(t, pair)] - 1 : -1;
}

int ml_pairs_add(ml_pairs *t, uint64_t pair, int64_t *number) {
  if (t->count * 2 >= t->slots) GROW(t, mix(t->key[i] * 0x9e3779b97f4a7c15u));
  uint64_t at = pair_slot(t, pair);
  *number = t->slot[at] - 1;
  if (*number >= 0) return ML_OK;
  int st = ml_room((void **)&t->key, &t->room, t->count + 1, sizeof *t->key);
  if (st != ML_OK) return st;
  t->key[t->count++] = pair;
  t->slot[at] = t->count;
  *number = t->count - 1;
  return ML_OK;
}

void ml_pairs_free(ml_pairs *t) {
  ml_free(t->slot), ml_free(t->key);
  *t = (ml_pairs){0};
}
