/* bpe.c -- encoding: a piece's bytes, the best-ranked pair merged again and again, the leftmost of
** equals first. Short pieces are searched, long ones have a heap, so that a megabyte of one letter
** is as fast as prose. What a piece became is remembered, apart for every thread. */
#include "text/text.h"

#include <string.h>

enum {
  SHORT = 32,          /* symbols: a search is faster than a heap */
  KEPT_BYTES = 48,     /* longest piece to remember */
  KEPT = 1 << 16       /* pieces to remember: then a thread starts over */
};

/* pieces met before: their ids are ids[at[i]] .. ids[at[i + 1]] */
typedef struct { ml_strings pieces; int64_t *at, at_room; ml_ids ids; } memory;

struct ml_bpe {
  ml_pretok *pretok;
  ml_strings ordinary, special;
  int32_t *ordinary_id, *special_id; /* of each string */
  int64_t *number;                   /* of an id: its string; -1 - number for a special one */
  int64_t count;
  int32_t byte[256];
  ml_pairs pairs; /* numbered by rank */
  int32_t *made;  /* by each merge */
  bool begins[256]; /* a special token's text */
  bool ignore_merges;
  memory memory[ML_MAX_THREADS];
};

/* ---- making one ----*/

static int add_tokens(ml_bpe *t, const ml_bpe_spec *spec) {
  for (int64_t i = 0; i < spec->count; i++) {
    bool special = spec->special[i];
    ml_strings *into = special ? &t->special : &t->ordinary;
    int64_t number, had = into->count;
    if (spec->tokens[i].n == 0) return ml_fail(ML_EFORMAT, "token %lld is empty", (long long)i);
    int st = ml_strings_add(into, spec->tokens[i], &number);
    if (st != ML_OK) return st;
    int32_t *ids = special ? t->special_id : t->ordinary_id;
    if (number < had)
      return ml_fail(ML_EFORMAT, "tokens %lld and %lld are the same", (long long)ids[number],
                     (long long)i);
    ids[number] = (int32_t)i;
    t->number[i] = special ? -1 - number : number;
    if (special) t->begins[spec->tokens[i].p[0]] = true;
  }
  for (int b = 0; b < 256; b++) {
    uint8_t c = (uint8_t)b;
    int64_t number = ml_strings_find(&t->ordinary, (ml_bytes){&c, 1});
    if (number < 0) return ml_fail(ML_EFORMAT, "no token for the byte 0x%02X", (unsigned)b);
    t->byte[b] = t->ordinary_id[number];
  }
  return ML_OK;
}

static int add_merge(ml_bpe *t, int64_t i, int32_t a, int32_t b) {
  ml_bytes x, y;
  bool special = false, other = false;
  if (!ml_bpe_token(t, a, &x, &special) || !ml_bpe_token(t, b, &y, &other) || special || other)
    return ml_fail(ML_EFORMAT, "merge %lld is of tokens %d and %d, which are none to merge",
                   (long long)i + 1, a, b);
  int64_t number;
  int st = ml_pairs_add(&t->pairs, ml_pair(a, b), &number);
  if (st != ML_OK) return st;
  if (number != i)
    return ml_fail(ML_EFORMAT, "merges %lld and %lld are the same", (long long)number + 1,
                   (long long)i + 1);
  uint8_t *text = ml_alloc(x.n + y.n);
  if (!text) return ML_ENOMEM;
  memcpy(text, x.p, x.n), memcpy(text + x.n, y.p, y.n);
  int64_t made = ml_strings_find(&t->ordinary, (ml_bytes){text, x.n + y.n});
  ml_free(text);
  if (made < 0)
    return ml_fail(ML_EFORMAT, "merge %lld makes a token that is not there", (long long)i + 1);
  t->made[i] = t->ordinary_id[made];
  return ML_OK;
}

