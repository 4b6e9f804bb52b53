/* block.c -- the pre-norm transformer block as one node:
**   x2 = x + o(attention(rope(qk_norm(qkv(norm1 x)))));  y = x2 + down(act(up(norm2 x2)))
** The residual is added by the product's epilogue. Backward reads what the plan's slot kept, or,
** under recompute, runs the forward again into the one slot all blocks share. */
#include "nn/inner.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  ml_plan *p;
  const ml_model *m;
  const ml_layer *l;
  int layer;
  ml_slot s;
} run;

static run run_of(ml_plan *p, int layer, int64_t slot) {
  return (run){p, p->m, &p->m->layer[layer], layer, ml_plan_slot(p, slot)};
}

static int64_t grain(int64_t width) { return width > 4096 ? 4 : 16384 / width; }

/* ---- q and k: norm of each head, then rotation ---- */

static const void *gain_of(const ml_tensor *w) { return w ? ml_data(w) : NULL; }

static int64_t qk_width(const ml_model *m) {
  return m->c.qk_norm == ML_QK_NONE ? m->w.W : m->w.A + m->w.KA;
}

/* q heads, then k heads */
static void qk_row(void *ctx, int64_t n, char *tmp) {
  const run *r = ctx;
  const ml_model *m = r->m;
  const ml_config *c = &m->c;
  int64_t D = c->head_dim, width = m->w.A + m->w.KA, k = m->w.A * m->es;
  char *x = ml_row_in(m, tmp, r->s.qkv + n * m->w.W * m->as, width);
  char *row = r->s.qk + n * qk_width(m) * m->as, *y = x;
  if (c->qk_norm != ML_QK_NONE) {
    y = ml_row_out(m, tmp + width * m->es, row);
    m->k->rms_norm(y, x, D, gain_of(r->l->q_norm), 0, c->heads, D, c->eps);
    m->k->rms_norm(y + k, x + k, D, gain_of(r->l->k_norm), 0, c->kv_heads, D, c->eps);
  }
  if (c->positions == ML_POS_ROPE)
    m->k->rope(y, width, y, width, m->cos, m->sin, r->p->pos + n, 0, 1, c->heads + c->kv_heads, D,
               false);
  ml_row_done(m, row, y, width);
}

/* ---- attention ---- */

static ml_attention attention_of(const run *r) {
  const ml_model *m = r->m;
  const ml_config *c = &m->c;
  int64_t D = c->head_dim, ld = qk_width(m), as = m->as;
  return (ml_attention){
    .heads = c->heads, .kv_heads = c->kv_heads, .dim = D,
    .window = c->npattern ? c->window[r->layer % c->npattern] : 0,
    .scale = c->qk_scale * c->qk_scale / sqrt((double)D),
    .q = r->s.qk, .ldq = ld, .hsq = D,
    .k = r->s.qk + m->w.A * as, .ldk = ld, .hsk = D,
    .v = r->s.qkv + (m->w.A + m->w.KA) * as, .ldv = m->w.W, .hsv = D,
    .o = r->s.o, .ldo = m->w.A, .hso = D, .lse = r->s.lse};
}

/* the new keys and values go behind those a sequence has */
static int attend_cached(const run *r, ml_attention a) {
  const ml_plan *p = r->p;
  int kind = r->m->c.kind;
  ml_attention cached = a;
  ml_cache_describe(&cached, p->cache, r->layer);
  ml_attention_store(kind, &cached, &a, p->seg, p->nseg);
  return ml_attention_forward(kind, &cached, p->seg, p->nseg);
}

static int attend(const run *r) {
  ml_attention a = attention_of(r);
  if (r->p->cache) return attend_cached(r, a);
  return ml_attention_forward(r->m->c.kind, &a, r->p->seg, r->p->nseg);
}

/* ---- MLP activation ---- */

static void act_row(void *ctx, int64_t n, char *tmp) {
  const run *r = ctx;
  const ml_model *m = r->m;
  const ml_kernels *k = m->k;
  int64_t F = m->w.F, U = m->w.U;
  char *u = ml_row_in(m, tmp, r->s.u + n * U * m->as, U), *row = r->p->act + n * F * m->as;
  char *y = ml_row_out(m, tmp + U * m->es, row);
  switch (m->c.activation) {
    case ML_ACT_SWIGLU: k->swiglu(y, u, u + F * m->es, F); break;
    case ML_ACT_GELU: k->gelu(y, u, 1, F); break;
    case ML_ACT_GELU_TANH: k->gelu_tanh(y, u, 1, F); break;
    default: k->relu2(y, u, 1, F); break;
  }
  ml_row_done(m, row, y, F);
}

