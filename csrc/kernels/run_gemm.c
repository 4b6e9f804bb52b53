/* run_gemm.c -- matrix products over all threads: what is packed when, by whom, and which part
** of C is whose task. No choice here changes a bit: a task owns its part of C for every block
** of k, and the blocks are met in order.
**
** One big product runs in two regions: pack B (shared), then tiles of C, each packing its own
** rows of A block by block. Tiles that split columns share A too. Small products and batches
** run in one region whose tasks pack for themselves.
**
** f32, f64 and the bf16 kinds differ in their kernels, sizes and block of k, which plan holds. */
#include <string.h>

#include "kernels/flush.h"
#include "kernels/gemm.h"

enum {
  TILE_ROWS = 168,         /* rows of A packed at a time: 168 x 512 floats are 336 KiB of L2 */
  OWN_COLS = 384,          /* columns of B a task packs at a time for itself: 768 KiB */
  TILE_BYTES = 768 << 10,  /* bf16: of A or of B at a time, */
  TILE_MOST = 512,         /* at most so many rows or columns of it */
  PACK_COLS = 256,         /* least width of a task that packs for all */
  ENGINE_ROWS = 256,       /* rows of C an outside engine gets at a time */
  SHARED_BYTES = 16 << 20, /* of B packed between two regions, at most */
  NEAR_BYTES = 1 << 20,    /* the same where k is long */
  SMALL_NS = 8000          /* a product expected to take less stays on one thread */
};

ml_gemm_engine *ml_gemm_engine_f64, *ml_gemm_engine_f32;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

/* What every task of a run reads. Packed panels keep a whole chunk of k each: panel q of B
** starts at bp + q * ldb, and inside it block pc at (pc - k0) * nr. */
typedef struct {
  const ml_gemm *g;
  const ml_kernels *kn;
  int kind;
  bool half, native;    /* a bf16 kind; by its instruction */
  int64_t es, cs, bs;   /* element sizes of A, of C, of B before it is packed, */
  int64_t as, fs;       /* of A's panels, of bias and residual */
  int64_t kb, ku;       /* block of k; what k of a panel is a multiple of */
  int64_t mr, nr;       /* panel widths */
  int64_t rows, cols;   /* tiles of C */
  int64_t k0, k1;       /* chunk of k */
  int64_t n0, n1;       /* chunk of columns */
  char *ap, *bp;        /* packed and shared, or NULL */
  int64_t lda, ldb;     /* panel strides in elements */
  int64_t bw, aw, kw;   /* packing tasks: columns of B, rows of A, steps of k */
  int64_t btasks;
} plan;

/* element `index` of what starts at base */
static const char *in(const void *base, int64_t size, int64_t index) {
  return (const char *)base + index * size;
}
static char *out(void *base, int64_t size, int64_t index) { return (char *)base + index * size; }

static void plan_half(plan *p) {
  p->half = true, p->native = ml_gemm_uses_native(p->kind), p->kn = ml_k(ML_F32);
  p->es = p->bs = 2, p->fs = 4, p->cs = p->g->narrow ? 2 : 4, p->as = p->native ? 2 : 4;
  p->kb = ML_DET_GEMM16_K, p->ku = p->nr = 32, p->mr = p->kn->gemm16_mr(p->kind, p->native);
}

static plan plan_of(int kind, const ml_gemm *g) {
  plan p = {.g = g, .kind = kind, .k1 = g->k, .n1 = g->n};
  if (ml_gemm_is_bf16(kind)) {
    plan_half(&p);
    return p;
  }
  p.kn = ml_k(kind), p.es = p.cs = p.bs = p.as = p.fs = ml_dtype_size(kind);
  p.kb = ML_DET_GEMM_K, p.ku = 1, p.mr = p.kn->gemm_mr(), p.nr = p.kn->gemm_nr();
  return p;
}

/* ---- the kernels, f32's and f64's or bf16's ---- */
static void pack_a(const plan *p, char *panels, int64_t i, int64_t m, int64_t pc, int64_t kc,
                   int64_t ldp) {
  const ml_gemm *g = p->g;
  const void *a = in(g->a, p->es, i * g->ars + pc * g->acs);
  if (p->half)
    p->kn->gemm16_pack_a(p->kind, p->native, panels, ldp, a, g->ars, g->acs, m, kc);
  else p->kn->gemm_pack_a(panels, ldp, a, g->ars, g->acs, m, kc);
}

