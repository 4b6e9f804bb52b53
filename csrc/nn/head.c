/* head.c -- final norm, linear to the vocabulary, log-softmax and gather as one node. Logits live
** in pieces of rows by a block of the vocabulary; backward computes again those that the plan had
** no room to keep. No piece shows in the bits: a logit is one product's element, log-sum-exp goes
** by blocks of ML_DET_HEAD_VOCAB anyway, and both gradients are products over k cut at multiples
** of ML_DET_GEMM_K (dh: k is the vocabulary, dW: the rows), whose blocks are added in order.
** In a bf16 tier logits are f32 and their gradient is rounded, each row in its own place. */
#include "nn/head.h"

#include <stdio.h>
#include <string.h>

enum { LOGPROBS, LOSS, LOGITS, HIDDEN };
_Static_assert(ML_DET_HEAD_VOCAB % ML_DET_GEMM_K == 0 && ML_DET_HEAD_VOCAB % ML_DET_GEMM16_K == 0,
               "a block of the vocabulary is blocks of k");

static char *row_at(const ml_head *h, const void *p, int64_t width) {
  return (char *)p + h->n0 * width * h->m->es;
}

/* ---- pieces ---- */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* to the next piece of the vocabulary, then of the rows; begins at n1 = v1 = 0. False: no more */
static bool next_piece(ml_head *h) {
  const ml_plan *p = h->p;
  int64_t V = h->m->c.vocab;
  if (h->n1 == 0 || h->v1 == V) h->n0 = h->n1, h->v1 = 0;
  if (h->n0 == p->N) return false;
  h->n1 = least(h->n0 + p->chunk, p->N);
  h->v0 = h->v1, h->v1 = least(h->v0 + ML_DET_HEAD_VOCAB, V);
  int64_t block = h->v0 / ML_DET_HEAD_VOCAB;
  bool only = p->N == p->chunk && V <= ML_DET_HEAD_VOCAB; /* nobody has used its place again */
  h->ldz = p->ldz, h->kept = h->fresh && (only || block < p->kept);
  h->z = p->z + least(block, p->kept) * p->chunk * p->ldz * h->m->es;
  return true;
}

/* the piece's rows of W: as they are, and in panels for either direction */
static const char *weight_at(const ml_head *h) {
  return (const char *)ml_data(h->m->head.w[0]) + h->v0 * h->m->c.dim * h->m->es;
}
static const char *packed_at(const ml_head *h) {
  const ml_model *m = h->m;
  if (!m->half) return NULL;
  return (const char *)m->head.packed + ml_gemm_packed_bytes(m->c.kind, m->c.dim, h->v0);
}
static const char *packed_dx_at(const ml_head *h) {
  const ml_model *m = h->m;
  if (!m->half) return NULL;
  return (const char *)m->head.packed_dx +
         ml_gemm_packed_bytes(m->c.kind, ML_DET_HEAD_VOCAB, m->c.dim) *
           (size_t)(h->v0 / ML_DET_HEAD_VOCAB);
}
/* row n0 of an activation (N, d) */
static const char *operand_at(const ml_head *h, const char *x) {
  return x + h->n0 * h->m->c.dim * h->m->as;
}

/* z = hn W^T */
static int piece_logits(const ml_head *h) {
  int64_t d = h->m->c.dim;
  ml_gemm g = {.m = ml_head_rows(h), .n = h->v1 - h->v0, .k = d, .a = operand_at(h, h->p->hn),
               .ars = d, .acs = 1, .b = weight_at(h), .brs = 1, .bcs = d, .packed = packed_at(h),
               .c = ml_head_piece_row(h, 0), .ldc = h->ldz};
  return ml_gemm_run(h->m->c.kind, &g, 1);
}

bool ml_head_piece(ml_head *h, int *st) {
  if (*st != ML_OK || !next_piece(h)) return false;
  if (!h->kept) *st = piece_logits(h);
  return *st == ML_OK;
}

void ml_head_rewind(ml_head *h) { h->n1 = h->v1 = 0, h->fresh = true; }

/* ---- log-probabilities ---- */

void ml_head_ready_row(const ml_head *h, int64_t r) {
  char *z = ml_head_piece_row(h, r);
  int64_t n = h->v1 - h->v0;
  if (h->kept) return;
  if (h->m->c.softcap > 0) h->m->k->softcap(z, z, n, h->m->c.softcap);
  if (h->inverse != 1) h->m->k->scale(z, z, 1, n, h->inverse);
}

