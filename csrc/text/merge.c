/* merge.c -- a piece's symbols, the best-ranked pair merged again and again, the leftmost of equals
** first. Short pieces are searched, long ones have a heap, so that a megabyte of one letter is as
** fast as prose. What a short piece became is remembered, apart for every thread. */
#include "text/merge.h"

#include <string.h>

enum { SHORT = 32, MEMO_BYTES = 23, MEMO_IDS = 9, MEMOS = 1 << 14, NONE = INT32_MAX, FREE = -1 };

int ml_ids_put(ml_ids *out, const int32_t *ids, int64_t n) {
  if (n == 0) return ML_OK;
  int st = ml_room((void **)&out->ids, &out->room, out->n + n, sizeof *ids);
  if (st != ML_OK) return st;
  memcpy(out->ids + out->n, ids, (size_t)n * sizeof *ids);
  out->n += n;
  return ML_OK;
}

int ml_ids_span(ml_ids *out, ml_origin span) {
  int st = ml_room((void **)&out->spans, &out->span_room, out->n, sizeof *out->spans);
  if (st == ML_OK) out->spans[out->n - 1] = span;
  return st;
}

void ml_lane_free(ml_lane *t) {
  ml_free(t->memo), ml_free(t->id), ml_free(t->size), ml_free(t->next), ml_free(t->last);
  ml_free(t->heap);
  *t = (ml_lane){0};
}

static int32_t rank_of(const ml_vocab *v, int32_t a, int32_t b) {
  const ml_rule *r = ml_vocab_rule(v, a, b);
  return r->a < 0 ? NONE : r->rank;
}

/* ---- symbols ---- */

static void add_symbol(ml_lane *l, int32_t id, size_t size) {
  l->id[l->n] = id, l->size[l->n++] = (int32_t)size;
}

static int32_t find_char(const ml_vocab *v, const uint8_t *p, size_t size) {
  if (size == 1) return v->start[*p];
  int64_t number = ml_strings_find(&v->ordinary, (ml_bytes){p, size});
  return number < 0 ? -1 : v->ordinary_id[number];
}

static bool falls_back(const ml_vocab *v, const uint8_t *p, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (v->fallback[p[i]] < 0) return false;
  return true;
}

/* Characters, or bytes; the bytes of unknown ones, or the unknown token. A character that is
** none is a byte. `pending` bytes wait to become the unknown token when it is known where they end;
** what is left out counts as part of the next symbol. */
static void any_symbols(const ml_vocab *v, ml_lane *l, const uint8_t *p, size_t n) {
  size_t pending = 0, lost = 0;
  for (size_t i = 0, size; i < n; i += size) {
    size = v->chars ? ml_utf8_size(p + i, n - i) : 1;
    int32_t id = size > 0 ? find_char(v, p + i, size) : -1;
    if (size == 0) size = 1;
    if (id >= 0) {
      if (pending) add_symbol(l, v->unknown, pending);
      add_symbol(l, id, size + lost);
      pending = lost = 0;
    } else if (falls_back(v, p + i, size)) {
      for (size_t k = 0; k < size; k++) add_symbol(l, v->fallback[p[i + k]], 1);
    } else if (v->unknown >= 0) {
      if (pending && !v->fuse) add_symbol(l, v->unknown, pending);
      pending = v->fuse ? pending + size : size;
    } else
      lost += size;
  }
  if (pending) add_symbol(l, v->unknown, pending);
}

static int symbols(const ml_vocab *v, ml_lane *l, const uint8_t *p, size_t n) {
  if (n >= INT32_MAX / 2) return ml_fail(ML_ERANGE, "text: a piece of %zu bytes", n);
  int st = ml_room((void **)&l->id, &l->id_room, (int64_t)n + SHORT, sizeof *l->id);
  if (st == ML_OK)
    st = ml_room((void **)&l->size, &l->size_room, (int64_t)n + SHORT, sizeof *l->id);
  if (st != ML_OK) return st;
  l->n = 0;
  if (v->chars || !v->whole)
    any_symbols(v, l, p, n);
  else
    for (size_t i = 0; i < n; i++) add_symbol(l, v->start[p[i]], 1);
  return ML_OK;
}

/* ---- few: search ---- */