static void pack_b(const plan *p, char *panels, int64_t j, int64_t n, int64_t pc, int64_t kc,
                   int64_t ldp) {
  const ml_gemm *g = p->g;
  const void *b = in(g->b, p->bs, pc * g->brs + j * g->bcs);
  if (p->half)
    p->kn->gemm16_pack_b((uint16_t *)panels, ldp, b, p->bs == 4, g->brs, g->bcs, kc, n);
  else p->kn->gemm_pack_b(panels, ldp, b, g->brs, g->bcs, kc, n);
}

/* ---- a part of C ---- */
typedef struct { int64_t i0, i1, j0, j1; } part;

/* how many lines of A or B, each a block of k long, fill TILE_BYTES */
static int64_t lines(const plan *p, int64_t size, int64_t width) {
  int64_t k = round_up(most(least(p->g->k, p->kb), 1), p->ku);
  return most(least(TILE_BYTES / (k * size), TILE_MOST) / width, 1) * width;
}
static int64_t scratch_rows(const plan *p) {
  return p->half ? lines(p, p->as, p->mr) : round_up(TILE_ROWS, p->mr);
}
static int64_t scratch_cols(const plan *p) {
  return p->half ? lines(p, p->es, p->nr) : round_up(OWN_COLS, p->nr);
}
static int64_t scratch_k(const plan *p) {
  return p->half ? round_up(least(p->g->k, p->kb), p->ku) : p->kb;
}

/* a bf16 result of several blocks: their sums are kept in float until the last */
static bool sums_apart(const plan *p) { return p->g->narrow && p->g->k > p->kb; }

/* a worker's scratch: rows of A, columns of B, sums */
static int64_t b_room(const plan *p) {
  return round_up(scratch_rows(p) * scratch_k(p) * p->as, 64);
}
static int64_t sums_room(const plan *p) {
  return b_room(p) + round_up(scratch_cols(p) * scratch_k(p) * p->es, 64);
}
static size_t scratch_bytes(const plan *p) {
  return (size_t)(sums_room(p) + (sums_apart(p) ? scratch_rows(p) * scratch_cols(p) * 4 : 0));
}

/* Is A read where it lies? Packing costs as much as some 32 columns, which few columns do not
** pay back; but from far strides tiles read slower (pages, sets of the first-level cache). The
** bounds are where the two met on the machine of tests/bench. Of the bf16 kernels AMX's alone
** can, whole steps of k only. */
static bool a_in_place(const plan *p) {
  const ml_gemm *g = p->g;
  if (p->half)
    return p->native && p->kind == ML_GEMM_TILES && g->acs == 1 && g->k % p->ku == 0;
  if (g->acs == 1) return g->m <= 4 || (g->ars * p->es < 2048 && g->n <= 768);
  return g->ars == 1 && g->acs * p->es < 2048 && g->n <= 128;
}

/* rows of A for one block of k: packed, or in place */
typedef struct { const char *at; int64_t ld, rs, cs; } operand;

static operand rows_of_a(const plan *p, int64_t i, int64_t m, int64_t pc, int64_t kc, char *tmp) {
  const ml_gemm *g = p->g;
  int64_t ld = round_up(kc, p->ku) * p->mr;
  operand a = {tmp, ld, p->half ? p->ku : 1, p->half ? p->ku * p->mr : p->mr};
  if (p->ap) {
    a.ld = p->lda, a.at = in(p->ap, p->as, i / p->mr * a.ld + (pc - p->k0) * p->mr);
  } else if (a_in_place(p)) {
    a.at = in(g->a, p->es, i * g->ars + pc * g->acs);
    a.ld = p->mr * g->ars, a.rs = g->ars, a.cs = p->half ? p->ku : g->acs;
  } else {
    pack_a(p, tmp, i, m, pc, kc, ld);
  }
  return a;
}