/* du; and the gradient of the activation becomes the activation again, which no slot keeps */
static void act_grad_row(void *ctx, int64_t n, char *tmp) {
  const run *r = ctx;
  const ml_model *m = r->m;
  const ml_kernels *k = m->k;
  int64_t F = m->w.F, U = m->w.U, es = m->es;
  char *u = ml_row_in(m, tmp, r->s.u + n * U * m->as, U), *act = r->p->act + n * F * m->as;
  char *dy = ml_row_in(m, tmp + U * es, act, F);
  char *row = r->p->du + n * U * m->as, *du = ml_row_out(m, tmp + 2 * U * es, row);
  switch (m->c.activation) {
    case ML_ACT_SWIGLU: k->swiglu_grad(du, du + F * es, dy, dy, u, u + F * es, F); break;
    case ML_ACT_GELU: k->gelu_grad(du, dy, 1, u, 1, F); break;
    case ML_ACT_GELU_TANH: k->gelu_tanh_grad(du, dy, 1, u, 1, F); break;
    default: k->relu2_grad(du, dy, 1, u, 1, F); break;
  }
  ml_row_done(m, row, du, U);
  if (m->c.activation == ML_ACT_SWIGLU) ml_row_done(m, act, dy, F);
  else act_row(ctx, n, tmp);
}

/* ---- forward ---- */

typedef struct { const ml_model *m; char *y; const char *a, *b; } rows_job;

static void add_rows(void *ctx, int64_t r0, int64_t r1) {
  const rows_job *j = ctx;
  int64_t d = j->m->c.dim, at = r0 * d * j->m->es;
  j->m->k->add(j->y + at, j->a + at, 1, j->b + at, 1, (r1 - r0) * d);
}

static void copy_rows(void *ctx, int64_t r0, int64_t r1) {
  const rows_job *j = ctx;
  int64_t row = j->m->c.dim * j->m->es;
  memcpy(j->y + r0 * row, j->a + r0 * row, (size_t)((r1 - r0) * row));
}

/* y = x + dropout(linear(h)): with dropout the residual cannot ride on the product */
static int project(const run *r, const ml_linear *l, void *y, const void *h, const void *x,
                   uint32_t site) {
  ml_plan *p = r->p;
  if (!ml_plan_drops(p))
    return ml_linear_forward(r->m, l, y, ML_REAL, h, p->N, x, p->cache != NULL);
  int st = ml_linear_forward(r->m, l, p->tmp, ML_REAL, h, p->N, NULL, false);
  if (st != ML_OK) return st;
  ml_plan_dropout(p, p->tmp, p->tmp, site);
  rows_job j = {r->m, y, p->tmp, x};
  ml_rows_parallel(p->N, grain(r->m->c.dim), add_rows, &j);
  return ML_OK;
}

static uint32_t site_of(const run *r, int place) { return (uint32_t)(2 * r->layer + place); }

/* what the slot and p->act keep, all but the block's output */
static int forward_to_act(run *r, const void *x) {
  const ml_model *m = r->m;
  ml_plan *p = r->p;
  bool packed = p->cache != NULL;
  ml_norm_forward(m, &r->l->norm1, r->s.h1, ML_ACTIVATION, x, p->N);
  int st = ml_linear_forward(m, &r->l->qkv, r->s.qkv, ML_ACTIVATION, r->s.h1, p->N, NULL, packed);
  if (st != ML_OK) return st;
  if (m->c.qk_norm != ML_QK_NONE || m->c.positions == ML_POS_ROPE)
    ml_each_row(p->N, m->w.A, qk_row, r);
  st = attend(r);
  if (st == ML_OK) st = project(r, &r->l->o, r->s.x2, r->s.o, x, site_of(r, 1));
  if (st != ML_OK) return st;
  ml_norm_forward(m, &r->l->norm2, r->s.h2, ML_ACTIVATION, r->s.x2, p->N);
  st = ml_linear_forward(m, &r->l->up, r->s.u, ML_ACTIVATION, r->s.h2, p->N, NULL, packed);
  if (st == ML_OK) ml_each_row(p->N, m->w.F, act_row, r);
  return st;
}

static int forward(run *r, void *y, const void *x) {
  int st = forward_to_act(r, x);
  return st == ML_OK ? project(r, &r->l->down, y, r->p->act, r->s.x2, site_of(r, 2)) : st;
}

/* ---- backward ---- */

/* the gradient that enters a projection: dy, or dy through the dropout mask */
static const void *entering(const run *r, const void *dy, uint32_t site) {
  if (ml_plan_drops(r->p)) ml_plan_dropout(r->p, r->p->dm, dy, site), dy = r->p->dm;
  return ml_as_operand(r->m, r->p->dy, dy, r->p->N, r->m->c.dim);
}