int ml_bpe_new(ml_bpe **out, const ml_bpe_spec *spec) {
  ml_bpe *t = ml_alloc0(sizeof *t);
  if (!t) return ML_ENOMEM;
  size_t n = (size_t)spec->count + 1;
  t->count = spec->count, t->ignore_merges = spec->ignore_merges;
  t->ordinary_id = ml_alloc(n * sizeof *t->ordinary_id);
  t->special_id = ml_alloc(n * sizeof *t->special_id);
  t->number = ml_alloc(n * sizeof *t->number);
  t->made = ml_alloc((size_t)(spec->merge_count + 1) * sizeof *t->made);
  int st = t->ordinary_id && t->special_id && t->number && t->made ? ML_OK : ML_ENOMEM;
  if (st == ML_OK) st = add_tokens(t, spec);
  for (int64_t i = 0; i < spec->merge_count && st == ML_OK; i++)
    st = add_merge(t, i, spec->merges[2 * i], spec->merges[2 * i + 1]);
  if (st == ML_OK) st = ml_pretok_new(&t->pretok, spec->pattern, spec->pattern_size);
  if (st != ML_OK) ml_bpe_free(t);
  else *out = t;
  return st;
}

static void forget(memory *m) {
  ml_strings_free(&m->pieces), ml_free(m->at), ml_free(m->ids.ids);
  *m = (memory){0};
}

void ml_bpe_free(ml_bpe *t) {
  if (!t) return;
  for (int i = 0; i < ML_MAX_THREADS; i++) forget(&t->memory[i]);
  ml_strings_free(&t->ordinary), ml_strings_free(&t->special);
  ml_pairs_free(&t->pairs);
  ml_pretok_free(t->pretok);
  ml_free(t->ordinary_id), ml_free(t->special_id), ml_free(t->number), ml_free(t->made);
  ml_free(t);
}

int64_t ml_bpe_count(const ml_bpe *t) { return t->count; }

bool ml_bpe_token(const ml_bpe *t, int64_t id, ml_bytes *token, bool *special) {
  if (id < 0 || id >= t->count) return false;
  int64_t n = t->number[id];
  *special = n < 0;
  *token = n < 0 ? ml_strings_at(&t->special, -1 - n) : ml_strings_at(&t->ordinary, n);
  return true;
}

int64_t ml_bpe_find(const ml_bpe *t, ml_bytes token, bool special) {
  int64_t n = ml_strings_find(special ? &t->special : &t->ordinary, token);
  return n < 0 ? -1 : special ? t->special_id[n] : t->ordinary_id[n];
}

/* ---- merging a piece ---- */

static int put(ml_ids *out, const int32_t *ids, int64_t n) {
  int st = ml_room((void **)&out->ids, &out->room, out->n + n, sizeof *ids);
  if (st != ML_OK) return st;
  memcpy(out->ids + out->n, ids, (size_t)n * sizeof *ids);
  out->n += n;
  return ML_OK;
}

/* the rank of a pair; beyond all where it is none */
static int64_t rank_of(const ml_bpe *t, int32_t a, int32_t b) {
  int64_t rank = ml_pairs_find(&t->pairs, ml_pair(a, b));
  return rank < 0 ? INT64_MAX : rank;
}

static int merge_short(const ml_bpe *t, ml_bytes s, ml_ids *out) {
  int32_t id[SHORT];
  int64_t rank[SHORT], n = (int64_t)s.n;
  for (int64_t i = 0; i < n; i++) id[i] = t->byte[s.p[i]];
  for (int64_t i = 0; i + 1 < n; i++) rank[i] = rank_of(t, id[i], id[i + 1]);
  for (;;) {
    int64_t best = 0;
    for (int64_t i = 1; i + 1 < n; i++)
      if (rank[i] < rank[best]) best = i;
    if (n < 2 || rank[best] == INT64_MAX) break;
    id[best] = t->made[rank[best]];
    for (int64_t i = best + 1; i + 1 < n; i++) id[i] = id[i + 1], rank[i] = rank[i + 1];
    n--;
    if (best > 0) rank[best - 1] = rank_of(t, id[best - 1], id[best]);
    if (best + 1 < n) rank[best] = rank_of(t, id[best], id[best + 1]);
  }
  return put(out, id, n);
}