/* rows [i0, i1) x columns [j0, j1) for the block of k at pc; b: packed, ldb between panels */
static void part_block(const plan *p, part t, int64_t pc, const char *b, int64_t ldb, char *tmp) {
  const ml_gemm *g = p->g;
  int64_t kc = least(p->k1 - pc, p->kb), step = scratch_rows(p), n = t.j1 - t.j0;
  bool last = pc + kc == g->k, add = g->accumulate || pc > 0;
  const void *bias = last && g->bias ? in(g->bias, p->fs, t.j0) : NULL;
  for (int64_t i = t.i0; i < t.i1; i += step) {
    int64_t m = least(t.i1 - i, step), ldc = g->ldc;
    operand a = rows_of_a(p, i, m, pc, kc, tmp);
    const void *res = last && g->residual ? in(g->residual, p->fs, i * g->ldr + t.j0) : NULL;
    void *c = out(g->c, p->cs, i * g->ldc + t.j0), *h = NULL;
    if (g->narrow) h = last ? c : NULL, c = tmp + sums_room(p), ldc = scratch_cols(p);
    if (p->half)
      p->kn->gemm16_tile(p->kind, p->native, c, ldc, h, g->ldc, a.at, a.ld, a.rs, a.cs,
                         (const uint16_t *)b, ldb, m, n, kc, add, bias, res, g->ldr);
    else
      p->kn->gemm_tile(c, ldc, a.at, a.ld, a.rs, a.cs, b, ldb, m, n, kc, add, bias, res, g->ldr);
  }
}

/* the blocks of [k0, k1) in order; an empty k still has one, whose sum is +0 */
static void part_blocks(const plan *p, part t, char *tmp) {
  char *own = tmp + b_room(p);
  int64_t pc = p->k0;
  do {
    int64_t kc = least(p->k1 - pc, p->kb), step = scratch_cols(p);
    if (p->bp) {
      int64_t at = (t.j0 - p->n0) / p->nr * p->ldb + (pc - p->k0) * p->nr;
      part_block(p, t, pc, p->bp + at * p->es, p->ldb, tmp);
    } else {
      int64_t ldb = round_up(kc, p->ku) * p->nr;
      for (int64_t j = t.j0; j < t.j1; j += step) {
        part s = {t.i0, t.i1, j, least(j + step, t.j1)};
        pack_b(p, own, j, s.j1 - j, pc, kc, ldb);
        part_block(p, s, pc, own, ldb, tmp);
      }
    }
    pc += kc;
  } while (pc < p->k1);
}

static void part_run(const plan *p, part t, int worker) {
  char *tmp = ml_scratch(worker);
  if (t.i0 >= t.i1 || t.j0 >= t.j1) return;
  if (!p->half) {
    part_blocks(p, t, tmp);
    return;
  }
  ml_flush mode = ml_flush_on();
  int64_t rows = sums_apart(p) ? scratch_rows(p) : t.i1 - t.i0;
  int64_t cols = sums_apart(p) ? scratch_cols(p) : t.j1 - t.j0;
  for (int64_t i = t.i0; i < t.i1; i += rows)
    for (int64_t j = t.j0; j < t.j1; j += cols)
      part_blocks(p, (part){i, least(i + rows, t.i1), j, least(j + cols, t.j1)}, tmp);
  ml_flush_off(mode);
}

/* tile t of rows x cols: panels dealt out evenly */
static part tile_part(const plan *p, int64_t t) {
  int64_t r = t / p->cols, s = t % p->cols, m = p->g->m, n = p->n1 - p->n0;
  int64_t pm = ceil_div(m, p->mr), pn = ceil_div(n, p->nr);
  return (part){least(pm * r / p->rows * p->mr, m), least(pm * (r + 1) / p->rows * p->mr, m),
                p->n0 + least(pn * s / p->cols * p->nr, n),
                p->n0 + least(pn * (s + 1) / p->cols * p->nr, n)};
}

static void tile_task(void *ctx, int64_t task, int worker) {
  const plan *p = ctx;
  part_run(p, tile_part(p, task), worker);
}