static int mlp_backward(run *r, void *dx, const void *dy) {
  const ml_model *m = r->m;
  ml_plan *p = r->p;
  const void *g = entering(r, dy, site_of(r, 2));
  int st = ml_linear_backward_input(m, &r->l->down, p->act, ML_ACTIVATION, g, p->N);
  if (st != ML_OK) return st;
  ml_each_row(p->N, m->w.F, act_grad_row, r);
  st = ml_linear_backward_weight(m, &r->l->down, g, p->act, p->N, p->partial);
  if (st != ML_OK) return st;
  st = ml_linear_backward(m, &r->l->up, p->dh, ML_REAL, p->du, r->s.h2, p->N, p->partial);
  if (st != ML_OK) return st;
  return ml_norm_backward(m, &r->l->norm2, dx, p->dh, r->s.x2, p->N, true, p->partial);
}

/* partial gain gradients of one token: one for each ML_DET_ROWS of its heads */
static void gain_partials(const ml_model *m, char *partial, const char *dy, const char *x,
                          int64_t heads) {
  int64_t D = m->c.head_dim;
  for (int64_t h = 0; h < heads; h += ML_DET_ROWS, partial += D * m->es)
    m->k->rms_norm_dw(partial, dy, x, D, h, h + ML_DET_ROWS < heads ? h + ML_DET_ROWS : heads, D,
                      m->c.eps);
}

/* back through the norm of each head; dy is the gradient of its output */
static void qk_norm_grad(const run *r, int64_t n, char *dx, const char *dy, const char *x) {
  const ml_model *m = r->m;
  const ml_config *c = &m->c;
  int64_t D = c->head_dim, k = m->w.A * m->es, size = D * m->es;
  m->k->rms_norm_grad(dx, dy, x, D, gain_of(r->l->q_norm), 0, c->heads, D, c->eps, false);
  m->k->rms_norm_grad(dx + k, dy + k, x + k, D, gain_of(r->l->k_norm), 0, c->kv_heads, D, c->eps,
                      false);
  if (c->qk_norm != ML_QK_GAIN) return;
  int64_t q = ml_gain_parts(c->heads), kv = ml_gain_parts(c->kv_heads);
  gain_partials(m, r->p->partial + n * q * size, dy, x, c->heads);
  gain_partials(m, r->p->partial + (r->p->N * q + n * kv) * size, dy + k, x + k, c->kv_heads);
}

/* back through the rotation, then through the norm of each head into dqkv */
static void qk_grad_row(void *ctx, int64_t n, char *tmp) {
  const run *r = ctx;
  const ml_model *m = r->m;
  const ml_config *c = &m->c;
  int64_t width = m->w.A + m->w.KA, size = width * m->es;
  char *dy = ml_row_in(m, tmp, r->p->dqk + n * qk_width(m) * m->as, width), *dx = dy;
  char *row = r->p->dqkv + n * m->w.W * m->as;
  if (c->positions == ML_POS_ROPE)
    m->k->rope(dy, width, dy, width, m->cos, m->sin, r->p->pos + n, 0, 1, c->heads + c->kv_heads,
               c->head_dim, true);
  if (c->qk_norm != ML_QK_NONE) {
    const char *x = ml_row_in(m, tmp + size, r->s.qkv + n * m->w.W * m->as, width);
    dx = ml_row_out(m, tmp + 2 * size, row);
    qk_norm_grad(r, n, dx, dy, x);
  }
  ml_row_done(m, row, dx, width);
}

static int qk_backward(const run *r) {
  const ml_config *c = &r->m->c;
  if (c->qk_norm == ML_QK_NONE && c->positions != ML_POS_ROPE) return ML_OK;
  ml_each_row(r->p->N, r->m->w.A, qk_grad_row, (void *)r);
  if (c->qk_norm != ML_QK_GAIN) return ML_OK;
  int64_t q = r->p->N * ml_gain_parts(c->heads), kv = r->p->N * ml_gain_parts(c->kv_heads);
  const char *partial = r->p->partial;
  int st = ML_OK;
  if (ml_wants_grad(r->l->q_norm)) st = ml_finish_grad(r->m, r->l->q_norm, partial, q);
  partial += q * c->head_dim * r->m->es;
  if (st == ML_OK && ml_wants_grad(r->l->k_norm))
    st = ml_finish_grad(r->m, r->l->k_norm, partial, kv);
  return st;
}

