/* head.c -- final norm, linear to the vocabulary, log-softmax and gather as one node. Logits live
** in pieces of rows by a block of the vocabulary; backward computes again those that the plan had
** no room to keep. No piece shows in the bits: a logit is one product's element, log-sum-exp goes
** by blocks of ML_DET_HEAD_VOCAB anyway, and both gradients are products over k cut at multiples
** of ML_DET_GEMM_K (dh: k is the vocabulary, dW: the rows), whose blocks are added in order.
** In a bf16 tier logits are f32 and their gradient is rounded, each row in its own place. */
#include "nn/inner.h"

#include <stdio.h>
#include <string.h>

enum { LOGPROBS, LOSS, LOGITS, HIDDEN };
enum { GRAIN = 16 };
_Static_assert(ML_DET_HEAD_VOCAB % ML_DET_GEMM_K == 0 && ML_DET_HEAD_VOCAB % ML_DET_GEMM16_K == 0,
               "a block of the vocabulary is blocks of k");

typedef struct {
  ml_plan *p;
  const ml_model *m;
  const char *x;        /* the stream */
  char *lse;            /* (N) */
  int kind;
  double inverse;       /* 1 / temperature */
  const char *dlogits;  /* LOGITS: (N, V) */
  int64_t n0, n1, v0, v1, ldz; /* the piece: rows, ids */
  const char *z;
  bool fresh, kept;     /* does the plan hold this node's hn and z; is the piece's z there? */
} head;

static int64_t rows_of(const head *h) { return h->n1 - h->n0; }
static char *row_at(const head *h, const void *p, int64_t width) {
  return (char *)p + h->n0 * width * h->m->es;
}
static char *piece_row(const head *h, int64_t r) {
  return (char *)(uintptr_t)h->z + r * h->ldz * h->m->es;
}

/* ---- pieces ---- */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* to the next piece of the vocabulary, then of the rows; begins at n1 = v1 = 0. False: no more */
static bool next_piece(head *h) {
  const ml_plan *p = h->p;
  int64_t V = h->m->c.vocab;
  if (h->n1 == 0 || h->v1 == V) h->n0 = h->n1, h->v1 = 0;
  if (h->n0 == p->N) return false;
  h->n1 = least(h->n0 + p->chunk, p->N);
  h->v0 = h->v1, h->v1 = least(h->v0 + ML_DET_HEAD_VOCAB, V);
  int64_t block = h->v0 / ML_DET_HEAD_VOCAB;
  h->ldz = p->ldz, h->kept = h->fresh && block < p->kept;
  h->z = p->z + least(block, p->kept) * p->chunk * p->ldz * h->m->es;
  return true;
}

/* the piece's rows of W: as they are, and in panels for either direction */
static const char *weight_at(const head *h) {
  return (const char *)ml_data(h->m->head.w[0]) + h->v0 * h->m->c.dim * h->m->es;
}
static const char *packed_at(const head *h) {
  const ml_model *m = h->m;
  if (!m->half) return NULL;
  return (const char *)m->head.packed + ml_gemm_packed_bytes(m->c.kind, m->c.dim, h->v0);
}
static const char *packed_dx_at(const head *h) {
  const ml_model *m = h->m;
  if (!m->half) return NULL;
  return (const char *)m->head.packed_dx +
         ml_gemm_packed_bytes(m->c.kind, ML_DET_HEAD_VOCAB, m->c.dim) *
           (size_t)(h->v0 / ML_DET_HEAD_VOCAB);
}
static const char *operand_at(const head *h, const char *x) { /* row n0 of an activation (N, d) */
  return x + h->n0 * h->m->c.dim * h->m->as;
}

/* z = hn W^T */
static int piece_logits(const head *h) {
  int64_t d = h->m->c.dim;
  ml_gemm g = {.m = rows_of(h), .n = h->v1 - h->v0, .k = d, .a = operand_at(h, h->p->hn),
               .ars = d, .acs = 1, .b = weight_at(h), .brs = 1, .bcs = d, .packed = packed_at(h),
               .c = piece_row(h, 0), .ldc = h->ldz};
  return ml_gemm_run(h->m->c.kind, &g, 1);
}

/* ---- log-probabilities ---- */

static void score_rows(void *ctx, int64_t r0, int64_t r1) {
  const head *h = ctx;
  const ml_kernels *k = h->m->k;
  int64_t n = h->v1 - h->v0;
  double cap = h->m->c.softcap;
  for (int64_t r = r0; r < r1; r++) {
    char *z = piece_row(h, r);
    if (cap > 0) k->softcap(z, z, n, cap);
    if (h->inverse != 1) k->scale(z, z, 1, n, h->inverse);
  }
  k->row_lse_add(row_at(h, h->lse, 1), row_at(h, h->p->g, 1), h->z, h->ldz, r0, r1, n,
                 h->v0 == 0);
  k->pick_row(row_at(h, h->p->logp, 1), h->z, h->ldz, h->p->target + h->n0, h->v0, r0, r1, n);
}