static void score_rows(void *ctx, int64_t r0, int64_t r1) {
  const ml_head *h = ctx;
  const ml_kernels *k = h->m->k;
  int64_t n = h->v1 - h->v0;
  char *max = row_at(h, h->lse, 1), *sum = row_at(h, h->p->g, 1);
  for (int64_t r = r0; r < r1; r++) ml_head_ready_row(h, r);
  if (h->entropy)
    k->row_entropy_add(max, sum, row_at(h, h->entropy, 1), h->z, h->ldz, r0, r1, n, h->v0 == 0);
  else
    k->row_lse_add(max, sum, h->z, h->ldz, r0, r1, n, h->v0 == 0);
  k->pick_row(row_at(h, h->p->logp, 1), h->z, h->ldz, h->p->target + h->n0, h->v0, r0, r1, n);
}

/* p->logp, lse and entropy of every row; p->g holds the running sums */
static int score(ml_head *h) {
  ml_plan *p = h->p;
  int st = ML_OK;
  p->stamp++;
  ml_norm_forward(h->m, &h->m->norm, p->hn, ML_ACTIVATION, h->x, p->N);
  while (ml_head_piece(h, &st)) ml_rows_parallel(ml_head_rows(h), ML_HEAD_GRAIN, score_rows, h);
  if (st != ML_OK) return st;
  if (h->entropy) h->m->k->row_entropy_end(h->entropy, p->g, h->entropy, 0, p->N);
  h->m->k->row_lse_end(h->lse, p->g, 0, p->N);
  h->m->k->sub(p->logp, p->logp, 1, h->lse, 1, p->N);
  return ML_OK;
}

/* ---- backward ---- */

/* of the cross-entropy, p->g of it */
static void loss_grad(const ml_head *h, int64_t at, char *z, int64_t n) {
  const ml_plan *p = h->p;
  int64_t es = h->m->es;
  h->m->k->ce_grad(z, 0, h->lse + at * es, p->target + at, h->v0, p->g + at * es, 0, 1, n);
}

/* and p->logp, which only scoring needs, of the entropy */
static void entropy_grad(const ml_head *h, int64_t at, char *z, int64_t n) {
  const ml_plan *p = h->p;
  int64_t es = h->m->es, i = at * es;
  h->m->k->entropy_grad(z, 0, h->lse + i, h->entropy + i, p->target + at, h->v0, p->g + i,
                        p->logp + i, 0, 1, n);
}

/* through the scores of row `at`; z holds its logits, scaled already if they were kept */
static void score_grad(const ml_head *h, int64_t at, char *z, int64_t n) {
  const ml_kernels *k = h->m->k;
  double cap = h->m->c.softcap, capped[ML_DET_HEAD_VOCAB];
  if (cap > 0) k->copy(capped, 1, z, 1, n);
  if (h->inverse != 1 && !h->kept) k->scale(z, z, 1, n, h->inverse);
  h->row_grad(h, at, z, n);
  if (h->inverse != 1) k->scale(z, z, 1, n, h->inverse);
  if (cap > 0) k->softcap_grad(z, z, capped, n, cap);
}

/* does backward need the logits themselves? */
static bool reads_logits(const ml_head *h) { return !h->dlogits || h->m->c.softcap > 0; }

/* z becomes the gradient of the logits before the cap, as products read it */
static void logit_grad_rows(void *ctx, int64_t r0, int64_t r1) {
  const ml_head *h = ctx;
  const ml_model *m = h->m;
  int64_t n = h->v1 - h->v0;
  double cap = m->c.softcap;
  uint16_t rounded[ML_DET_HEAD_VOCAB];
  for (int64_t r = r0; r < r1; r++) {
    char *z = ml_head_piece_row(h, r);
    const char *dz = NULL;
    if (h->dlogits) dz = h->dlogits + ((h->n0 + r) * m->c.vocab + h->v0) * m->es;
    if (cap > 0 && !h->kept) m->k->softcap(z, z, n, cap);
    if (!dz) score_grad(h, h->n0 + r, z, n);
    else if (cap > 0) m->k->softcap_grad(z, dz, z, n, cap);
    else m->k->copy(z, 1, dz, 1, n);
    if (!m->half) continue;
    m->k->narrow(rounded, z, n);
    memcpy(z, rounded, (size_t)(n * m->as));
  }
}

