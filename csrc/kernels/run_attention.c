/* run_attention.c -- attention over all threads: which task does what, and its scratch.
** A task is (segment, kv head); where these are too few to keep the threads busy, forward cuts
** each into parts, ranges of query tiles. A query's bits do not know its part. */
#include "kernels/attention.h"
#include "kernels/flush.h"
#include "kernels/gemm.h"

enum { SPREAD = 4 }; /* tasks a thread wanted before parts are made: ends are ragged */

typedef struct {
  int kind;
  bool half, native; /* a bf16 kind; by its instruction */
  const ml_kernels *kn;
  const ml_attention *a;
  const ml_segment *seg;
  int64_t parts;
} plan;

static plan plan_of(int kind, const ml_attention *a, const ml_segment *seg) {
  bool half = ml_gemm_is_bf16(kind);
  return (plan){kind, half, half && ml_gemm_uses_native(kind), ml_k(half ? ML_F32 : kind), a, seg,
                1};
}

static bool is_empty(const ml_segment *s) { return s->len <= 0; }

/* the last part sees most keys: it goes first */
static void forward_task(void *ctx, int64_t task, int worker) {
  const plan *p = ctx;
  int64_t part = p->parts - 1 - task % p->parts, unit = task / p->parts;
  const ml_segment *s = &p->seg[unit / p->a->kv_heads];
  int64_t kv_head = unit % p->a->kv_heads;
  if (is_empty(s)) return;
  if (!p->half) {
    p->kn->attention(p->a, s, kv_head, part, p->parts, ml_scratch(worker));
    return;
  }
  ml_flush mode = ml_flush_on();
  p->kn->attention16(p->kind, p->native, p->a, s, kv_head, part, p->parts, ml_scratch(worker));
  ml_flush_off(mode);
}

static void backward_task(void *ctx, int64_t task, int worker) {
  const plan *p = ctx;
  const ml_segment *s = &p->seg[task / p->a->kv_heads];
  int64_t kv_head = task % p->a->kv_heads;
  if (is_empty(s)) return;
  if (!p->half) {
    p->kn->attention_grad(p->a, s, kv_head, ml_scratch(worker));
    return;
  }
  ml_flush mode = ml_flush_on();
  p->kn->attention16_grad(p->kind, p->native, p->a, s, kv_head, ml_scratch(worker));
  ml_flush_off(mode);
}

static int64_t room(const plan *p, const ml_segment *s, bool grad) {
  if (is_empty(s)) return 0;
  if (p->half) return p->kn->attention16_room(p->kind, p->native, p->a, s, grad);
  return p->kn->attention_room(p->a, s, grad) * ml_dtype_size(p->kind);
}

static int reserve(const plan *p, int64_t nseg, bool grad) {
  int64_t most = 0;
  for (int64_t i = 0; i < nseg; i++) {
    int64_t n = room(p, &p->seg[i], grad);
    if (n > most) most = n;
  }
  return ml_scratch_reserve((size_t)most);
}

int ml_attention_forward(int kind, const ml_attention *a, const ml_segment *seg, int64_t nseg) {
  plan p = plan_of(kind, a, seg);
  int64_t units = nseg * a->kv_heads, wanted = ml_threads() > 1 ? SPREAD * ml_threads() : 1;
  if (units > 0 && units < wanted) p.parts = (wanted + units - 1) / units;
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

/* ---- a cache takes new keys and values ---- */

typedef struct {
  bool half;
  const ml_kernels *kn;
  const ml_attention *to, *from;
  const ml_segment *seg;
} stores;

static void store_task(void *ctx, int64_t task, int worker) {
  const stores *p = ctx;
  const ml_segment *s = &p->seg[task];
  (void)worker;
  for (int64_t h = 0; h < p->to->kv_heads; h++)
    if (p->half) p->kn->attention16_store(p->to, p->from, s, h);
    else p->kn->attention_store(p->to, p->from, s, h);
}

void ml_attention_store(int kind, const ml_attention *to, const ml_attention *from,
                        const ml_segment *seg, int64_t nseg) {
  bool half = ml_gemm_is_bf16(kind);
  stores p = {half, ml_k(half ? ML_F32 : kind), to, from, seg};
  ml_parallel(nseg, store_task, &p);
}

ml_attention_panel ml_attention_panels(int kind, int64_t keys, int64_t dim) {
  if (!ml_gemm_is_bf16(kind)) return (ml_attention_panel){keys, dim, ML_DET_KEYS};
  return (ml_attention_panel){(keys + 31) / 32 * 32, (dim + 31) / 32 * 32, ML_DET_KEYS16};
}