/* p->logp and lse of every row; p->g holds the running sums */
static int score(head *h) {
  ml_plan *p = h->p;
  int st = ML_OK;
  p->stamp++;
  ml_norm_forward(h->m, &h->m->norm, p->hn, ML_ACTIVATION, h->x, p->N);
  while (st == ML_OK && next_piece(h)) {
    st = piece_logits(h);
    if (st == ML_OK) ml_rows_parallel(rows_of(h), GRAIN, score_rows, h);
  }
  if (st != ML_OK) return st;
  h->m->k->row_lse_end(h->lse, p->g, 0, p->N);
  h->m->k->sub(p->logp, p->logp, 1, h->lse, 1, p->N);
  return ML_OK;
}

/* ---- backward ---- */

/* through the cross-entropy of row `at`; z holds its logits, scaled already if they were kept */
static void score_grad(const head *h, int64_t at, char *z, int64_t n) {
  const ml_kernels *k = h->m->k;
  int64_t es = h->m->es;
  double cap = h->m->c.softcap, capped[ML_DET_HEAD_VOCAB];
  if (cap > 0) k->copy(capped, 1, z, 1, n);
  if (h->inverse != 1 && !h->kept) k->scale(z, z, 1, n, h->inverse);
  k->ce_grad(z, 0, h->lse + at * es, h->p->target + at, h->v0, h->p->g + at * es, 0, 1, n);
  if (h->inverse != 1) k->scale(z, z, 1, n, h->inverse);
  if (cap > 0) k->softcap_grad(z, z, capped, n, cap);
}

/* does backward need the logits themselves? */
static bool reads_logits(const head *h) { return h->kind != LOGITS || h->m->c.softcap > 0; }

/* z becomes the gradient of the logits before the cap, as products read it */
static void logit_grad_rows(void *ctx, int64_t r0, int64_t r1) {
  const head *h = ctx;
  const ml_model *m = h->m;
  int64_t n = h->v1 - h->v0;
  double cap = m->c.softcap;
  uint16_t rounded[ML_DET_HEAD_VOCAB];
  for (int64_t r = r0; r < r1; r++) {
    char *z = piece_row(h, r);
    const char *dz = h->dlogits + ((h->n0 + r) * m->c.vocab + h->v0) * m->es; /* of LOGITS */
    if (cap > 0 && !h->kept) m->k->softcap(z, z, n, cap);
    if (h->kind != LOGITS) score_grad(h, h->n0 + r, z, n);
    else if (cap > 0) m->k->softcap_grad(z, dz, z, n, cap);
    else m->k->copy(z, 1, dz, 1, n);
    if (!m->half) continue;
    m->k->narrow(rounded, z, n);
    memcpy(z, rounded, (size_t)(n * m->as));
  }
}

/* dh (+)= dz W; dW (+)= dz^T hn */
static int piece_products(const head *h, char *dw, bool add) {
  const ml_model *m = h->m;
  int64_t d = m->c.dim, rows = rows_of(h), n = h->v1 - h->v0, ldz = h->ldz * m->es / m->as;
  ml_gemm g = {.m = rows, .n = d, .k = n, .a = h->z, .ars = ldz, .acs = 1,
               .b = weight_at(h), .brs = d, .bcs = 1, .packed = packed_dx_at(h),
               .c = row_at(h, h->p->dh, d), .ldc = d, .accumulate = h->v0 > 0};
  int st = ml_gemm_run(m->c.kind, &g, 1);
  if (st != ML_OK || !dw) return st;
  g = (ml_gemm){.m = n, .n = d, .k = rows, .a = h->z, .ars = 1, .acs = ldz,
                .b = operand_at(h, h->p->hn), .brs = d, .bcs = 1, .c = dw + h->v0 * d * m->es,
                .ldc = d, .accumulate = add || h->n0 > 0};
  return ml_gemm_run(m->c.kind, &g, 1);
}

/* the gradient of hn into p->dh, of the head's weight into its slot */
static int vocabulary_backward(head *h) {
  ml_tensor *grad = NULL, *w = h->m->head.w[0];
  bool add = false;
  int st = ml_wants_grad(w) ? ml_grad_slot(w, &grad, &add) : ML_OK;
  if (st != ML_OK) return st;
  char *dw = grad ? ml_data(grad) : NULL;
  h->p->stamp++;
  if (!h->fresh) ml_norm_forward(h->m, &h->m->norm, h->p->hn, ML_ACTIVATION, h->x, h->p->N);
  while (st == ML_OK && next_piece(h)) {
    if (!h->kept && reads_logits(h)) st = piece_logits(h);
    if (st != ML_OK) break;
    ml_rows_parallel(rows_of(h), GRAIN, logit_grad_rows, h);
    st = piece_products(h, dw, add);
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
  /* pieces are kept as the loss left them, from which a cap cannot be had back through a scale */
  h.fresh = lse && n->i[1] == p->stamp && (h.inverse == 1 || p->m->c.softcap == 0);
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
  n->i[0] = kind, n->i[1] = p->stamp, n->d[0] = inverse, n->d[1] = coefficient;
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

int ml_head_logits(ml_tensor **out, ml_plan *p, ml_tensor *x) {
  ml_tensor *y = NULL;
  const ml_model *m = p->m;
  int st = ml_plan_check_stream(p, x, "logits");
  if (st == ML_OK) st = ml_plan_stream(&y, p, m->c.vocab);
  if (st != ML_OK) return st;
  p->stamp++;
  ml_norm_forward(m, &m->norm, p->hn, ML_ACTIVATION, ml_data(x), p->N);
  st = logits_of(p, ml_data(y), p->hn, p->N);
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