/* dh (+)= dz W; dW (+)= dz^T hn */
static int piece_products(const ml_head *h, char *dw, bool add) {
  const ml_model *m = h->m;
  int64_t d = m->c.dim, rows = ml_head_rows(h), n = h->v1 - h->v0, ldz = h->ldz * m->es / m->as;
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
static int vocabulary_backward(ml_head *h) {
  ml_tensor *grad = NULL, *w = h->m->head.w[0];
  bool add = false;
  int st = ml_wants_grad(w) ? ml_grad_slot(w, &grad, &add) : ML_OK;
  if (st != ML_OK) return st;
  char *dw = grad ? ml_data(grad) : NULL;
  h->p->stamp++;
  if (!h->fresh) ml_norm_forward(h->m, &h->m->norm, h->p->hn, ML_ACTIVATION, h->x, h->p->N);
  while (st == ML_OK && next_piece(h)) {
    if (!h->kept && reads_logits(h)) st = piece_logits(h);
    if (h->teacher) ml_head_piece(h->teacher, &st);
    if (st != ML_OK) break;
    ml_rows_parallel(ml_head_rows(h), ML_HEAD_GRAIN, logit_grad_rows, h);
    st = piece_products(h, dw, add);
  }
  if (grad) ml_dirty(grad);
  return st;
}

void ml_head_spread(const ml_plan *p, char *y, const char *x) {
  static const double zero = 0; /* as a float too; -x * 0 + 0 is +0 */
  const ml_kernels *k = p->m->k;
  int64_t run = p->N / p->B, es = p->m->es;
  for (int64_t b = 0; b < p->B; b++) { /* column 0 predicts nothing */
    char *to = y + (b * p->T + 1) * es;
    k->mul(to, x + b * run * es, 1, p->valid + b * run * es, 1, run);
    k->add(to, to, 1, &zero, 0, run);
  }
}

void ml_head_gather(const ml_plan *p, char *y, const char *x, double scale) {
  const ml_kernels *k = p->m->k;
  int64_t run = p->N / p->B, es = p->m->es;
  for (int64_t b = 0; b < p->B; b++) {
    char *to = y + b * run * es;
    k->scale(to, x + (b * p->T + 1) * es, 1, run, scale);
    k->mul(to, to, 1, p->valid + b * run * es, 1, run);
  }
}

/* how much each row's cross-entropy counts, and its entropy; logp = -cross-entropy */
static void row_weights(const ml_head *h, int kind, ml_tensor *dy, double coefficient) {
  const ml_plan *p = h->p;
  const char *g = ml_data(dy);
  if (kind == LOSS) p->m->k->scale(p->g, p->weight, 1, p->N, ml_item(dy, 0) * coefficient);
  if (kind == LOGPROBS) ml_head_gather(p, p->g, g, -1);
  if (h->entropy) ml_head_gather(p, p->logp, g + p->B * p->T * p->m->es, 1);
}

static int finish(const ml_head *h, const ml_node *n, const void *dh, ml_tensor *x,
                  ml_tensor **dx) {
  ml_plan *p = h->p;
  ml_tensor *d = NULL;
  int st = ml_tensor_like(&d, x);
  if (st == ML_OK)
    st = ml_norm_backward(p->m, &p->m->norm, ml_data(d), dh, h->x, p->N, false, p->partial);
  if (st == ML_OK && ml_node_needs(n, 0)) dx[0] = d, d = NULL;
  ml_tensor_free(d);
  return st;
}

int ml_head_backward(ml_head *h, const ml_node *n, ml_tensor *x, ml_tensor **dx) {
  int st = vocabulary_backward(h);
  return st == ML_OK ? finish(h, n, h->p->dh, x, dx) : st;
}

static int head_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_plan *p = n->ctx;
  int kind = (int)n->i[0];
  ml_tensor *x, *stat = NULL;
  int st = ml_plan_fresh(p, n);
  if (st == ML_OK) st = ml_node_saved(n, 0, &x);
  if (st == ML_OK && n->nsaved > 1) st = ml_node_saved(n, 1, &stat);
  if (st != ML_OK) return st;
  ml_head h = {.p = p, .m = p->m, .x = ml_data(x), .lse = stat ? ml_data(stat) : NULL,
               .inverse = n->d[0], .dlogits = kind == LOGITS ? ml_data(dy) : NULL};
  if (kind == HIDDEN) return finish(&h, n, ml_data(dy), x, dx);
  if (stat && stat->size[0] > 1) h.entropy = h.lse + p->N * p->m->es;
  h.row_grad = h.entropy ? entropy_grad : loss_grad;
  /* pieces are kept as the loss left them, from which a cap cannot be had back through a scale */
  h.fresh = stat && n->i[1] == p->stamp && (h.inverse == 1 || p->m->c.softcap == 0);
  row_weights(&h, kind, dy, n->d[1]);
  return ml_head_backward(&h, n, x, dx);
}