static void merge_few(const ml_vocab *v, ml_lane *l) {
  int32_t rank[SHORT], *id = l->id, *size = l->size;
  int64_t n = l->n;
  for (int64_t i = 0; i + 1 < n; i++) rank[i] = rank_of(v, id[i], id[i + 1]);
  while (n > 1) {
    int64_t best = 0;
    for (int64_t i = 1; i + 1 < n; i++)
      if (rank[i] < rank[best]) best = i;
    if (rank[best] == NONE) break;
    id[best] = ml_vocab_rule(v, id[best], id[best + 1])->id;
    size[best] += size[best + 1];
    n--;
    for (int64_t i = best + 1; i < n; i++)
      id[i] = id[i + 1], size[i] = size[i + 1], rank[i - 1] = rank[i];
    if (best > 0) rank[best - 1] = rank_of(v, id[best - 1], id[best]);
    if (best + 1 < n) rank[best] = rank_of(v, id[best], id[best + 1]);
  }
  l->n = n;
}

/* ---- many: a heap ---- */

static int push(ml_lane *l, uint64_t e) {
  int st = ml_room((void **)&l->heap, &l->heap_room, l->heap_n + 1, sizeof *l->heap);
  if (st != ML_OK) return st;
  int64_t i = l->heap_n++;
  for (; i > 0 && e < l->heap[(i - 1) / 2]; i = (i - 1) / 2) l->heap[i] = l->heap[(i - 1) / 2];
  l->heap[i] = e;
  return ML_OK;
}

static uint64_t pop(ml_lane *l) {
  uint64_t top = l->heap[0], e = l->heap[--l->heap_n];
  int64_t i = 0;
  for (int64_t c = 1; c < l->heap_n; c = 2 * i + 1) {
    if (c + 1 < l->heap_n && l->heap[c + 1] < l->heap[c]) c++;
    if (l->heap[c] >= e) break;
    l->heap[i] = l->heap[c];
    i = c;
  }
  l->heap[i] = e;
  return top;
}

/* the pair at place i, if there is a rule for it */
static int push_pair(const ml_vocab *v, ml_lane *l, int32_t i) {
  int32_t k = i < 0 ? FREE : l->next[i];
  if (k < 0) return ML_OK;
  int32_t rank = rank_of(v, l->id[i], l->id[k]);
  return rank == NONE ? ML_OK : push(l, (uint64_t)rank << 32 | (uint32_t)i);
}

static int lay_out(const ml_vocab *v, ml_lane *l) {
  int32_t n = (int32_t)l->n;
  int st = ml_room((void **)&l->next, &l->next_room, n, sizeof *l->next);
  if (st == ML_OK) st = ml_room((void **)&l->last, &l->last_room, n, sizeof *l->last);
  if (st != ML_OK) return st;
  for (int32_t i = 0; i < n; i++) l->next[i] = i + 1 < n ? i + 1 : FREE, l->last[i] = i - 1;
  l->heap_n = 0;
  for (int32_t i = 0; i + 1 < n && st == ML_OK; i++) st = push_pair(v, l, i);
  return st;
}

static int merge_many(const ml_vocab *v, ml_lane *l) {
  int st = lay_out(v, l);
  while (st == ML_OK && l->heap_n > 0) {
    uint64_t e = pop(l);
    int32_t i = (int32_t)(e & 0xffffffffu), k = l->id[i] < 0 ? FREE : l->next[i];
    if (k < 0) continue;
    const ml_rule *r = ml_vocab_rule(v, l->id[i], l->id[k]);
    if (r->a < 0 || (uint64_t)r->rank != e >> 32) continue; /* something else stands here by now */
    l->id[i] = r->id, l->id[k] = FREE;
    l->size[i] += l->size[k];
    l->next[i] = l->next[k];
    if (l->next[k] >= 0) l->last[l->next[k]] = i;
    st = push_pair(v, l, l->last[i]);
    if (st == ML_OK) st = push_pair(v, l, i);
  }
  int64_t n = 0;
  for (int32_t i = l->n > 0 ? 0 : FREE; i >= 0 && st == ML_OK; i = l->next[i])
    l->id[n] = l->id[i], l->size[n++] = l->size[i]; /* n <= i: nothing unread is written over */
  l->n = n;
  return st;
}

/* ---- a piece ---- */