/* ---- packing for all ---- */
/* B first, then A; each task a stretch of panels for one stretch of k */
static void pack_task(void *ctx, int64_t task, int worker) {
  const plan *p = ctx;
  int64_t ks = ceil_div(p->k1 - p->k0, p->kw);
  bool is_a = task >= p->btasks;
  if (is_a) task -= p->btasks;
  int64_t off = task % ks * p->kw, pc = p->k0 + off, kc = least(p->kw, p->k1 - pc);
  (void)worker;
  if (is_a) {
    int64_t i = task / ks * p->aw;
    pack_a(p, p->ap + (i / p->mr * p->lda + off * p->mr) * p->as, i, least(p->aw, p->g->m - i),
           pc, kc, p->lda);
  } else {
    int64_t j = task / ks * p->bw;
    pack_b(p, p->bp + (j / p->nr * p->ldb + off * p->nr) * p->es, p->n0 + j,
           least(p->bw, p->n1 - p->n0 - j), pc, kc, p->ldb);
  }
}

/* packs the chunk's B into bp and, if there is an ap, its A */
static void pack_all(plan *p) {
  int64_t n = p->n1 - p->n0, k = round_up(p->k1 - p->k0, p->ku);
  p->bw = round_up(PACK_COLS, p->nr), p->aw = round_up(PACK_COLS / 2, p->mr), p->kw = p->kb;
  p->ldb = k * p->nr, p->lda = k * p->mr;
  int64_t ks = ceil_div(k, p->kw);
  p->btasks = ceil_div(n, p->bw) * ks;
  int64_t atasks = p->ap ? ceil_div(p->g->m, p->aw) * ks : 0;
  ml_parallel(p->btasks + atasks, pack_task, p);
}

size_t ml_gemm_packed_bytes(int kind, int64_t k, int64_t n) {
  plan p = plan_of(kind, &(ml_gemm){.n = n, .k = k});
  return (size_t)(round_up(n, p.nr) * round_up(k, p.ku) * p.es);
}

int ml_gemm_pack(int kind, void *packed, const void *b, int bdt, int64_t brs, int64_t bcs,
                 int64_t k, int64_t n) {
  ml_gemm g = {.n = n, .k = k, .b = b, .brs = brs, .bcs = bcs};
  plan p = plan_of(kind, &g);
  p.bs = ml_dtype_size(bdt), p.bp = packed;
  pack_all(&p);
  return ML_OK;
}

/* ---- one product over all threads ---- */
/* Tiles: rows first, at most TILE_ROWS each and as many for every thread; columns too where
** rows alone would leave threads idle. */
static void split(plan *p) {
  int64_t T = ml_threads(), pm = ceil_div(p->g->m, p->mr), pn = ceil_div(p->n1 - p->n0, p->nr);
  int64_t rows = round_up(ceil_div(p->g->m, scratch_rows(p)), T);
  p->rows = least(rows, pm);
  p->cols = T == 1 ? 1 : least(most(ceil_div(2 * T, p->rows), 1), pn);
}

/* What is packed between two regions. A long k, a gradient's, goes in pieces that stay in L2;
** otherwise all of k, and as many columns as SHARED_BYTES hold. */
static void chunk(const plan *p, int64_t *kstep, int64_t *nstep) {
  int64_t room = SHARED_BYTES / p->es, near = NEAR_BYTES / p->es;
  int64_t k = round_up(p->g->k, p->ku), n = round_up(p->g->n, p->nr);
  *kstep = k, *nstep = n;
  if (k > 2 * most(p->g->m, n) && k * n > near && !sums_apart(p))
    *kstep = most(near / n / p->kb, 1) * p->kb;
  if (*kstep * n > room) *nstep = most(room / *kstep / p->nr, 1) * p->nr;
}

static int run_shared(plan *p) {
  const ml_gemm *g = p->g;
  int64_t kstep, nstep;
  chunk(p, &kstep, &nstep);
  p->n1 = least(nstep, g->n);
  split(p);
  bool share_a = p->cols > 1 && g->m > p->mr && !a_in_place(p);
  int64_t k = least(kstep, round_up(g->k, p->ku));
  size_t bbytes = (size_t)(k * nstep * p->es);
  size_t abytes = share_a ? (size_t)(round_up(g->m, p->mr) * k * p->as) : 0;
  char *room = ml_alloc(bbytes + abytes);
  if (!room) return ML_ENOMEM;
  p->bp = room, p->ap = share_a ? room + bbytes : NULL;
  for (p->n0 = 0; p->n0 < g->n; p->n0 += nstep)
    for (p->k0 = 0; p->k0 < g->k; p->k0 += kstep) {
      p->n1 = least(p->n0 + nstep, g->n), p->k1 = least(p->k0 + kstep, g->k);
      pack_all(p);
      ml_parallel(p->rows * p->cols, tile_task, p);
    }
  ml_free(room);
  return ML_OK;
}

