/* run_attention.c -- attention over all threads: which task does what, and its scratch.
** A task is (segment, kv head); where these are too few to keep the threads busy, forward cuts
** each into parts, ranges of query tiles. A query's bits do not know its part. */
#include "kernels/attention.h"
#include "kernels/gemm.h"

enum { SPREAD = 4 }; /* tasks a thread wanted before parts are made: ends are ragged */

typedef struct {
  const ml_kernels *kn;
  ml_attention a;
  const ml_segment *seg;
  int64_t parts;
} plan;

static bool is_empty(const ml_segment *s) { return s->len <= 0; }

/* the last part sees most keys: it goes first */
static void forward_task(void *ctx, int64_t task, int worker) {
  const plan *p = ctx;
  int64_t part = p->parts - 1 - task % p->parts, unit = task / p->parts;
  const ml_segment *s = &p->seg[unit / p->a.kv_heads];
  if (!is_empty(s))
    p->kn->attention(&p->a, s, unit % p->a.kv_heads, part, p->parts, ml_scratch(worker));
}

static void backward_task(void *ctx, int64_t task, int worker) {
  const plan *p = ctx;
  const ml_segment *s = &p->seg[task / p->a.kv_heads];
  if (!is_empty(s)) p->kn->attention_grad(&p->a, s, task % p->a.kv_heads, ml_scratch(worker));
}

static int begin(plan *p, int kind, const ml_attention *a, const ml_segment *seg, int64_t nseg,
                 bool grad) {
  bool half = ml_gemm_is_bf16(kind);
  int dtype = half ? ML_F32 : kind;
  *p = (plan){ml_k(dtype), *a, seg, 1};
  p->a.half = half;
  int64_t most = 0;
  for (int64_t i = 0; i < nseg; i++) {
    int64_t n = is_empty(&seg[i]) ? 0 : p->kn->attention_room(&p->a, &seg[i], grad);
    if (n > most) most = n;
  }
  return ml_scratch_reserve((size_t)(most * ml_dtype_size(dtype)));
}

int ml_attention_forward(int kind, const ml_attention *a, const ml_segment *seg, int64_t nseg) {
  plan p;
  int st = begin(&p, kind, a, seg, nseg, false);
  int64_t units = nseg * a->kv_heads, wanted = ml_threads() > 1 ? SPREAD * ml_threads() : 1;
  if (units > 0 && units < wanted) p.parts = (wanted + units - 1) / units;
  if (st == ML_OK) ml_parallel(units * p.parts, forward_task, &p);
  return st;
}

int ml_attention_backward(int kind, const ml_attention *a, const ml_segment *seg, int64_t nseg) {
  plan p;
  int st = begin(&p, kind, a, seg, nseg, true);
  if (st == ML_OK) ml_parallel(nseg * a->kv_heads, backward_task, &p);
  return st;
}

/* ---- a cache takes new keys and values ---- */

typedef struct { const ml_kernels *kn; ml_attention to, from; const ml_segment *seg; } stores;

static void store_task(void *ctx, int64_t task, int worker) {
  const stores *p = ctx;
  (void)worker;
  for (int64_t h = 0; h < p->to.kv_heads; h++)
    p->kn->attention_store(&p->to, &p->from, &p->seg[task], h);
}

void ml_attention_store(int kind, const ml_attention *to, const ml_attention *from,
                        const ml_segment *seg, int64_t nseg) {
  bool half = ml_gemm_is_bf16(kind);
  stores p = {ml_k(half ? ML_F32 : kind), *to, *from, seg};
  p.to.half = p.from.half = half;
  ml_parallel(nseg, store_task, &p);
}