static void head_release(ml_node *n) { ml_plan_free(n->ctx); }

static const ml_op head_op = {"head", head_backward, head_release};

/* ---- the nodes ---- */

static int record(ml_plan *p, ml_tensor *y, ml_tensor *x, ml_tensor *stat, int kind,
                  double inverse, double coefficient) {
  ml_node *n = NULL;
  int st = p->grad ? ml_record_always(&n, &head_op, y, 1, &x) : ML_OK;
  if (st != ML_OK || !n) return st;
  n->ctx = p;
  ml_plan_ref(p);
  n->i[0] = kind, n->i[1] = p->stamp, n->d[0] = inverse, n->d[1] = coefficient;
  ml_node_save(n, x);
  if (stat) ml_node_save(n, stat);
  snprintf(n->where, sizeof n->where, kind == HIDDEN ? "final norm" : "lm_head");
  return ML_OK;
}

static int need_targets(const ml_plan *p, const ml_tensor *x) {
  if (!p->targets)
    return ml_fail(ML_ESTATE, "head: this forward was begun without targets");
  return ml_plan_check_stream(p, x, "head");
}

int ml_head_begin(ml_head *h, ml_tensor **stat, int64_t rows, bool entropy, ml_plan *p,
                  ml_tensor *x, double temperature, const char *who) {
  if (!(temperature >= 0 && temperature <= 1e30))
    return ml_fail(ML_ERANGE, "%s: temperature must not be negative, got %g", who, temperature);
  int64_t size[2] = {rows, p->N};
  int st = need_targets(p, x);
  if (st == ML_OK) st = ml_tensor_new(stat, p->m->c.dtype, 2, size);
  if (st != ML_OK) return st;
  /* temperature 0 is the greedy sampler's: it records the distribution at 1 */
  *h = (ml_head){.p = p, .m = p->m, .x = ml_data(x), .lse = ml_data(*stat),
                 .inverse = temperature > 0 ? 1 / temperature : 1};
  if (entropy) h->entropy = h->lse + p->N * p->m->es;
  return score(h);
}

int ml_head_logprobs(ml_tensor **out, ml_plan *p, ml_tensor *x, double temperature,
                     bool entropy) {
  ml_tensor *stat = NULL, *y = NULL;
  ml_head h;
  int st = ml_head_begin(&h, &stat, 1 + entropy, entropy, p, x, temperature, "logprobs");
  int64_t size[3] = {2, p->B, p->T};
  if (st == ML_OK)
    st = ml_tensor_zeros(&y, p->m->c.dtype, entropy ? 3 : 2, entropy ? size : size + 1);
  if (st == ML_OK) {
    ml_head_spread(p, ml_data(y), p->logp);
    if (entropy) ml_head_spread(p, (char *)ml_data(y) + p->B * p->T * p->m->es, h.entropy);
    st = record(p, y, x, stat, LOGPROBS, h.inverse, 1);
  }
  if (st == ML_OK) *out = y, y = NULL;
  ml_tensor_free(y), ml_tensor_free(stat);
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
  ml_tensor *stat = NULL, *y = NULL;
  const ml_model *m = p->m;
  ml_head h;
  int st = ml_head_begin(&h, &stat, 1, false, p, x, 1, "loss");
  if (st != ML_OK) goto done;
  double total = 0; /* exact for masks of 0 and 1 */
  for (int64_t n = 0; n < p->N; n++) total += real_at(m->c.dtype, p->weight, n);
  m->k->mul(p->logp, p->logp, 1, p->weight, 1, p->N);
  double coefficient = !mean ? 1 : total > 0 ? 1 / total : 0;
  double sum = flat_sum(m, p->logp, p->N, p->tmp);
  double value = !mean ? -sum : total > 0 ? -sum / total : 0;
  st = ml_tensor_scalar(&y, m->c.dtype, value);
  if (st == ML_OK) st = record(p, y, x, stat, LOSS, 1, coefficient);
  if (st == ML_OK) *out = y, y = NULL, *count = total;
done:
  ml_tensor_free(y), ml_tensor_free(stat);
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
  ml_rows_parallel(rows, ML_HEAD_GRAIN, cap_rows, &j);
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