/* B is packed already: tiles only */
static void run_packed(plan *p) {
  p->bp = (char *)(uintptr_t)p->g->packed, p->ldb = round_up(p->g->k, p->ku) * p->nr;
  split(p);
  ml_parallel(p->rows * p->cols, tile_task, p);
}

/* ---- many products, or small ones ---- */
typedef struct {
  int kind;
  const ml_gemm *g;
  int64_t slices; /* of the rows of each product */
} batch;

static void batch_task(void *ctx, int64_t task, int worker) {
  const batch *b = ctx;
  const ml_gemm *g = b->g + task / b->slices;
  plan p = plan_of(b->kind, g);
  p.rows = b->slices, p.cols = 1;
  if (g->packed) p.bp = (char *)(uintptr_t)g->packed, p.ldb = round_up(g->k, p.ku) * p.nr;
  part_run(&p, tile_part(&p, task % b->slices), worker);
}

/* expected nanoseconds of one thread: arithmetic, and B once through memory */
static double cost_ns(int kind, const ml_gemm *g) {
  double a = kind == ML_GEMM_TILES && ml_gemm_uses_native(kind) ? 1e-3 : 2e-2;
  double b = ml_gemm_is_bf16(kind) ? 0.1 : 0.2;
  return a * (double)g->m * (double)g->n * (double)g->k + b * (double)g->n * (double)g->k;
}

static int64_t slices_of(int kind, const ml_gemm *g, int64_t count) {
  double ns = 0;
  for (int64_t i = 0; i < count; i++) ns += cost_ns(kind, g + i);
  int64_t T = ml_threads();
  if (ns < SMALL_NS || count >= 4 * T) return 1;
  return ceil_div(4 * T, count);
}

static int run_batch(int kind, const ml_gemm *g, int64_t count) {
  batch b = {kind, g, slices_of(kind, g, count)};
  ml_parallel(count * b.slices, batch_task, &b);
  return ML_OK;
}

static int reserve(int kind, const ml_gemm *g, int64_t count) {
  size_t bytes = 0;
  for (int64_t i = 0; i < count; i++) {
    plan p = plan_of(kind, g + i);
    if (scratch_bytes(&p) > bytes) bytes = scratch_bytes(&p);
  }
  return ml_scratch_reserve(bytes);
}

static int run_own(int kind, const ml_gemm *g, int64_t count) {
  plan p = plan_of(kind, g);
  int st = reserve(kind, g, count);
  if (st != ML_OK) return st;
  if (count > 1 || cost_ns(kind, g) < SMALL_NS || g->n == 0 || g->k == 0)
    return run_batch(kind, g, count);
  if (!g->packed) return run_shared(&p);
  run_packed(&p);
  return ML_OK;
}

/* ---- residual == c: sums of early blocks would overwrite it, so a copy is kept ---- */
static bool must_hold(int64_t kb, const ml_gemm *g) {
  return g->residual == g->c && g->k > kb;
}

static void hold_task(void *ctx, int64_t task, int worker) {
  const plan *p = ctx;
  int64_t n = p->g->n;
  (void)worker;
  for (int64_t i = task * ENGINE_ROWS; i < least((task + 1) * ENGINE_ROWS, p->g->m); i++)
    memcpy(p->bp + i * n * p->fs, in(p->g->c, p->fs, i * p->g->ldc), (size_t)(n * p->fs));
}

