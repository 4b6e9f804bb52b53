/* run_attention.c -- attention over all threads: which task does what, and its scratch.
** A task is (segment, kv head); where these are too few to keep the threads busy, forward cuts
** each into parts, ranges of query tiles. A query's bits do not know its part.
** bf16 kinds: a task widens what it reads, runs the f32 kernel and rounds what it wrote. */
#include "kernels/attention.h"
#include "kernels/gemm.h"

#include <string.h>

enum { SPREAD = 4 }; /* tasks a thread wanted before parts are made: ends are ragged */

typedef struct {
  const ml_kernels *kn;
  const ml_attention *a;
  const ml_segment *seg;
  int64_t parts, es;
  bool half;
} plan;

static bool is_empty(const ml_segment *s) { return s->len <= 0; }

/* ---- one task in f32 copies of its rows ---- */

/* what one kv head of one segment reads and writes, alone, in reals */
typedef struct {
  const plan *p;
  const ml_segment *s;
  int64_t group, kv_head, keys; /* query heads; keys of the segment */
  ml_attention a;
  ml_segment alone;
  float *free; /* the rest of the scratch */
} local;

static float *take(local *l, int64_t n) {
  float *p = l->free;
  l->free += (n + 15) / 16 * 16;
  return p;
}

/* bf16 rows of `heads` heads, to and from reals (rows, heads, D) */
typedef struct { const void *x; int64_t row, ld, hs, head, rows, heads; } rows16;

static uint16_t *row_of(const rows16 *x, int64_t r, int64_t h) {
  return (uint16_t *)(uintptr_t)x->x + (x->row + r) * x->ld + (x->head + h) * x->hs;
}

static rows16 queries(const local *l, const void *x, int64_t ld, int64_t hs) {
  return (rows16){x, l->s->q_row, ld, hs, l->kv_head * l->group, l->s->len, l->group};
}
static rows16 keys(const local *l, const void *x, int64_t ld, int64_t hs) {
  return (rows16){x, l->s->k_row, ld, hs, l->kv_head, l->keys, 1};
}

static float *widened(local *l, rows16 x) {
  int64_t D = l->a.dim;
  float *y = take(l, x.rows * x.heads * D);
  for (int64_t r = 0; r < x.rows; r++)
    for (int64_t h = 0; h < x.heads; h++)
      l->p->kn->widen(y + (r * x.heads + h) * D, row_of(&x, r, h), D);
  return y;
}

static void rounded(const local *l, rows16 x, const float *y) {
  int64_t D = l->a.dim;
  for (int64_t r = 0; r < x.rows; r++)
    for (int64_t h = 0; h < x.heads; h++)
      l->p->kn->narrow(row_of(&x, r, h), y + (r * x.heads + h) * D, D);
}

static local local_of(const plan *p, const ml_segment *s, int64_t kv_head, void *scratch) {
  const ml_attention *a = p->a;
  local l = {.p = p, .s = s, .group = a->heads / a->kv_heads, .kv_head = kv_head,
             .keys = s->past + s->len, .a = *a, .alone = {0, 0, s->len, s->past}, .free = scratch};
  int64_t D = a->dim;
  l.a.heads = l.group, l.a.kv_heads = 1;
  l.a.hsq = l.a.hsk = l.a.hsv = l.a.hso = D;
  l.a.ldq = l.a.ldo = l.group * D, l.a.ldk = l.a.ldv = D;
  l.a.q = widened(&l, queries(&l, a->q, a->ldq, a->hsq));
  l.a.k = widened(&l, keys(&l, a->k, a->ldk, a->hsk));
  l.a.v = widened(&l, keys(&l, a->v, a->ldv, a->hsv));
  return l;
}

/* lse of the task's heads, (len, group), and those of all */
static void copy_lse(const local *l, float *alone, bool out) {
  float *all = l->p->a->lse;
  size_t bytes = (size_t)l->group * sizeof *all;
  for (int64_t r = 0; r < l->s->len; r++) {
    float *at = all + (l->s->q_row + r) * l->p->a->heads + l->kv_head * l->group;
    memcpy(out ? at : alone + r * l->group, out ? alone + r * l->group : at, bytes);
  }
}

static int64_t rows_bytes(const plan *p, const ml_segment *s, bool grad) {
  int64_t D = p->a->dim, group = p->a->heads / p->a->kv_heads;
  int64_t q = s->len * group * (D + 1) + 32, k = (s->past + s->len) * D + 16;
  return (grad ? 4 * q + 4 * k : 2 * q + 2 * k) * p->es;
}

