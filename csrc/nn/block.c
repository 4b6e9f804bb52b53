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

static int64_t qk_width(const ml_model *m) {
  return m->c.qk_norm == ML_QK_NONE ? m->w.W : m->w.A + m->w.KA;
}

/* rows of ld: q heads, then k heads */
static void qk_rows(void *ctx, int64_t r0, int64_t r1) {
  const run *r = ctx;
  const ml_model *m = r->m;
  const ml_config *c = &m->c;
  int64_t D = c->head_dim, ld = qk_width(m);
  const void *wq = r->l->q_norm ? ml_data(r->l->q_norm) : NULL;
  const void *wk = r->l->k_norm ? ml_data(r->l->k_norm) : NULL;
  for (int64_t n = r0; n < r1 && c->qk_norm != ML_QK_NONE; n++) {
    char *y = r->s.qk + n * ld * m->es;
    const char *x = r->s.qkv + n * m->w.W * m->es;
    int64_t k = m->w.A * m->es;
    m->k->rms_norm(y, x, D, wq, 0, c->heads, D, c->eps);
    m->k->rms_norm(y + k, x + k, D, wk, 0, c->kv_heads, D, c->eps);
  }
  if (c->positions == ML_POS_ROPE)
    m->k->rope(r->s.qk, ld, r->s.qk, ld, m->cos, m->sin, r->p->pos, r0, r1,
               c->heads + c->kv_heads, D, false);
}

/* ---- attention ---- */

static ml_attention attention_of(const run *r) {
  const ml_model *m = r->m;
  const ml_config *c = &m->c;
  int64_t D = c->head_dim, ld = qk_width(m), es = m->es;
  return (ml_attention){
    .heads = c->heads, .kv_heads = c->kv_heads, .dim = D,
    .window = c->npattern ? c->window[r->layer % c->npattern] : 0,
    .scale = c->qk_scale * c->qk_scale / sqrt((double)D),
    .q = r->s.qk, .ldq = ld, .hsq = D,
    .k = r->s.qk + m->w.A * es, .ldk = ld, .hsk = D,
    .v = r->s.qkv + (m->w.A + m->w.KA) * es, .ldv = m->w.W, .hsv = D,
    .o = r->s.o, .ldo = m->w.A, .hso = D, .lse = r->s.lse};
}

typedef struct { const run *r; const ml_attention *a; char *k, *v; } store_job;

/* the new keys and values of one sequence go behind those it has */
static void store_task(void *ctx, int64_t task, int worker) {
  const store_job *j = ctx;
  (void)worker;
  const ml_model *m = j->r->m;
  const ml_segment *s = &j->r->p->seg[task];
  int64_t row = m->w.KA * m->es;
  for (int64_t t = 0; t < s->len; t++) {
    int64_t to = (s->k_row + s->past + t) * row, from = s->q_row + t;
    memcpy(j->k + to, (const char *)j->a->k + from * j->a->ldk * m->es, (size_t)row);
    memcpy(j->v + to, (const char *)j->a->v + from * j->a->ldv * m->es, (size_t)row);
  }
}

static int attend(const run *r) {
  ml_attention a = attention_of(r);
  const ml_plan *p = r->p;
  if (p->cache) {
    store_job j = {r, &a, ml_cache_rows(p->cache, r->layer, 0),
                   ml_cache_rows(p->cache, r->layer, 1)};
    ml_parallel(p->nseg, store_task, &j);
    a.k = j.k, a.v = j.v, a.ldk = a.ldv = r->m->w.KA;
    a.lse = NULL;
  }
  return ml_attention_forward(r->m->c.dtype, &a, p->seg, p->nseg);
}

/* ---- MLP activation ---- */

static void act_rows(void *ctx, int64_t r0, int64_t r1) {
  const run *r = ctx;
  const ml_kernels *k = r->m->k;
  int64_t F = r->m->w.F, es = r->m->es, n = (r1 - r0) * F;
  char *y = r->p->act + r0 * F * es, *u = r->s.u + r0 * r->m->w.U * es;
  switch (r->m->c.activation) {
    case ML_ACT_SWIGLU:
      for (int64_t i = 0; i < r1 - r0; i++)
        k->swiglu(y + i * F * es, u + 2 * i * F * es, u + (2 * i + 1) * F * es, F);
      break;
    case ML_ACT_GELU: k->gelu(y, u, 1, n); break;
    case ML_ACT_GELU_TANH: k->gelu_tanh(y, u, 1, n); break;
    default: k->relu2(y, u, 1, n); break;
  }
}