static int attention_backward(run *r, void *dx, const void *x) {
  const ml_model *m = r->m;
  ml_plan *p = r->p;
  const void *g = entering(r, dx, site_of(r, 1));
  int st = ml_linear_backward(m, &r->l->o, p->dout, ML_ACTIVATION, g, r->s.o, p->N, p->partial);
  if (st != ML_OK) return st;
  ml_attention a = attention_of(r);
  a.dout = p->dout;
  a.dq = p->dqk, a.dk = p->dqk + m->w.A * m->as;
  a.dv = p->dqkv + (m->w.A + m->w.KA) * m->as;
  st = ml_attention_backward(m->c.kind, &a, p->seg, p->nseg);
  if (st == ML_OK) st = qk_backward(r);
  if (st == ML_OK)
    st = ml_linear_backward(m, &r->l->qkv, p->dh, ML_REAL, p->dqkv, r->s.h1, p->N, p->partial);
  if (st != ML_OK) return st;
  return ml_norm_backward(m, &r->l->norm1, dx, p->dh, x, p->N, true, p->partial);
}

static int block_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_plan *p = n->ctx;
  p->stamp++; /* its workspaces lie where the head kept logits */
  run r = run_of(p, (int)n->i[0], n->i[1]);
  ml_tensor *x, *d = NULL;
  int st = ml_plan_fresh(p, n);
  if (st == ML_OK) st = ml_node_saved(n, 0, &x);
  if (st == ML_OK) st = ml_tensor_like(&d, dy);
  if (st != ML_OK) return st;
  p->stamp++; /* its workspaces lie where the head kept logits */
  if (p->m->c.recompute) st = forward_to_act(&r, ml_data(x));
  /* dx starts as dy: the residual path; each half adds its own */
  rows_job j = {p->m, ml_data(d), ml_data(dy), NULL};
  ml_rows_parallel(p->N, grain(p->m->c.dim), copy_rows, &j);
  if (st == ML_OK) st = mlp_backward(&r, ml_data(d), ml_data(dy));
  if (st == ML_OK) st = attention_backward(&r, ml_data(d), ml_data(x));
  if (st == ML_OK && ml_node_needs(n, 0)) dx[0] = d, d = NULL;
  ml_tensor_free(d);
  return st;
}

static void block_release(ml_node *n) { ml_plan_free(n->ctx); }

static const ml_op block_op = {"block", block_backward, block_release};

/* ---- the node ---- */

static int record(ml_plan *p, ml_tensor *y, ml_tensor *x, int layer, int64_t slot) {
  ml_node *n = NULL;
  int st = p->grad ? ml_record_always(&n, &block_op, y, 1, &x) : ML_OK;
  if (st != ML_OK || !n) return st;
  n->ctx = p;
  ml_plan_ref(p);
  n->i[0] = layer, n->i[1] = slot;
  ml_node_save(n, x);
  ml_module_name(&p->m->c, layer, n->where);
  return ML_OK;
}

static int one_block(ml_tensor **out, ml_plan *p, int layer, ml_tensor *x) {
  bool keep = p->grad && !p->m->c.recompute;
  if (keep && p->used == p->slots)
    return ml_fail(ML_ESTATE, "model: a forward runs each of its %lld blocks once",
                   (long long)p->m->c.layers);
  int64_t slot = keep ? p->used : 0;
  ml_tensor *y = NULL;
  int st = ml_tensor_like(&y, x);
  if (st != ML_OK) return st;
  run r = run_of(p, layer, slot);
  p->stamp++; /* as in backward: a head may have been asked before */
  st = forward(&r, ml_data(y), ml_data(x));
  if (st == ML_OK) st = record(p, y, x, layer, slot);
  if (st != ML_OK) {
    ml_tensor_free(y);
    return st;
  }
  p->used += keep;
  *out = y;
  return ML_OK;
}

int ml_blocks(ml_tensor **out, ml_plan *p, int first, int last, ml_tensor *x) {
  if (first < 0 || last >= p->m->c.layers || first > last)
    return ml_fail(ML_ERANGE, "model: blocks %d to %d are not among %lld", first + 1, last + 1,
                   (long long)p->m->c.layers);
  if (!p->fused)
    return ml_fail(ML_ESTATE, "model: this forward keeps no room for fused blocks");
  int st = ml_plan_check_stream(p, x, "block");
  ml_tensor *y = ml_tensor_ref(x);
  for (int l = first; l <= last && st == ML_OK; l++) {
    ml_tensor *next = NULL;
    st = one_block(&next, p, l, y);
    if (st != ML_OK) break;
    ml_tensor_free(y); /* its node keeps it if it is needed */
    y = next;
  }
  if (st == ML_OK) *out = y;
  else ml_tensor_free(y);
  return st;
}
