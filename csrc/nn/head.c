/* head.c -- final norm, linear to the vocabulary, log-softmax and gather as one node. Logits live
** for a chunk of tokens only and are computed again in backward; the weight's gradient is added
** block by block of ML_DET_HEAD_TOKENS, so the chunk's length never shows in the bits. */
#include "nn/inner.h"

#include <stdio.h>
#include <string.h>

enum { LOGPROBS, LOSS, LOGITS, HIDDEN };
enum { GRAIN = 16 };

typedef struct {
  ml_plan *p;
  const ml_model *m;
  const char *x;        /* the stream */
  char *lse;            /* (N) */
  int kind;
  double inverse;       /* 1 / temperature */
  int64_t n0, n1;       /* the chunk */
  const char *dlogits;  /* LOGITS: (N, V) */
} head;

static int64_t rows_of(const head *h) { return h->n1 - h->n0; }
static char *row_at(const head *h, const void *p, int64_t width) {
  return (char *)p + h->n0 * width * h->m->es;
}

/* ---- logits of a chunk ---- */

typedef struct { const ml_model *m; char *z; } cap_job;

static void cap_rows(void *ctx, int64_t r0, int64_t r1) {
  const cap_job *j = ctx;
  int64_t V = j->m->c.vocab;
  char *z = j->z + r0 * V * j->m->es;
  j->m->k->softcap(z, z, (r1 - r0) * V, j->m->c.softcap);
}

/* z (rows, V) from hn, with the cap */
static int logits_of(const ml_plan *p, void *z, const void *hn, int64_t rows) {
  const ml_model *m = p->m;
  int st = ml_linear_forward(m, &m->head, z, ML_REAL, hn, rows, NULL, p->cache != NULL);
  if (st != ML_OK || m->c.softcap == 0) return st;
  cap_job j = {m, z};
  ml_rows_parallel(rows, GRAIN, cap_rows, &j);
  return ML_OK;
}

static void chunk_norm(const head *h) {
  ml_norm_forward(h->m, &h->m->norm, h->p->hn, ML_ACTIVATION, row_at(h, h->x, h->m->c.dim),
                  rows_of(h));
}

static int chunk_logits(const head *h, void *z) {
  chunk_norm(h);
  return logits_of(h->p, z, h->p->hn, rows_of(h));
}

/* ---- log-probabilities: z is consumed ---- */

static void score_rows(void *ctx, int64_t r0, int64_t r1) {
  const head *h = ctx;
  const ml_kernels *k = h->m->k;
  int64_t V = h->m->c.vocab, es = h->m->es;
  char *z = h->p->z + r0 * V * es;
  if (h->inverse != 1) k->scale(z, z, 1, (r1 - r0) * V, h->inverse);
  char *lse = row_at(h, h->lse, 1), *logp = row_at(h, h->p->logp, 1);
  k->row_lse(lse, h->p->z, V, r0, r1, V);
  k->gather_row(logp, h->p->z, h->p->target + h->n0, r0, r1, 1, V);
  k->sub(logp + r0 * es, logp + r0 * es, 1, lse + r0 * es, 1, r1 - r0);
}

/* p->logp and lse of every row */
static int score(head *h) {
  int st = ML_OK;
  for (h->n0 = 0; h->n0 < h->p->N && st == ML_OK; h->n0 = h->n1) {
    h->n1 = h->n0 + h->p->chunk < h->p->N ? h->n0 + h->p->chunk : h->p->N;
    st = chunk_logits(h, h->p->z);
    if (st == ML_OK) ml_rows_parallel(rows_of(h), GRAIN, score_rows, h);
  }
  return st;
}

/* ---- backward ---- */

/* z2 becomes the gradient of the logits before the cap; z holds the capped ones */
static void logit_grad_rows(void *ctx, int64_t r0, int64_t r1) {
  const head *h = ctx;
  const ml_model *m = h->m;
  int64_t V = m->c.vocab, at = r0 * V * m->es, n = (r1 - r0) * V;
  char *z = h->p->z + at, *dz = h->p->z2 + at;
  if (h->kind == LOGITS) {
    m->k->copy(dz, 1, row_at(h, h->dlogits, V) + at, 1, n);
  } else {
    if (dz != z) m->k->copy(dz, 1, z, 1, n);
    if (h->inverse != 1) m->k->scale(dz, dz, 1, n, h->inverse);
    m->k->ce_grad(h->p->z2, V, row_at(h, h->lse, 1), h->p->target + h->n0, row_at(h, h->p->g, 1),
                  r0, r1, V);
    if (h->inverse != 1) m->k->scale(dz, dz, 1, n, h->inverse);
  }
  if (m->c.softcap > 0) m->k->softcap_grad(dz, dz, z, n, m->c.softcap);
}