/* du; and dact becomes the activation again, which the slot does not keep */
static void act_grad_rows(void *ctx, int64_t r0, int64_t r1) {
  const run *r = ctx;
  const ml_kernels *k = r->m->k;
  int64_t F = r->m->w.F, U = r->m->w.U, es = r->m->es, n = (r1 - r0) * F;
  char *dy = r->p->act + r0 * F * es, *u = r->s.u + r0 * U * es, *du = r->p->du + r0 * U * es;
  switch (r->m->c.activation) {
    case ML_ACT_SWIGLU:
      for (int64_t i = 0; i < r1 - r0; i++)
        k->swiglu_grad(du + 2 * i * F * es, du + (2 * i + 1) * F * es, dy + i * F * es,
                       dy + i * F * es, u + 2 * i * F * es, u + (2 * i + 1) * F * es, F);
      return;
    case ML_ACT_GELU: k->gelu_grad(du, dy, 1, u, 1, n); break;
    case ML_ACT_GELU_TANH: k->gelu_tanh_grad(du, dy, 1, u, 1, n); break;
    default: k->relu2_grad(du, dy, 1, u, 1, n); break;
  }
  act_rows(ctx, r0, r1);
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
  if (!ml_plan_drops(p)) return ml_linear_forward(r->m, l, y, h, p->N, x, p->cache != NULL);
  int st = ml_linear_forward(r->m, l, p->tmp, h, p->N, NULL, false);
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
  ml_norm_forward(m, &r->l->norm1, r->s.h1, x, p->N);
  int st = ml_linear_forward(m, &r->l->qkv, r->s.qkv, r->s.h1, p->N, NULL, packed);
  if (st != ML_OK) return st;
  if (m->c.qk_norm != ML_QK_NONE || m->c.positions == ML_POS_ROPE)
    ml_rows_parallel(p->N, grain(m->w.A), qk_rows, r);
  st = attend(r);
  if (st == ML_OK) st = project(r, &r->l->o, r->s.x2, r->s.o, x, site_of(r, 1));
  if (st != ML_OK) return st;
  ml_norm_forward(m, &r->l->norm2, r->s.h2, r->s.x2, p->N);
  st = ml_linear_forward(m, &r->l->up, r->s.u, r->s.h2, p->N, NULL, packed);
  if (st == ML_OK) ml_rows_parallel(p->N, grain(m->w.F), act_rows, r);
  return st;
}

static int forward(run *r, void *y, const void *x) {
  int st = forward_to_act(r, x);
  return st == ML_OK ? project(r, &r->l->down, y, r->p->act, r->s.x2, site_of(r, 2)) : st;
}

/* ---- backward ---- */

/* the gradient that enters a projection: dy itself, or dy through the dropout mask */
static const void *through_dropout(const run *r, const void *dy, uint32_t site) {
  if (!ml_plan_drops(r->p)) return dy;
  ml_plan_dropout(r->p, r->p->dm, dy, site);
  return r->p->dm;
}

static int mlp_backward(run *r, void *dx, const void *dy) {
  const ml_model *m = r->m;
  ml_plan *p = r->p;
  const void *g = through_dropout(r, dy, site_of(r, 2));
  int st = ml_linear_backward_input(m, &r->l->down, p->act, g, p->N);
  if (st != ML_OK) return st;
  ml_rows_parallel(p->N, grain(m->w.F), act_grad_rows, r);
  st = ml_linear_backward_weight(m, &r->l->down, g, p->act, p->N, p->partial);
  if (st != ML_OK) return st;
  st = ml_linear_backward(m, &r->l->up, p->dh, p->du, r->s.h2, p->N, p->partial);
  if (st != ML_OK) return st;
  return ml_norm_backward(m, &r->l->norm2, dx, p->dh, r->s.x2, p->N, true, p->partial);
}

