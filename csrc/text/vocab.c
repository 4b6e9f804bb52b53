/* vocab.c -- tokens by id and by their bytes, and the rules by which two make a third. */
#include <stdlib.h>
#include <string.h>

#include "text/merge.h"

static const uint8_t MARK[3] = {0xe2, 0x96, 0x81};

static bool is_ordinary(int kind) { return kind == ML_TOKEN_ORDINARY; }

bool ml_vocab_token(const ml_vocab *t, int64_t id, ml_bytes *token, ml_bytes *shown, int *kind) {
  if (id < 0 || id >= t->count) return false;
  const ml_strings *in = is_ordinary(t->kind[id]) ? &t->ordinary : &t->added;
  if (token) *token = ml_strings_at(in, t->number[id]);
  if (shown)
    *shown = (ml_bytes){t->shown + t->show_at[id], (size_t)(t->show_at[id + 1] - t->show_at[id])};
  if (kind) *kind = t->kind[id];
  return true;
}

/* ---- tokens ---- */

static int add_token(ml_vocab *t, const ml_bpe_spec *spec, int64_t id) {
  bool ordinary = is_ordinary(spec->kinds[id]);
  ml_strings *into = ordinary ? &t->ordinary : &t->added;
  int32_t *ids = ordinary ? t->ordinary_id : t->added_id;
  int64_t number, had = into->count;
  if (spec->tokens[id].n == 0) return ml_fail(ML_EFORMAT, "token %lld is empty", (long long)id);
  int st = ml_strings_add(into, spec->tokens[id], &number);
  if (st != ML_OK) return st;
  if (number < had)
    return ml_fail(ML_EFORMAT, "tokens %lld and %lld are the same", (long long)ids[number],
                   (long long)id);
  ids[number] = (int32_t)id;
  t->number[id] = number, t->kind[id] = spec->kinds[id];
  return ML_OK;
}

static ml_bytes shown_of(const ml_bpe_spec *spec, int64_t id) {
  return spec->shown && spec->shown[id].p ? spec->shown[id] : spec->tokens[id];
}

static int add_tokens(ml_vocab *t, const ml_bpe_spec *spec) {
  int64_t room = 0, n = 0;
  int st = ML_OK;
  for (int64_t i = 0; i < spec->count && st == ML_OK; i++) {
    ml_bytes s = shown_of(spec, i);
    st = add_token(t, spec, i);
    if (st == ML_OK) st = ml_room((void **)&t->shown, &room, n + (int64_t)s.n, 1);
    if (st != ML_OK) break;
    if (s.n > 0) memcpy(t->shown + n, s.p, s.n);
    t->show_at[i + 1] = n += (int64_t)s.n;
  }
  return st;
}

static int find_starts(ml_vocab *t, const ml_bpe_spec *spec) {
  t->whole = true;
  for (int b = 0; b < 256; b++) {
    uint8_t c = (uint8_t)b;
    int64_t number = ml_strings_find(&t->ordinary, (ml_bytes){&c, 1});
    t->start[b] = number < 0 ? -1 : t->ordinary_id[number];
    t->whole = t->whole && number >= 0;
    t->fallback[b] = spec->fallback ? spec->fallback[b] : -1;
    if (t->fallback[b] >= t->count)
      return ml_fail(ML_EFORMAT, "no token %d for the byte 0x%02X", t->fallback[b], (unsigned)b);
  }
  if (t->unknown >= t->count) return ml_fail(ML_EFORMAT, "no unknown token %d", t->unknown);
  return ML_OK;
}

/* ---- rules ---- */

static ml_rule *slot_of(const ml_vocab *t, int32_t a, int32_t b) {
  uint64_t h = ml_pair(a, b) * 0x9fb21c651e98df25u;
  int64_t mask = t->slots - 1, at = (int64_t)(h ^ h >> 29) & mask;
  while (t->rules[at].a >= 0 && (t->rules[at].a != a || t->rules[at].b != b)) at = (at + 1) & mask;
  return &t->rules[at];
}