/* dW (V, d) (+)= dz^T hn, block after block; the first goes with dh (rows, d) = dz W */
static int chunk_products(const head *h, char *dw, bool add) {
  const ml_model *m = h->m;
  int64_t V = m->c.vocab, d = m->c.dim, rows = rows_of(h);
  ml_gemm g[2] = {{.m = rows, .n = d, .k = V, .a = h->p->z2, .ars = V, .acs = 1,
                   .b = ml_data(m->head.w[0]), .brs = d, .bcs = 1,
                   .c = row_at(h, h->p->dh, d), .ldc = d}};
  if (!dw) return ml_gemm_run(m->c.dtype, g, 1);
  int st = ML_OK;
  for (int64_t b = 0; b < rows && st == ML_OK; b += ML_DET_HEAD_TOKENS) {
    int64_t k = rows - b < ML_DET_HEAD_TOKENS ? rows - b : ML_DET_HEAD_TOKENS;
    g[1] = (ml_gemm){.m = V, .n = d, .k = k, .a = h->p->z2 + b * V * m->es, .ars = 1, .acs = V,
                     .b = h->p->hn + b * d * m->es, .brs = d, .bcs = 1, .c = dw, .ldc = d,
                     .accumulate = add || b > 0};
    st = b == 0 ? ml_gemm_run(m->c.dtype, g, 2) : ml_gemm_run(m->c.dtype, g + 1, 1);
  }
  return st;
}

/* the gradient of hn into p->dh, of the head's weight into its slot */
static int vocabulary_backward(head *h) {
  ml_tensor *grad = NULL, *w = h->m->head.w[0];
  bool add = false;
  int st = ml_wants_grad(w) ? ml_grad_slot(w, &grad, &add) : ML_OK;
  for (h->n0 = 0; h->n0 < h->p->N && st == ML_OK; h->n0 = h->n1, add = true) {
    h->n1 = h->n0 + h->p->chunk < h->p->N ? h->n0 + h->p->chunk : h->p->N;
    if (h->kind == LOGITS && h->m->c.softcap == 0) chunk_norm(h);
    else st = chunk_logits(h, h->p->z);
    if (st != ML_OK) break;
    ml_rows_parallel(rows_of(h), GRAIN, logit_grad_rows, h);
    st = chunk_products(h, grad ? ml_data(grad) : NULL, add);
  }
  if (grad) ml_dirty(grad);
  return st;
}

/* p->g: how much each row's cross-entropy counts */
static void row_weights(const ml_plan *p, int kind, const ml_tensor *dy, double coefficient) {
  const ml_kernels *k = p->m->k;
  int64_t run = p->N / p->B, es = p->m->es;
  if (kind == LOSS) {
    k->scale(p->g, p->weight, 1, p->N, ml_item(dy, 0) * coefficient);
    return;
  }
  for (int64_t b = 0; b < p->B; b++) { /* logp = -cross-entropy; column 0 predicts nothing */
    char *g = p->g + b * run * es;
    k->scale(g, (char *)ml_data(dy) + (b * p->T + 1) * es, 1, run, -1);
    k->mul(g, g, 1, p->valid + b * run * es, 1, run);
  }
}