/* back through the rotation (in place), then through the norm of each head into dqkv */
static void qk_grad_rows(void *ctx, int64_t r0, int64_t r1) {
  const run *r = ctx;
  const ml_model *m = r->m;
  const ml_config *c = &m->c;
  char *dqk = r->p->dqk, *dqkv = r->p->dqkv;
  int64_t D = c->head_dim, ld = qk_width(m), k = m->w.A * m->es;
  if (c->positions == ML_POS_ROPE)
    m->k->rope(dqk, ld, dqk, ld, m->cos, m->sin, r->p->pos, r0, r1, c->heads + c->kv_heads, D,
               true);
  const void *wq = r->l->q_norm ? ml_data(r->l->q_norm) : NULL;
  const void *wk = r->l->k_norm ? ml_data(r->l->k_norm) : NULL;
  for (int64_t n = r0; n < r1 && c->qk_norm != ML_QK_NONE; n++) {
    char *dx = dqkv + n * m->w.W * m->es, *dy = dqk + n * ld * m->es;
    const char *x = r->s.qkv + n * m->w.W * m->es;
    m->k->rms_norm_grad(dx, dy, x, D, wq, 0, c->heads, D, c->eps, false);
    m->k->rms_norm_grad(dx + k, dy + k, x + k, D, wk, 0, c->kv_heads, D, c->eps, false);
  }
}

/* partial gain gradients: one a token (and 64 of its heads) */
typedef struct { const run *r; int64_t column, heads, parts; } gain_job;

static void gain_rows(void *ctx, int64_t r0, int64_t r1) {
  const gain_job *j = ctx;
  const ml_model *m = j->r->m;
  int64_t D = m->c.head_dim;
  for (int64_t n = r0; n < r1; n++) {
    const char *x = j->r->s.qkv + (n * m->w.W + j->column) * m->es;
    const char *dy = j->r->p->dqk + (n * qk_width(m) + j->column) * m->es;
    for (int64_t i = 0; i < j->parts; i++) {
      int64_t h0 = i * ML_DET_ROWS, h1 = h0 + ML_DET_ROWS < j->heads ? h0 + ML_DET_ROWS : j->heads;
      m->k->rms_norm_dw(j->r->p->partial + (n * j->parts + i) * D * m->es, dy, x, D, h0, h1, D,
                        m->c.eps);
    }
  }
}

static int gain_grad(const run *r, ml_tensor *gain, int64_t column, int64_t heads) {
  if (!ml_wants_grad(gain)) return ML_OK;
  gain_job j = {r, column, heads, (heads + ML_DET_ROWS - 1) / ML_DET_ROWS};
  ml_rows_parallel(r->p->N, grain(r->m->w.A), gain_rows, &j);
  return ml_finish_grad(r->m, gain, r->p->partial, r->p->N * j.parts);
}

static int qk_backward(const run *r) {
  const ml_config *c = &r->m->c;
  if (c->qk_norm != ML_QK_NONE || c->positions == ML_POS_ROPE)
    ml_rows_parallel(r->p->N, grain(r->m->w.A), qk_grad_rows, (void *)r);
  /* dqk is by now the gradient of the norm's output */
  int st = gain_grad(r, r->l->q_norm, 0, c->heads);
  return st == ML_OK ? gain_grad(r, r->l->k_norm, r->m->w.A, c->kv_heads) : st;
}

static int attention_backward(run *r, void *dx, const void *x) {
  const ml_model *m = r->m;
  ml_plan *p = r->p;
  const void *g = through_dropout(r, dx, site_of(r, 1));
  int st = ml_linear_backward(m, &r->l->o, p->dout, g, r->s.o, p->N, p->partial);
  if (st != ML_OK) return st;
  ml_attention a = attention_of(r);
  a.dout = p->dout;
  a.dq = p->dqk, a.dk = p->dqk + m->w.A * m->es;
  a.dv = p->dqkv + (m->w.A + m->w.KA) * m->es;
  st = ml_attention_backward(m->c.dtype, &a, p->seg, p->nseg);
  if (st == ML_OK) st = qk_backward(r);
  if (st == ML_OK)
    st = ml_linear_backward(m, &r->l->qkv, p->dh, p->dqkv, r->s.h1, p->N, p->partial);
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