/* a copy of the products whose residuals all live apart from c; *held is to be freed */
static int hold(int kind, const ml_gemm **g, int64_t count, char **held) {
  plan p = plan_of(kind, *g);
  int64_t head = round_up(count * (int64_t)sizeof **g, 64), all = head;
  for (int64_t i = 0; i < count; i++)
    if (must_hold(p.kb, *g + i)) all += (*g)[i].m * (*g)[i].n * p.fs;
  if (all == head) return ML_OK;
  char *room = ml_alloc((size_t)all);
  if (!room) return ML_ENOMEM;
  ml_gemm *copy = memcpy(room, *g, (size_t)count * sizeof **g);
  int64_t used = head;
  for (int64_t i = 0; i < count; i++) {
    if (!must_hold(p.kb, copy + i)) continue;
    p.g = copy + i, p.bp = room + used;
    ml_parallel(ceil_div(p.g->m, ENGINE_ROWS), hold_task, &p);
    copy[i].residual = p.bp, copy[i].ldr = p.g->n;
    used += p.g->m * p.g->n * p.fs;
  }
  *held = room, *g = copy;
  return ML_OK;
}

/* ---- an outside engine: C = (accumulate ? C : 0) + A B of ENGINE_ROWS rows is its part ---- */
typedef struct {
  int dtype;
  const ml_gemm *g;
  int64_t slices;
  ml_gemm_engine *run;
} outside;

/* residual goes into C before, bias after: the engine only ever accumulates */
static void engine_task(void *ctx, int64_t task, int worker) {
  const outside *o = ctx;
  ml_gemm s = o->g[task / o->slices];
  const ml_kernels *kn = ml_k(o->dtype);
  int64_t es = ml_dtype_size(o->dtype);
  int64_t i0 = task % o->slices * ENGINE_ROWS;
  (void)worker;
  if (i0 >= s.m || s.n == 0) return;
  s.m = least(s.m - i0, ENGINE_ROWS);
  s.a = in(s.a, es, i0 * s.ars), s.c = out(s.c, es, i0 * s.ldc);
  if (s.residual) s.residual = in(s.residual, es, i0 * s.ldr);
  for (int64_t i = 0; s.residual && s.residual != s.c && i < s.m; i++) {
    char *c = out(s.c, es, i * s.ldc);
    const char *r = in(s.residual, es, i * s.ldr);
    if (s.accumulate) kn->add(c, c, 1, r, 1, s.n);
    else memcpy(c, r, (size_t)(s.n * es));
  }
  s.accumulate = s.accumulate || s.residual;
  const void *bias = s.bias;
  s.bias = s.residual = NULL;
  o->run(o->dtype, &s);
  for (int64_t i = 0; bias && i < s.m; i++) {
    char *c = out(s.c, es, i * s.ldc);
    kn->add(c, c, 1, bias, 1, s.n);
  }
}

/* lines of `length` elements, contiguous, a BLAS's leading dimension apart */
static bool blas_strides(int64_t s0, int64_t n0, int64_t s1, int64_t n1) {
  return (s1 == 1 && s0 >= most(n1, 1)) || (s0 == 1 && s1 >= most(n0, 1));
}

static bool engine_takes(const ml_gemm *g) {
  return !g->packed && g->k > 0 && blas_strides(g->ars, g->m, g->acs, g->k) &&
         blas_strides(g->brs, g->k, g->bcs, g->n);
}

/* false: some product is not for an engine, nothing was done */
static bool run_engine(int dtype, const ml_gemm *g, int64_t count, ml_gemm_engine *run) {
  int64_t m = 0;
  for (int64_t i = 0; i < count; i++) {
    if (!engine_takes(g + i)) return false;
    m = most(m, g[i].m);
  }
  outside o = {dtype, g, ceil_div(m, ENGINE_ROWS), run};
  ml_parallel(count * o.slices, engine_task, &o);
  return true;
}

int ml_gemm_run(int kind, const ml_gemm *g, int64_t count) {
  ml_gemm_engine *engine = kind == ML_F64   ? ml_gemm_engine_f64
                           : kind == ML_F32 ? ml_gemm_engine_f32
                                            : NULL;
  if (count <= 0) return ML_OK;
  if (engine && run_engine(kind, g, count, engine)) return ML_OK;
  char *held = NULL;
  int st = hold(kind, &g, count, &held);
  if (st == ML_OK) st = run_own(kind, g, count);
  ml_free(held);
  return st;
}