static int head_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_plan *p = n->ctx;
  int kind = (int)n->i[0];
  ml_tensor *x, *lse = NULL, *d = NULL;
  int st = ml_plan_fresh(p, n);
  if (st == ML_OK) st = ml_node_saved(n, 0, &x);
  if (st == ML_OK && n->nsaved > 1) st = ml_node_saved(n, 1, &lse);
  if (st == ML_OK) st = ml_tensor_like(&d, x);
  if (st != ML_OK) return st;
  head h = {.p = p, .m = p->m, .x = ml_data(x), .lse = lse ? ml_data(lse) : NULL, .kind = kind,
            .inverse = n->d[0], .dlogits = ml_data(dy)};
  const void *dh = kind == HIDDEN ? ml_data(dy) : p->dh;
  if (kind == LOGPROBS || kind == LOSS) row_weights(p, kind, dy, n->d[1]);
  if (kind != HIDDEN) st = vocabulary_backward(&h);
  if (st == ML_OK)
    st = ml_norm_backward(p->m, &p->m->norm, ml_data(d), dh, h.x, p->N, false, p->partial);
  if (st == ML_OK && ml_node_needs(n, 0)) dx[0] = d, d = NULL;
  ml_tensor_free(d);
  return st;
}

static void head_release(ml_node *n) { ml_plan_free(n->ctx); }

static const ml_op head_op = {"head", head_backward, head_release};

/* ---- the nodes ---- */

static int record(ml_plan *p, ml_tensor *y, ml_tensor *x, ml_tensor *lse, int kind,
                  double inverse, double coefficient) {
  ml_node *n = NULL;
  int st = p->grad ? ml_record_always(&n, &head_op, y, 1, &x) : ML_OK;
  if (st != ML_OK || !n) return st;
  n->ctx = p;
  ml_plan_ref(p);
  n->i[0] = kind, n->d[0] = inverse, n->d[1] = coefficient;
  ml_node_save(n, x);
  if (lse) ml_node_save(n, lse);
  snprintf(n->where, sizeof n->where, kind == HIDDEN ? "final norm" : "lm_head");
  return ML_OK;
}

static int need_targets(const ml_plan *p, const ml_tensor *x) {
  if (!p->targets)
    return ml_fail(ML_ESTATE, "head: this forward was begun without targets");
  return ml_plan_check_stream(p, x, "head");
}

/* scores every row; *lse is a new tensor */
static int begin_scores(head *h, ml_tensor **lse, ml_plan *p, ml_tensor *x, double temperature) {
  if (!(temperature >= 0 && temperature <= 1e30))
    return ml_fail(ML_ERANGE, "logprobs: temperature must not be negative, got %g", temperature);
  int st = need_targets(p, x);
  if (st == ML_OK) st = ml_tensor_new(lse, p->m->c.dtype, 1, &p->N);
  if (st != ML_OK) return st;
  /* temperature 0 is the greedy sampler's: it records the distribution at 1 */
  *h = (head){.p = p, .m = p->m, .x = ml_data(x), .lse = ml_data(*lse),
              .inverse = temperature > 0 ? 1 / temperature : 1};
  return score(h);
}

int ml_head_logprobs(ml_tensor **out, ml_plan *p, ml_tensor *x, double temperature) {
  ml_tensor *lse = NULL, *y = NULL;
  head h;
  int st = begin_scores(&h, &lse, p, x, temperature);
  int64_t size[2] = {p->B, p->T}, run = p->N / p->B, es = p->m->es;
  if (st == ML_OK) st = ml_tensor_zeros(&y, p->m->c.dtype, 2, size);
  static const double zero = 0; /* as a float too; -x * 0 + 0 is +0 */
  for (int64_t b = 0; b < p->B && st == ML_OK; b++) {
    char *to = (char *)ml_data(y) + (b * p->T + 1) * es;
    p->m->k->mul(to, p->logp + b * run * es, 1, p->valid + b * run * es, 1, run);
    p->m->k->add(to, to, 1, &zero, 0, run);
  }
  if (st == ML_OK) st = record(p, y, x, lse, LOGPROBS, h.inverse, 1);
  if (st == ML_OK) *out = y, y = NULL;
  ml_tensor_free(y), ml_tensor_free(lse);
  return st;
}

static double real_at(int dtype, const char *p, int64_t i) {
  return dtype == ML_F64 ? ((const double *)(const void *)p)[i]
                         : (double)((const float *)(const void *)p)[i];
}

/* the sum of n reals in blocks of ML_DET_FLAT; scratch holds the partials and the answer */
static double flat_sum(const ml_model *m, const char *x, int64_t n, char *scratch) {
  int64_t blocks = (n + ML_DET_FLAT - 1) / ML_DET_FLAT;
  m->k->flat_sum(scratch, x, n, 0, blocks);
  m->k->col_finish(scratch + blocks * m->es, scratch, blocks, 1, false);
  return real_at(m->c.dtype, scratch, blocks);
}