const ml_rule *ml_vocab_rule(const ml_vocab *t, int32_t a, int32_t b) { return slot_of(t, a, b); }

enum { NONE = -1, NOT_MERGED = -2, LONGEST = 4096 };

/* the token that a and b make together; NOT_MERGED: one that merges do not make */
static int made_of(const ml_vocab *t, ml_bytes x, ml_bytes y, int32_t *id) {
  uint8_t few[256], *text = x.n + y.n <= sizeof few ? few : ml_alloc(x.n + y.n);
  if (!text) return ML_ENOMEM;
  memcpy(text, x.p, x.n), memcpy(text + x.n, y.p, y.n);
  ml_bytes both = {text, x.n + y.n};
  int64_t made = ml_strings_find(&t->ordinary, both);
  *id = made >= 0                               ? t->ordinary_id[made]
        : ml_strings_find(&t->added, both) >= 0 ? NOT_MERGED
                                                : NONE;
  if (text != few) ml_free(text);
  return ML_OK;
}

/* A rule of special tokens, or one that makes them, is left out: their ids never come from text. */
static int add_rule(ml_vocab *t, int64_t i, int32_t a, int32_t b) {
  ml_bytes x, y;
  int kind[2] = {0};
  int32_t id;
  if (!ml_vocab_token(t, a, &x, NULL, &kind[0]) || !ml_vocab_token(t, b, &y, NULL, &kind[1]))
    return ml_fail(ML_EFORMAT, "merge %lld is of tokens %d and %d, which are not there",
                   (long long)i + 1, a, b);
  ml_rule *r = slot_of(t, a, b);
  if (r->a >= 0)
    return ml_fail(ML_EFORMAT, "merges %d and %lld are the same", r->rank + 1, (long long)i + 1);
  int st = made_of(t, x, y, &id);
  if (st != ML_OK) return st;
  if (id == NONE)
    return ml_fail(ML_EFORMAT, "merge %lld makes a token that is not there", (long long)i + 1);
  if (is_ordinary(kind[0]) && is_ordinary(kind[1]) && id != NOT_MERGED)
    *r = (ml_rule){a, b, (int32_t)i, id};
  return ML_OK;
}

static int room_for_rules(ml_vocab *t, int64_t n) {
  if (n >= INT32_MAX / 4) return ml_fail(ML_EFORMAT, "%lld merges are too many", (long long)n);
  for (t->slots = 16; t->slots < n * 2;) t->slots *= 2;
  t->rules = ml_alloc((size_t)t->slots * sizeof *t->rules);
  t->merges = ml_alloc((size_t)(2 * n + 1) * sizeof *t->merges);
  if (!t->rules || !t->merges) return ML_ENOMEM;
  memset(t->rules, 0xff, (size_t)t->slots * sizeof *t->rules);
  return ML_OK;
}

static int add_rules(ml_vocab *t, const ml_bpe_spec *spec) {
  int st = room_for_rules(t, spec->merge_count);
  for (int64_t i = 0; i < spec->merge_count && st == ML_OK; i++)
    st = add_rule(t, i, spec->merges[2 * i], spec->merges[2 * i + 1]);
  if (st != ML_OK) return st;
  memcpy(t->merges, spec->merges, (size_t)(2 * spec->merge_count) * sizeof *t->merges);
  t->merge_count = spec->merge_count;
  return ML_OK;
}

/* ---- rules that follow from the ids ---- */

static int before(const void *x, const void *y) {
  const int32_t *a = x, *b = y;
  return a[0] != b[0] ? (a[0] < b[0] ? -1 : 1) : (a[1] > b[1]) - (a[1] < b[1]);
}