static void forward_half(const plan *p, const ml_segment *s, int64_t kv_head, void *scratch) {
  local l = local_of(p, s, kv_head, scratch);
  const ml_attention *a = p->a;
  l.a.o = take(&l, s->len * l.group * a->dim);
  l.a.lse = a->lse ? take(&l, s->len * l.group) : NULL;
  p->kn->attention(&l.a, &l.alone, 0, 0, 1, l.free);
  rounded(&l, queries(&l, a->o, a->ldo, a->hso), l.a.o);
  if (a->lse) copy_lse(&l, l.a.lse, true);
}

static void backward_half(const plan *p, const ml_segment *s, int64_t kv_head, void *scratch) {
  local l = local_of(p, s, kv_head, scratch);
  const ml_attention *a = p->a;
  l.a.o = widened(&l, queries(&l, a->o, a->ldo, a->hso));
  l.a.dout = widened(&l, queries(&l, a->dout, a->ldo, a->hso));
  l.a.lse = take(&l, s->len * l.group);
  copy_lse(&l, l.a.lse, false);
  l.a.dq = take(&l, s->len * l.group * a->dim);
  l.a.dk = take(&l, l.keys * a->dim), l.a.dv = take(&l, l.keys * a->dim);
  p->kn->attention_grad(&l.a, &l.alone, 0, l.free);
  rounded(&l, queries(&l, a->dq, a->ldq, a->hsq), l.a.dq);
  rounded(&l, keys(&l, a->dk, a->ldk, a->hsk), l.a.dk);
  rounded(&l, keys(&l, a->dv, a->ldv, a->hsv), l.a.dv);
}

/* ---- tasks ---- */

/* the last part sees most keys: it goes first */
static void forward_task(void *ctx, int64_t task, int worker) {
  const plan *p = ctx;
  int64_t part = p->parts - 1 - task % p->parts, unit = task / p->parts;
  const ml_segment *s = &p->seg[unit / p->a->kv_heads];
  if (is_empty(s)) return;
  if (p->half) forward_half(p, s, unit % p->a->kv_heads, ml_scratch(worker));
  else p->kn->attention(p->a, s, unit % p->a->kv_heads, part, p->parts, ml_scratch(worker));
}

static void backward_task(void *ctx, int64_t task, int worker) {
  const plan *p = ctx;
  const ml_segment *s = &p->seg[task / p->a->kv_heads];
  if (is_empty(s)) return;
  if (p->half) backward_half(p, s, task % p->a->kv_heads, ml_scratch(worker));
  else p->kn->attention_grad(p->a, s, task % p->a->kv_heads, ml_scratch(worker));
}

static int reserve(const plan *p, int64_t nseg, bool grad) {
  int64_t most = 0;
  for (int64_t i = 0; i < nseg; i++) {
    if (is_empty(&p->seg[i])) continue;
    int64_t n = p->kn->attention_room(p->a, &p->seg[i], grad) * p->es;
    if (p->half) n += rows_bytes(p, &p->seg[i], grad);
    if (n > most) most = n;
  }
  return ml_scratch_reserve((size_t)most);
}

static plan plan_of(int kind, const ml_attention *a, const ml_segment *seg) {
  bool half = ml_gemm_is_bf16(kind);
  int dtype = half ? ML_F32 : kind;
  return (plan){ml_k(dtype), a, seg, 1, ml_dtype_size(dtype), half};
}

int ml_attention_forward(int kind, const ml_attention *a, const ml_segment *seg, int64_t nseg) {
  plan p = plan_of(kind, a, seg);
  int64_t units = nseg * a->kv_heads, wanted = ml_threads() > 1 ? SPREAD * ml_threads() : 1;
  /* parts of a bf16 task would round each other's queries */
  if (units > 0 && units < wanted && !p.half) p.parts = (wanted + units - 1) / units;
  int st = reserve(&p, nseg, false);
  if (st == ML_OK) ml_parallel(units * p.parts, forward_task, &p);
  return st;
}

int ml_attention_backward(int kind, const ml_attention *a, const ml_segment *seg, int64_t nseg) {
  plan p = plan_of(kind, a, seg);
  int st = reserve(&p, nseg, true);
  if (st == ML_OK) ml_parallel(nseg * a->kv_heads, backward_task, &p);
  return st;
}