int ml_head_loss(ml_tensor **out, double *count, ml_plan *p, ml_tensor *x, bool mean) {
  ml_tensor *lse = NULL, *y = NULL;
  const ml_model *m = p->m;
  head h;
  int st = begin_scores(&h, &lse, p, x, 1);
  if (st != ML_OK) goto done;
  double total = 0; /* exact for masks of 0 and 1 */
  for (int64_t n = 0; n < p->N; n++) total += real_at(m->c.dtype, p->weight, n);
  m->k->mul(p->logp, p->logp, 1, p->weight, 1, p->N);
  double coefficient = !mean ? 1 : total > 0 ? 1 / total : 0;
  double sum = flat_sum(m, p->logp, p->N, p->tmp);
  double value = !mean ? -sum : total > 0 ? -sum / total : 0;
  st = ml_tensor_scalar(&y, m->c.dtype, value);
  if (st == ML_OK) st = record(p, y, x, lse, LOSS, 1, coefficient);
  if (st == ML_OK) *out = y, y = NULL, *count = total;
done:
  ml_tensor_free(y), ml_tensor_free(lse);
  return st;
}

/* the cache holds what this forward has stored from now on */
static void commit(const ml_plan *p) {
  for (int64_t i = 0; p->cache && i < p->nseg; i++)
    p->cache->length[p->kvslot[i]] = p->seg[i].past + p->seg[i].len;
}

int ml_head_hidden(ml_tensor **out, ml_plan *p, ml_tensor *x) {
  ml_tensor *y = NULL;
  int st = ml_plan_check_stream(p, x, "hidden");
  if (st == ML_OK) st = ml_plan_stream(&y, p, p->m->c.dim);
  if (st != ML_OK) return st;
  ml_norm_forward(p->m, &p->m->norm, ml_data(y), ML_REAL, ml_data(x), p->N);
  st = record(p, y, x, NULL, HIDDEN, 1, 1);
  if (st == ML_OK) commit(p), *out = y, y = NULL;
  ml_tensor_free(y);
  return st;
}

int ml_head_logits(ml_tensor **out, ml_plan *p, ml_tensor *x) {
  ml_tensor *y = NULL;
  const ml_model *m = p->m;
  int st = ml_plan_check_stream(p, x, "logits");
  if (st == ML_OK) st = ml_plan_stream(&y, p, m->c.vocab);
  head h = {.p = p, .m = m, .x = ml_data(x), .kind = LOGITS};
  for (h.n0 = 0; h.n0 < p->N && st == ML_OK; h.n0 = h.n1) {
    h.n1 = h.n0 + p->chunk < p->N ? h.n0 + p->chunk : p->N;
    st = chunk_logits(&h, row_at(&h, ml_data(y), m->c.vocab));
  }
  if (st == ML_OK) st = record(p, y, x, NULL, LOGITS, 1, 1);
  if (st == ML_OK) commit(p), *out = y, y = NULL;
  ml_tensor_free(y);
  return st;
}

int ml_head_next(ml_tensor **out, ml_plan *p, ml_tensor *x) {
  const ml_model *m = p->m;
  ml_tensor *y = NULL;
  int64_t size[2] = {p->nseg, m->c.vocab}, row = m->c.dim * m->es;
  int st = ml_plan_check_stream(p, x, "decode");
  if (st == ML_OK) st = ml_tensor_new(&y, m->c.dtype, 2, size);
  if (st != ML_OK) return st;
  for (int64_t i = 0; i < p->nseg; i++)
    memcpy(p->tmp + i * row,
           (char *)ml_data(x) + (p->seg[i].q_row + p->seg[i].len - 1) * row, (size_t)row);
  /* the blocks are done with their slot */
  ml_norm_forward(m, &m->norm, p->first.h1, ML_ACTIVATION, p->tmp, p->nseg);
  st = logits_of(p, ml_data(y), p->first.h1, p->nseg);
  if (st == ML_OK) commit(p), *out = y, y = NULL;
  ml_tensor_free(y);
  return st;
}