/* every way to make token `id` of two, into pairs, if there is room: how many */
static int64_t ways(const ml_vocab *t, int32_t id, int32_t *pairs) {
  ml_bytes s;
  int kind = 0;
  int64_t n = 0;
  ml_vocab_token(t, id, &s, NULL, &kind);
  for (size_t i = 1; is_ordinary(kind) && i < s.n; i++) {
    int64_t x = ml_strings_find(&t->ordinary, (ml_bytes){s.p, i});
    int64_t y = x < 0 ? -1 : ml_strings_find(&t->ordinary, (ml_bytes){s.p + i, s.n - i});
    if (y < 0) continue;
    if (pairs) pairs[2 * n] = t->ordinary_id[x], pairs[2 * n + 1] = t->ordinary_id[y];
    n++;
  }
  if (pairs) qsort(pairs, (size_t)n, 2 * sizeof *pairs, before);
  return n;
}

static int derive_rules(ml_vocab *t) {
  int64_t n = 0;
  for (int64_t id = 0; id < t->count; id++) {
    ml_bytes s;
    ml_vocab_token(t, id, &s, NULL, NULL);
    if (s.n > LONGEST) /* the time to find its ways grows with the square */
      return ml_fail(ML_EFORMAT, "token %lld has %zu bytes, more than %d", (long long)id, s.n,
                     LONGEST);
    n += ways(t, (int32_t)id, NULL);
  }
  int st = room_for_rules(t, n);
  for (int64_t id = 0; id < t->count && st == ML_OK; id++) {
    int32_t *pair = t->merges + 2 * t->merge_count;
    int64_t count = ways(t, (int32_t)id, pair);
    for (int64_t i = 0; i < count; i++)
      *slot_of(t, pair[2 * i], pair[2 * i + 1]) =
          (ml_rule){pair[2 * i], pair[2 * i + 1], (int32_t)id, (int32_t)id};
    t->merge_count += count;
  }
  return st;
}

/* ---- words ---- */

/* Whether a word mark begins every token that holds one, but for tokens of marks alone: then what
** stands before a mark never merges with it, and words can be merged apart. */
static bool is_marked(const ml_vocab *t) {
  if (!t->chars || t->ignore_merges || ml_strings_find(&t->ordinary, (ml_bytes){MARK, 3}) < 0)
    return false;
  for (int64_t i = 0; i < t->ordinary.count; i++) {
    ml_bytes s = ml_strings_at(&t->ordinary, i);
    size_t head = 0;
    while (head + 3 <= s.n && memcmp(s.p + head, MARK, 3) == 0) head += 3;
    for (size_t k = head; k + 3 <= s.n; k++)
      if (memcmp(s.p + k, MARK, 3) == 0) return false;
  }
  return true;
}

int ml_vocab_new(ml_vocab *t, const ml_bpe_spec *spec) {
  size_t n = (size_t)spec->count + 1;
  t->count = spec->count, t->chars = spec->chars, t->ignore_merges = spec->ignore_merges;
  t->fuse = spec->fuse, t->unknown = spec->unknown;
  t->ordinary_id = ml_alloc(n * sizeof *t->ordinary_id);
  t->added_id = ml_alloc(n * sizeof *t->added_id);
  t->number = ml_alloc(n * sizeof *t->number);
  t->kind = ml_alloc(n);
  t->show_at = ml_alloc0(n * sizeof *t->show_at);
  if (!t->ordinary_id || !t->added_id || !t->number || !t->kind || !t->show_at) return ML_ENOMEM;
  int st = add_tokens(t, spec);
  if (st == ML_OK) st = find_starts(t, spec);
  if (st == ML_OK) st = spec->by_rank ? derive_rules(t) : add_rules(t, spec);
  if (st == ML_OK) t->marked = is_marked(t);
  return st;
}

void ml_vocab_free(ml_vocab *t) {
  ml_strings_free(&t->ordinary), ml_strings_free(&t->added);
  ml_free(t->ordinary_id), ml_free(t->added_id), ml_free(t->number), ml_free(t->kind);
  ml_free(t->shown), ml_free(t->show_at), ml_free(t->rules), ml_free(t->merges);
  *t = (ml_vocab){0};
}