/* a piece as a list; `at` of the heap is where a pair begins, rank what it was when it went in */
typedef struct { int64_t before, after; int32_t id; } link;
typedef struct { int64_t rank, at; } pair_entry;
typedef struct { link *links; pair_entry *heap; int64_t n, room; } chain;

static bool sooner(pair_entry a, pair_entry b) {
  return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static int chain_push(chain *c, pair_entry e) {
  if (e.rank == INT64_MAX) return ML_OK;
  int st = ml_room((void **)&c->heap, &c->room, c->n + 1, sizeof *c->heap);
  if (st != ML_OK) return st;
  int64_t i = c->n++;
  for (; i > 0 && sooner(e, c->heap[(i - 1) / 2]); i = (i - 1) / 2)
    c->heap[i] = c->heap[(i - 1) / 2];
  c->heap[i] = e;
  return ML_OK;
}

static pair_entry chain_pop(chain *c) {
  pair_entry top = c->heap[0], last = c->heap[--c->n];
  int64_t i = 0;
  for (int64_t k = 1; k < c->n; k = 2 * i + 1) {
    if (k + 1 < c->n && sooner(c->heap[k + 1], c->heap[k])) k++;
    if (!sooner(c->heap[k], last)) break;
    c->heap[i] = c->heap[k];
    i = k;
  }
  if (c->n > 0) c->heap[i] = last;
  return top;
}

static int push_at(const ml_bpe *t, chain *c, int64_t at) {
  if (at < 0 || c->links[at].after < 0) return ML_OK;
  int64_t rank = rank_of(t, c->links[at].id, c->links[c->links[at].after].id);
  return chain_push(c, (pair_entry){rank, at});
}

static int merge_chain(const ml_bpe *t, chain *c) {
  int st = ML_OK;
  while (st == ML_OK && c->n > 0) {
    pair_entry e = chain_pop(c);
    link *a = &c->links[e.at];
    if (a->id < 0 || a->after < 0) continue;
    link *b = &c->links[a->after];
    if (rank_of(t, a->id, b->id) != e.rank) continue; /* something else stands here by now */
    a->id = t->made[e.rank];
    a->after = b->after;
    if (b->after >= 0) c->links[b->after].before = e.at;
    b->id = -1;
    st = push_at(t, c, a->before);
    if (st == ML_OK) st = push_at(t, c, e.at);
  }
  return st;
}

static int merge_long(const ml_bpe *t, ml_bytes s, ml_ids *out) {
  chain c = {0};
  int64_t n = (int64_t)s.n, room;
  if (!ml_mul_ok(n, sizeof *c.links, &room)) return ml_fail(ML_ENOMEM, "text: a piece too long");
  c.links = ml_alloc((size_t)room);
  int st = c.links ? ML_OK : ML_ENOMEM;
  for (int64_t i = 0; i < n && st == ML_OK; i++)
    c.links[i] = (link){i - 1, i + 1 < n ? i + 1 : -1, t->byte[s.p[i]]};
  for (int64_t i = 0; i + 1 < n && st == ML_OK; i++) st = push_at(t, &c, i);
  if (st == ML_OK) st = merge_chain(t, &c);
  for (int64_t i = 0; i >= 0 && st == ML_OK; i = c.links[i].after) st = put(out, &c.links[i].id, 1);
  ml_free(c.links), ml_free(c.heap);
  return st;
}

static int merge_piece(const ml_bpe *t, ml_bytes s, ml_ids *out) {
  if (t->ignore_merges) {
    int64_t number = ml_strings_find(&t->ordinary, s);
    if (number >= 0) return put(out, &t->ordinary_id[number], 1);
  }
  return s.n <= SHORT ? merge_short(t, s, out) : merge_long(t, s, out);
}

/* ---- a text ---- */

typedef struct { ml_bpe *t; memory *memory; ml_ids *out; } encoding;

static int remember(memory *m, ml_bytes s, const int32_t *ids, int64_t n) {
  int64_t number;
  if (m->pieces.count >= KEPT) forget(m);
  int st = ml_room((void **)&m->at, &m->at_room, m->pieces.count + 2, sizeof *m->at);
  if (st == ML_OK) st = put(&m->ids, ids, n);
  if (st == ML_OK) st = ml_strings_add(&m->pieces, s, &number);
  if (st != ML_OK) return st;
  m->at[number] = m->ids.n - n, m->at[number + 1] = m->ids.n;
  return ML_OK;
}

static int encode_piece(void *ctx, ml_bytes s) {
  encoding *e = ctx;
  memory *m = e->memory;
  if (s.n == 1) return put(e->out, &e->t->byte[s.p[0]], 1);
  if (s.n > KEPT_BYTES) return merge_piece(e->t, s, e->out);
  int64_t number = ml_strings_find(&m->pieces, s);
  if (number >= 0)
    return put(e->out, m->ids.ids + m->at[number], m->at[number + 1] - m->at[number]);
  int64_t from = e->out->n;
  int st = merge_piece(e->t, s, e->out);
  return st == ML_OK ? remember(m, s, e->out->ids + from, e->out->n - from) : st;
}

/* the longest special token that begins here; -1: none */
static int64_t special_at(const ml_bpe *t, ml_bytes s, size_t at, size_t *size) {
  int64_t best = -1;
  *size = 0;
  if (!t->begins[s.p[at]]) return -1;
  for (int64_t i = 0; i < t->special.count; i++) {
    ml_bytes x = ml_strings_at(&t->special, i);
    if (x.n > *size && x.n <= s.n - at && memcmp(x.p, s.p + at, x.n) == 0) best = i, *size = x.n;
  }
  return best;
}

int ml_bpe_encode(ml_bpe *t, int worker, ml_bytes s, bool special, ml_ids *out) {
  encoding e = {t, &t->memory[worker], out};
  size_t from = 0, at = 0, size;
  int st = ML_OK;
  for (; special && st == ML_OK && at < s.n;) {
    int64_t found = special_at(t, s, at, &size);
    if (found < 0) {
      at++;
      continue;
    }
    st = ml_pretok_each(t->pretok, worker, (ml_bytes){s.p + from, at - from}, encode_piece, &e);
    if (st == ML_OK) st = put(out, &t->special_id[found], 1);
    from = at += size;
  }
  if (st != ML_OK) return st;
  return ml_pretok_each(t->pretok, worker, (ml_bytes){s.p + from, s.n - from}, encode_piece, &e);
}

typedef struct { ml_bpe *t; const ml_bytes *texts; bool special; ml_ids *out; int *status; } batch;

static void encode_task(void *ctx, int64_t i, int worker) {
  const batch *b = ctx;
  b->status[i] = ml_bpe_encode(b->t, worker, b->texts[i], b->special, &b->out[i]);
}

int ml_bpe_encode_all(ml_bpe *t, const ml_bytes *texts, int64_t n, bool special, ml_ids *out) {
  int *status = ml_alloc((size_t)(n + 1) * sizeof *status);
  if (!status) return ML_ENOMEM;
  batch b = {t, texts, special, out, status};
  ml_parallel(n, encode_task, &b);
  int st = ML_OK;
  for (int64_t i = 0; i < n && st == ML_OK; i++)
    if (status[i] != ML_OK) { /* messages belong to threads: fail once more in this one */
      out[i].n = 0;
      st = ml_bpe_encode(t, 0, texts[i], special, &out[i]);
    }
  ml_free(status);
  return st;
}
