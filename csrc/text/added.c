/* added.c -- tokens that stand in a text as they are written: a trie, walked from every place where
** one can begin. Flags widen a match over white space, or want it to be a word of its own. */
#include "text/text.h"

#include <string.h>

enum { LONGEST = 1024 }; /* bytes: what a walk from one place may cost */

static int new_node(ml_added *t, int64_t node) {
  int st = ml_room((void **)&t->token, &t->room, node + 1, sizeof *t->token);
  if (st == ML_OK) t->token[node] = -1;
  return st;
}

int ml_added_put(ml_added *t, ml_bytes text, int32_t id, int flags) {
  if (text.n > LONGEST)
    return ml_fail(ML_EFORMAT, "added token %d has %zu bytes, more than %d", id, text.n, LONGEST);
  int64_t node = 0;
  int st = t->room == 0 ? new_node(t, 0) : ML_OK;
  for (size_t i = 0; i < text.n && st == ML_OK; i++) {
    int64_t had = t->edges.count, edge;
    st = ml_pairs_add(&t->edges, (uint64_t)node << 8 | text.p[i], &edge);
    if (st == ML_OK && edge == had) st = new_node(t, edge + 1);
    node = edge + 1;
  }
  if (st == ML_OK) st = ml_room((void **)&t->id, &t->id_room, t->count + 1, sizeof *t->id);
  if (st == ML_OK) st = ml_room((void **)&t->flags, &t->flag_room, t->count + 1, 1);
  if (st != ML_OK) return st;
  t->id[t->count] = id, t->flags[t->count] = (uint8_t)flags;
  t->token[node] = (int32_t)t->count++;
  t->begins[text.p[0]] = true;
  return ML_OK;
}

void ml_added_free(ml_added *t) {
  ml_pairs_free(&t->edges);
  ml_free(t->token), ml_free(t->id), ml_free(t->flags);
  *t = (ml_added){0};
}

/* the longest token that begins at `at`; -1: none */
static int32_t longest(const ml_added *t, const ml_piece *s, size_t at, size_t *end) {
  int32_t best = -1;
  int64_t node = 0;
  for (size_t i = at; i < s->n; i++) {
    int64_t edge = ml_pairs_find(&t->edges, (uint64_t)node << 8 | s->p[i]);
    if (edge < 0) break;
    node = edge + 1;
    if (t->token[node] >= 0) best = t->token[node], *end = i + 1;
  }
  return best;
}

static bool word_at(const ml_piece *s, size_t at) {
  size_t n = at < s->n ? ml_utf8_size(s->p + at, s->n - at) : 0;
  return n > 0 && ml_utf8_word(ml_utf8_code(s->p + at, n));
}

static bool word_before(const ml_piece *s, size_t at) {
  size_t n = ml_utf8_last((ml_bytes){s->p, at});
  return n > 0 && ml_utf8_word(ml_utf8_code(s->p + at - n, n));
}

static size_t spaces_before(const ml_piece *s, size_t least, size_t at) {
  for (size_t n; at > least; at -= n) {
    n = ml_utf8_last((ml_bytes){s->p, at});
    if (n == 0 || n > at - least || !ml_utf8_space(ml_utf8_code(s->p + at - n, n))) break;
  }
  return at;
}

static size_t spaces_behind(const ml_piece *s, size_t at) {
  for (size_t n; at < s->n; at += n) {
    n = ml_utf8_size(s->p + at, s->n - at);
    if (n == 0 || !ml_utf8_space(ml_utf8_code(s->p + at, n))) break;
  }
  return at;
}

static bool counts(const ml_added *t, int32_t k, const ml_piece *s, size_t at, size_t end,
                   bool special) {
  int flags = t->flags[k];
  if (!special && (flags & ML_ADDED_SPECIAL)) return false;
  return !(flags & ML_ADDED_WORD) || (!word_before(s, at) && !word_at(s, end));
}

static int give(const ml_piece *s, size_t start, size_t end, int32_t id, ml_added_fn *fn,
                void *ctx) {
  if (start >= end) return ML_OK;
  ml_piece part = ml_piece_part(s, start, end);
  return fn(ctx, &part, id);
}

int ml_added_split(const ml_added *t, const ml_piece *s, bool special, ml_added_fn *fn, void *ctx) {
  size_t done = 0;
  int st = ML_OK;
  for (size_t at = 0, end = 0; t->count > 0 && at < s->n && st == ML_OK;) {
    int32_t k = t->begins[s->p[at]] ? longest(t, s, at, &end) : -1;
    if (k < 0) {
      at++;
      continue;
    }
    if (!counts(t, k, s, at, end, special)) { /* text, as a whole */
      at = end;
      continue;
    }
    size_t from = t->flags[k] & ML_ADDED_LEFT ? spaces_before(s, done, at) : at;
    at = end;
    if (t->flags[k] & ML_ADDED_RIGHT) end = spaces_behind(s, end);
    st = give(s, done, from, -1, fn, ctx);
    if (st == ML_OK) st = give(s, from, end, t->id[k], fn, ctx);
    done = end;
  }
  return st == ML_OK ? give(s, done, s->n, -1, fn, ctx) : st;
}