static int merge(const ml_vocab *v, ml_lane *l, const uint8_t *p, size_t n) {
  int64_t whole = v->ignore_merges ? ml_strings_find(&v->ordinary, (ml_bytes){p, n}) : -1;
  int st = symbols(v, l, p, whole >= 0 ? 0 : n);
  if (st != ML_OK) return st;
  if (whole >= 0)
    add_symbol(l, v->ordinary_id[whole], n);
  else if (l->n > SHORT)
    return merge_many(v, l);
  else
    merge_few(v, l);
  return ML_OK;
}

static int put_spans(const ml_lane *l, const ml_piece *s, ml_ids *out) {
  size_t at = 0;
  int st = ML_OK;
  for (int64_t i = 0; i < l->n && st == ML_OK; i++) {
    size_t end = at + (size_t)l->size[i];
    st = ml_ids_put(out, &l->id[i], 1);
    if (st == ML_OK) st = ml_ids_span(out, ml_piece_origin(s, at, end));
    at = end;
  }
  return st;
}

/* up to eight bytes as a number, those that are not there as zeros */
static uint64_t word_of(const uint8_t *p, size_t n) {
  uint64_t v;
  uint32_t a, b;
  if (n >= 8) {
    memcpy(&v, p, 8);
    return v;
  }
  if (n >= 4) {
    memcpy(&a, p, 4), memcpy(&b, p + n - 4, 4);
    return a | (uint64_t)b << 8 * (n - 4);
  }
  if (n == 0) return 0;
  return p[0] | (uint64_t)p[n >> 1] << 8 * (n >> 1) | (uint64_t)p[n - 1] << 8 * (n - 1);
}

static int merge_memo(const ml_vocab *v, ml_lane *l, const uint8_t *p, size_t n, ml_ids *out) {
  uint64_t a = word_of(p, n), b = n > 8 ? word_of(p + 8, n - 8) : 0;
  uint64_t c = (n > 16 ? word_of(p + 16, n - 16) : 0) | (uint64_t)n << 56;
  uint64_t h = (a ^ (b * 0x9fb21c651e98df25u) ^ (c * 0xd6e8feb86659fd93u)) * 0x9e3779b97f4a7c15u;
  ml_memo *m = &l->memo[h >> 50];
  if (m->key[0] == a && m->key[1] == b && m->key[2] == c) return ml_ids_put(out, m->ids, m->n);
  int st = merge(v, l, p, n);
  if (st == ML_OK && l->n <= MEMO_IDS) {
    *m = (ml_memo){{a, b, c}, (int32_t)l->n, {0}};
    memcpy(m->ids, l->id, (size_t)l->n * sizeof *l->id);
  }
  return st == ML_OK ? ml_ids_put(out, l->id, l->n) : st;
}

static int merge_part(const ml_vocab *v, ml_lane *l, const ml_piece *s, bool spans, ml_ids *out) {
  if (s->n <= MEMO_BYTES && !spans) return merge_memo(v, l, s->p, s->n, out);
  int st = merge(v, l, s->p, s->n);
  if (st != ML_OK) return st;
  return spans ? put_spans(l, s, out) : ml_ids_put(out, l->id, l->n);
}

/* U+2581, the mark that stands for a space: where a word begins behind another */
static size_t next_word(const uint8_t *p, size_t n) {
  for (size_t i = 1; i + 2 < n; i++) {
    const uint8_t *q = memchr(p + i, 0xe2, n - 2 - i);
    if (!q) break;
    i = (size_t)(q - p);
    bool mark = q[1] == 0x96 && q[2] == 0x81;
    bool behind = i >= 3 && q[-3] == 0xe2 && q[-2] == 0x96 && q[-1] == 0x81;
    if (mark && !behind) return i;
  }
  return n;
}

int ml_merge_piece(const ml_vocab *v, ml_lane *l, const ml_piece *s, bool spans, ml_ids *out) {
  if (!l->memo && !(l->memo = ml_alloc0(MEMOS * sizeof *l->memo))) return ML_ENOMEM;
  if (!v->marked) return merge_part(v, l, s, spans, out);
  int st = ML_OK;
  for (size_t at = 0, n; at < s->n && st == ML_OK; at += n) {
    n = next_word(s->p + at, s->n - at);
    ml_piece part = ml_piece_part(s, at, at + n);
    st = merge_part(v, l, &part, spans, out);
  }
  return st;
}
