/* bpe.c -- a text on its way to ids: added tokens, the text between them rewritten, added tokens
** that are looked for only then, pieces, merges. */
#include <string.h>

#include "text/merge.h"

struct ml_bpe {
  ml_vocab vocab;
  ml_added raw, normal; /* added tokens, of the text as it came and as it is rewritten */
  ml_steps *rewrite, *cut;
  ml_lane lane[ML_MAX_THREADS];
};

/* ---- making one ---- */

typedef struct {
  ml_bpe *t;
  int32_t id;
  int flags;
} adding;

static int add_rewritten(void *ctx, const ml_piece *s) {
  const adding *a = ctx;
  return s->n > 0 ? ml_added_put(&a->t->normal, (ml_bytes){s->p, s->n}, a->id, a->flags) : ML_OK;
}

static int add_added(ml_bpe *t, const ml_bpe_spec *spec) {
  int st = ML_OK;
  for (int64_t i = 0; i < spec->count && st == ML_OK; i++) {
    int flags = spec->flags ? spec->flags[i] : 0;
    if (!(flags & ML_ADDED)) continue;
    adding a = {t, (int32_t)i, flags};
    ml_piece s = {spec->tokens[i].p, spec->tokens[i].n, 0, NULL, false};
    bool rewritten = spec->normal && spec->normal[i];
    st = rewritten ? ml_steps_run(t->rewrite, 0, &s, false, add_rewritten, &a)
                   : ml_added_put(&t->raw, spec->tokens[i], a.id, flags);
  }
  return st;
}

int ml_bpe_new(ml_bpe **out, const ml_bpe_spec *spec) {
  ml_bpe *t = ml_alloc0(sizeof *t);
  if (!t) return ML_ENOMEM;
  int st = ml_vocab_new(&t->vocab, spec);
  if (st == ML_OK) st = ml_steps_new(&t->rewrite, spec->rewrite, spec->rewrites);
  if (st == ML_OK) st = ml_steps_new(&t->cut, spec->cut, spec->cuts);
  if (st == ML_OK) st = add_added(t, spec);
  if (st != ML_OK)
    ml_bpe_free(t);
  else
    *out = t;
  return st;
}

void ml_bpe_free(ml_bpe *t) {
  if (!t) return;
  for (int i = 0; i < ML_MAX_THREADS; i++) ml_lane_free(&t->lane[i]);
  ml_vocab_free(&t->vocab);
  ml_added_free(&t->raw), ml_added_free(&t->normal);
  ml_steps_free(t->rewrite), ml_steps_free(t->cut);
  ml_free(t);
}

int64_t ml_bpe_count(const ml_bpe *t) { return t->vocab.count; }

bool ml_bpe_token(const ml_bpe *t, int64_t id, ml_bytes *token, ml_bytes *shown, int *kind) {
  return ml_vocab_token(&t->vocab, id, token, shown, kind);
}

int64_t ml_bpe_find(const ml_bpe *t, ml_bytes token, bool added) {
  const ml_vocab *v = &t->vocab;
  int64_t n = ml_strings_find(added ? &v->added : &v->ordinary, token);
  return n < 0 ? -1 : added ? v->added_id[n] : v->ordinary_id[n];
}

const int32_t *ml_bpe_merges(const ml_bpe *t, int64_t *count) {
  *count = t->vocab.merge_count;
  return t->vocab.merges;
}

/* ---- a text ---- */

typedef struct {
  ml_bpe *t;
  int worker;
  ml_encode_options o;
  ml_ids *out;
} encoding;

static int encode_piece(void *ctx, const ml_piece *s) {
  encoding *e = ctx;
  return ml_merge_piece(&e->t->vocab, &e->t->lane[e->worker], s, e->o.spans, e->out);
}

static int put_added(encoding *e, const ml_piece *s, int32_t id) {
  int st = ml_ids_put(e->out, &id, 1);
  return st == ML_OK && e->o.spans ? ml_ids_span(e->out, ml_piece_origin(s, 0, s->n)) : st;
}

static int cut_part(void *ctx, const ml_piece *s, int32_t id) {
  encoding *e = ctx;
  if (id >= 0) return put_added(e, s, id);
  return ml_steps_run(e->t->cut, e->worker, s, e->o.spans, encode_piece, e);
}

static int find_rewritten(void *ctx, const ml_piece *s) {
  encoding *e = ctx;
  return ml_added_split(&e->t->normal, s, e->o.special, cut_part, e);
}

static int rewrite_part(void *ctx, const ml_piece *s, int32_t id) {
  encoding *e = ctx;
  if (id >= 0) return put_added(e, s, id);
  return ml_steps_run(e->t->rewrite, e->worker, s, e->o.spans, find_rewritten, e);
}

int ml_bpe_encode(ml_bpe *t, int worker, ml_bytes text, ml_encode_options o, ml_ids *out) {
  encoding e = {t, worker, o, out};
  ml_piece whole = {text.p, text.n, 0, NULL, false};
  return ml_added_split(&t->raw, &whole, o.special, rewrite_part, &e);
}

typedef struct {
  ml_bpe *t;
  const ml_bytes *texts;
  ml_encode_options o;
  ml_ids *out;
  int *status;
} batch;

static void encode_task(void *ctx, int64_t i, int worker) {
  const batch *b = ctx;
  b->status[i] = ml_bpe_encode(b->t, worker, b->texts[i], b->o, &b->out[i]);
}

int ml_bpe_encode_all(ml_bpe *t, const ml_bytes *texts, int64_t n, ml_encode_options o,
                      ml_ids *out) {
  int *status = ml_alloc((size_t)(n + 1) * sizeof *status);
  if (!status) return ML_ENOMEM;
  batch b = {t, texts, o, out, status};
  ml_parallel(n, encode_task, &b);
  int st = ML_OK;
  for (int64_t i = 0; i < n && st == ML_OK; i++)
    if (status[i] != ML_OK) { /* messages belong to threads: fail once more in this one */
      out[i].n = 0;
      st = ml_bpe_encode(t, 0, texts[i], o, &out[i]);
    }
  ml_free(status);
  return st;
}
