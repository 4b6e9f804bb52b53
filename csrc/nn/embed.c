/* embed.c -- token rows become vectors: table, learned positions, norm, dropout; one node.
** Backward sorts the rows by id (stable), so each row of the table is summed in order by one
** task: the same bits on any number of threads. */
#include "nn/inner.h"

#include <stdio.h>
#include <string.h>

enum { GRAIN = 32 };
typedef struct { const ml_plan *p; char *y; } gather_job;

static void gather_rows(void *ctx, int64_t r0, int64_t r1) {
  const gather_job *j = ctx;
  const ml_plan *p = j->p;
  const ml_model *m = p->m;
  int64_t d = m->c.dim, at = r0 * d * m->es;
  m->k->take_rows(j->y, ml_data(m->wte), p->ids, r0, r1, d);
  if (!m->wpe) return;
  m->k->take_rows(p->tmp, ml_data(m->wpe), p->pos64, r0, r1, d);
  m->k->add(j->y + at, j->y + at, 1, p->tmp + at, 1, (r1 - r0) * d);
}

/* y: the sum before norm and dropout; tmp is scratch */
static void gather(const ml_plan *p, char *y) {
  gather_job j = {p, y};
  ml_rows_parallel(p->N, GRAIN, gather_rows, &j);
}

/* the norm after the embedding has neither gain nor bias */
static const ml_norm bare = {NULL, NULL};

/* ---- backward ---- */

typedef struct {
  const ml_model *m;
  char *dw;
  const char *dy;
  const int64_t *order, *start;
  bool add;
} scatter_job;

static void scatter_rows(void *ctx, int64_t r0, int64_t r1) {
  const scatter_job *j = ctx;
  int64_t d = j->m->c.dim;
  char *row = j->dw + r0 * d * j->m->es;
  if (!j->add) j->m->k->fill(row, (r1 - r0) * d, 0);
  for (int64_t r = r0; r < r1; r++) {
    if (j->start[r] < j->start[r + 1])
      j->m->k->add_rows(j->dw + r * d * j->m->es, j->dy, j->order, j->start[r], j->start[r + 1],
                        d);
  }
}

/* Counting sort: order lists the rows by id, start[v] is where id v's rows begin. */
static void sort_rows(const ml_plan *p, const int64_t *id, int64_t count) {
  memset(p->start, 0, (size_t)(count + 1) * sizeof *p->start);
  for (int64_t n = 0; n < p->N; n++) p->start[id[n]]++;
  for (int64_t v = 0, at = 0; v <= count; v++) {
    int64_t here = p->start[v];
    p->start[v] = at;
    at += here;
  }
  for (int64_t n = 0; n < p->N; n++) p->order[p->start[id[n]]++] = n;
  memmove(p->start + 1, p->start, (size_t)count * sizeof *p->start); /* ends are next's starts */
  p->start[0] = 0;
}

static int table_grad(const ml_plan *p, ml_tensor *table, const int64_t *id, const char *dy) {
  if (!ml_wants_grad(table)) return ML_OK;
  ml_tensor *grad;
  bool add;
  int st = ml_grad_slot(table, &grad, &add);
  if (st != ML_OK) return st;
  sort_rows(p, id, table->size[0]);
  scatter_job j = {p->m, ml_data(grad), dy, p->order, p->start, add};
  ml_rows_parallel(table->size[0], GRAIN, scatter_rows, &j);
  ml_dirty(grad);
  return ML_OK;
}

static int embed_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_plan *p = n->ctx;
  ml_model *m = p->m;
  (void)dx; /* no input: ids have no gradient */
  int st = ml_plan_fresh(p, n);
  if (st != ML_OK) return st;
  char *g = ml_data(dy);
  p->stamp++; /* dm, too, lies where the head kept logits */
  if (ml_plan_drops(p)) {
    ml_plan_dropout(p, p->dm, g, 0);
    g = p->dm;
  }
  if (m->c.embed_norm) {
    gather(p, p->sum);
    st = ml_norm_backward(m, &bare, p->dh, g, p->sum, p->N, false, p->partial);
    g = p->dh;
  }
  if (st == ML_OK) st = table_grad(p, m->wte, p->ids, g);
  if (st == ML_OK && m->wpe) st = table_grad(p, m->wpe, p->pos64, g);
  return st;
}

static void embed_release(ml_node *n) { ml_plan_free(n->ctx); }

static const ml_op embed_op = {"embedding", embed_backward, embed_release};

int ml_embed(ml_tensor **out, ml_plan *p) {
  const ml_model *m = p->m;
  ml_tensor *y = NULL;
  int st = ml_plan_stream(&y, p, m->c.dim);
  if (st != ML_OK) return st;
  char *x = m->c.embed_norm ? p->sum : ml_data(y);
  gather(p, x);
  if (m->c.embed_norm) ml_norm_forward(m, &bare, ml_data(y), x, p->N);
  if (ml_plan_drops(p)) ml_plan_dropout(p, ml_data(y), ml_data(y), 0);
  ml_node *n = NULL;
  st = p->grad ? ml_record_always(&n, &embed_op, y, 0, NULL) : ML_OK;
  if (st != ML_OK) {
    ml_tensor_free(y);
    return st;
  }
  if (n) {
    n->ctx = p;
    ml_plan_ref(p);
    snprintf(n->where, sizeof n->where, "%s",
             m->c.names == ML_NAMES_GPT2 ? "transformer.wte" : "model.embed_tokens");
  }
  *out = y;
  return ML_OK;
}
