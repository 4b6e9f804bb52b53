/* test_attention.c -- attention against the plain loops that define it, bit for bit, on every ISA
** of this machine, and against doubles; a decoded token, a document alone, a training row and any
** number of threads give the same bits. With "--hash" it prints one number
** instead, for comparing machines, compilers and NEON. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if !defined(ML_TEST_NO_CMOCKA)
#include <cmocka.h>
#else
#define assert_true(x) do { if (!(x)) { printf("failed: %s\n", #x); exit(1); } } while (0)
#define assert_int_equal(a, b) assert_true((a) == (b))
#define assert_memory_equal(a, b, n) assert_true(memcmp(a, b, n) == 0)
#endif

#include "kernels/attention.h"
#include "kit.h"

static uint32_t state = 1;
static uint32_t next(void) { return (state = state * 1664525u + 1013904223u) >> 8; }
static int64_t below(int64_t n) { return (int64_t)(next() % (uint32_t)n); }

static void *zeros(int64_t n, size_t size) {
  void *p = calloc((size_t)n + 1, size);
  assert_true(p != NULL);
  return p;
}

/* ---- a problem in both dtypes: every tensor an array, forward's and backward's ---- */
enum { Q, K, V, DOUT, INPUTS, O = INPUTS, LSE, DQ, DK, DV, ARRAYS };
enum { SEPARATE, PACKED, HEADS_FIRST, LAYOUTS }; /* (T, H, D); rows of q, k and v; (H, T, D) */
typedef struct {
  int64_t rows, heads, kv_heads, dim, window;
  int layout;
  int64_t nseg;
  ml_segment seg[8];
  int64_t size[ARRAYS], offset[ARRAYS];
  float *f[ARRAYS];
  double *d[ARRAYS];
} problem;

static void allocate(problem *p) {
  int64_t width = p->heads * p->dim, kv = p->kv_heads * p->dim, all = width + 2 * kv;
  for (int i = 0; i < ARRAYS; i++) {
    p->size[i] = p->rows * (i == K || i == V || i == DK || i == DV ? kv : width);
    if (i == LSE) p->size[i] = p->rows * p->heads;
    if (p->layout == PACKED && (i <= V || i >= DQ)) p->size[i] = p->rows * all;
    p->f[i] = zeros(p->size[i], sizeof(float)), p->d[i] = zeros(p->size[i], sizeof(double));
  }
  if (p->layout == PACKED) /* one array of rows holds q, k and v, another their gradients */
    for (int i = 0; i < 2; i++) {
      int q = i ? DQ : Q;
      for (int j = 1; j < 3; j++) {
        free(p->f[q + j]), free(p->d[q + j]);
        p->f[q + j] = p->f[q], p->d[q + j] = p->d[q];
        p->offset[q + j] = width + (j - 1) * kv;
      }
    }
  for (int i = 0; i < INPUTS; i++)
    for (int64_t j = 0; j < p->size[i]; j++)
      p->d[i][j] = p->f[i][j] = (float)next() * 0x1p-23f - 1;
}

static problem make(int64_t heads, int64_t kv_heads, int64_t dim, int64_t window, int layout,
                    int64_t nseg, const int64_t *len) {
  problem p = {0, heads, kv_heads, dim, window, layout, nseg};
  for (int64_t i = 0; i < nseg; i++) {
    p.seg[i] = (ml_segment){p.rows, p.rows, len[i], 0};
    p.rows += len[i];
  }
  allocate(&p);
  return p;
}

static void drop(problem *p) {
  for (int i = 0; i < ARRAYS; i++) {
    if (p->layout == PACKED && (i == K || i == V || i == DK || i == DV)) continue;
    free(p->f[i]), free(p->d[i]);
  }
}

static void *array(const problem *p, int dtype, int i) {
  if (dtype == ML_F64) return p->d[i] + p->offset[i];
  return p->f[i] + p->offset[i];
}

static ml_attention attention_of(const problem *p, int dtype) {
  int64_t D = p->dim, all = (p->heads + 2 * p->kv_heads) * D;
  ml_attention a = {p->heads, p->kv_heads, D, p->window, .scale = 1 / sqrt((double)D)};
  a.q = array(p, dtype, Q), a.k = array(p, dtype, K), a.v = array(p, dtype, V);
  a.o = array(p, dtype, O), a.lse = array(p, dtype, LSE), a.dout = array(p, dtype, DOUT);
  a.dq = array(p, dtype, DQ), a.dk = array(p, dtype, DK), a.dv = array(p, dtype, DV);
  a.hsq = a.hsk = a.hsv = a.hso = D;
  a.ldq = a.ldo = p->heads * D, a.ldk = a.ldv = p->kv_heads * D;
  if (p->layout == PACKED) a.ldq = a.ldk = a.ldv = all;
  if (p->layout == HEADS_FIRST) {
    a.ldq = a.ldo = a.ldk = a.ldv = D;
    a.hsq = a.hso = a.hsk = a.hsv = p->rows * D;
  }
  return a;
}

/* outputs start as garbage: all of them must be overwritten */
static void run(problem *p, int dtype) {
  size_t es = dtype == ML_F64 ? 8 : 4;
  for (int i = INPUTS; i < ARRAYS; i++)
    if (!(p->layout == PACKED && (i == DK || i == DV)))
      memset(dtype == ML_F64 ? (void *)p->d[i] : (void *)p->f[i], 0x7f, (size_t)p->size[i] * es);
  ml_attention a = attention_of(p, dtype);
  assert_int_equal(ml_attention_forward(dtype, &a, p->seg, p->nseg), ML_OK);
  assert_int_equal(ml_attention_backward(dtype, &a, p->seg, p->nseg), ML_OK);
}

/* ---- the definition of attention.c's header, in float ---- */
static float exp_of(float x) {
  float y;
  ml_k(ML_F32)->exp(&y, &x, 1, 1);
  return y;
}
static float log_of(float x) {
  float y;
  ml_k(ML_F32)->log(&y, &x, 1, 1);
  return y;
}

typedef struct { const ml_attention *a; const ml_segment *s; int64_t h; } view;
static int64_t at_q(const view *w, int64_t i) {
  return (w->s->q_row + i) * w->a->ldq + w->h * w->a->hsq;
}
static int64_t at_o(const view *w, int64_t i) {
  return (w->s->q_row + i) * w->a->ldo + w->h * w->a->hso;
}
static int64_t kv_of(const view *w) { return w->h / (w->a->heads / w->a->kv_heads); }
static int64_t at_k(const view *w, int64_t j) {
  return (w->s->k_row + j) * w->a->ldk + kv_of(w) * w->a->hsk;
}
static int64_t at_v(const view *w, int64_t j) {
  return (w->s->k_row + j) * w->a->ldv + kv_of(w) * w->a->hsv;
}
static int64_t at_lse(const view *w, int64_t i) {
  return (w->s->q_row + i) * w->a->heads + w->h;
}
static bool sees(const view *w, int64_t i, int64_t j) {
  int64_t p = w->s->past + i;
  return j <= p && (w->a->window == 0 || j > p - w->a->window);
}

UNWATCHED static float score(const view *w, int64_t i, int64_t j) {
  const float *q = (const float *)w->a->q + at_q(w, i), *k = (const float *)w->a->k + at_k(w, j);
  float s = 0;
  for (int64_t d = 0; d < w->a->dim; d++) s = fmaf(q[d] * (float)w->a->scale, k[d], s);
  return s;
}

UNWATCHED static void defined_row(const view *w, int64_t i, float *o, float *lse) {
  float m = -1e30f, l = 0, p[ML_DET_KEYS];
  int64_t D = w->a->dim, last = w->s->past + i;
  for (int64_t d = 0; d < D; d++) o[d] = 0;
  for (int64_t b = 0; b <= last; b += ML_DET_KEYS) {
    float c[4] = {0}, was = m;
    int64_t n = last + 1 - b < ML_DET_KEYS ? last + 1 - b : ML_DET_KEYS;
    if (!sees(w, i, b + n - 1)) continue;
    for (int64_t j = 0; j < n; j++) {
      if (!sees(w, i, b + j)) continue;
      p[j] = score(w, i, b + j);
      m = p[j] > m ? p[j] : m;
    }
    for (int64_t j = 0; j < n; j++)
      if (sees(w, i, b + j)) c[j % 4] += p[j] = exp_of(p[j] - m);
    l = fmaf(l, exp_of(was - m), (c[0] + c[2]) + (c[1] + c[3]));
    for (int64_t d = 0; d < D; d++) {
      o[d] *= exp_of(was - m);
      for (int64_t j = 0; j < n; j++)
        if (sees(w, i, b + j)) o[d] = fmaf(p[j], ((const float *)w->a->v)[at_v(w, b + j) + d], o[d]);
    }
  }
  for (int64_t d = 0; d < D; d++) o[d] = o[d] * (1 / l) + 0.0f;
  *lse = m + log_of(l);
}

/* p and ds of one pair */
UNWATCHED static void pair_grad(const view *w, int64_t i, int64_t j, float delta, float *p, float *ds) {
  const float *g = (const float *)w->a->dout + at_o(w, i), *v = (const float *)w->a->v + at_v(w, j);
  float dp = 0;
  for (int64_t d = 0; d < w->a->dim; d++) dp = fmaf(v[d], g[d], dp);
  *p = exp_of(score(w, i, j) - ((const float *)w->a->lse)[at_lse(w, i)]);
  *ds = *p * (dp - delta);
}

/* adds one query's part to dq, dk, dv; the caller goes head by head, query by query */
UNWATCHED static void defined_grad(const view *w, int64_t i, float *dq, float *dk, float *dv) {
  const float *q = (const float *)w->a->q + at_q(w, i), *g = (const float *)w->a->dout + at_o(w, i);
  const float *k = w->a->k;
  float delta, p, ds, scale = (float)w->a->scale;
  ml_k(ML_F32)->row_dot(&delta, g, 0, (const float *)w->a->o + at_o(w, i), 0, 0, 1, w->a->dim);
  for (int64_t d = 0; d < w->a->dim; d++) dq[at_q(w, i) + d] = 0;
  for (int64_t j = 0; j <= w->s->past + i; j++) {
    if (!sees(w, i, j)) continue;
    pair_grad(w, i, j, delta, &p, &ds);
    for (int64_t d = 0; d < w->a->dim; d++) {
      float *x = dq + at_q(w, i) + d, *y = dk + at_k(w, j) + d, *z = dv + at_v(w, j) + d;
      *x = fmaf(ds, k[at_k(w, j) + d], *x);
      *y = fmaf(ds, q[d] * scale, *y);
      *z = fmaf(p, g[d], *z);
    }
  }
  for (int64_t d = 0; d < w->a->dim; d++) dq[at_q(w, i) + d] = dq[at_q(w, i) + d] * scale + 0.0f;
}

/* every output by definition into fresh arrays, from p's own o and lse in backward */
static void define(const problem *p, float *want[ARRAYS]) {
  for (int i = INPUTS; i < ARRAYS; i++) want[i] = zeros(p->size[i], sizeof(float));
  ml_attention a = attention_of(p, ML_F32);
  float *dk = want[DK] + p->offset[DK], *dv = want[DV] + p->offset[DV];
  if (p->layout == PACKED) dk = want[DQ] + p->offset[DK], dv = want[DQ] + p->offset[DV];
  for (int64_t s = 0; s < p->nseg; s++)
    for (int64_t h = 0; h < p->heads; h++)
      for (int64_t i = 0; i < p->seg[s].len; i++) {
        view w = {&a, &p->seg[s], h};
        defined_row(&w, i, want[O] + at_o(&w, i), want[LSE] + at_lse(&w, i));
        defined_grad(&w, i, want[DQ], dk, dv);
      }
  for (int i = DQ; i < ARRAYS; i++)
    for (int64_t j = 0; j < p->size[i]; j++) want[i][j] += 0.0f;
}

static void expect_defined(const problem *p) {
  float *want[ARRAYS];
  define(p, want);
  for (int i = INPUTS; i < ARRAYS; i++) {
    bool shared = p->layout == PACKED && (i == DK || i == DV);
    if (!shared) assert_memory_equal(p->f[i], want[i], (size_t)p->size[i] * sizeof(float));
    free(want[i]);
  }
}

#define EACH_ISA(isa)                              \
  for (int isa = 0; isa < ML_ISA_COUNT; isa++)     \
    if (ml_cpu_has(isa) && ml_isa_set(isa) == ML_OK)

/* ---- tests ---- */

static void is_as_defined(void **s) {
  static const struct { int64_t heads, kv, dim, window; int64_t len[3]; } c[] = {
    {2, 1, 32, 0, {70, 1, 33}}, {2, 2, 64, 0, {15, 31, 47}}, {4, 2, 16, 5, {40, 64, 3}},
    {1, 1, 24, 0, {270, 2, 0}}, {3, 1, 8, 40, {100, 13, 29}}, {2, 2, 80, 0, {17, 32, 16}},
    {1, 1, 16, 300, {530, 1, 1}}, {2, 1, 2, 0, {9, 6, 260}}, {1, 1, 16, 1, {37, 5, 5}},
    {1, 1, 256, 0, {33, 4, 4}}, {1, 1, 50, 20, {300, 8, 8}}, {5, 1, 48, 0, {10, 20, 2}}};
  (void)s;
  for (size_t i = 0; i < sizeof c / sizeof *c; i += SANITIZED ? 2 : 1)
    for (int layout = 0; layout < LAYOUTS; layout++) {
      if (i % 3 != (size_t)layout && (SANITIZED || i > 4)) continue;
      problem p = make(c[i].heads, c[i].kv, c[i].dim, c[i].window, layout, 3, c[i].len);
      EACH_ISA(isa) {
        run(&p, ML_F32);
        expect_defined(&p);
      }
      drop(&p);
    }
}

/* the mathematics in double, for one problem; returns the worst error relative to 1 + |value| */
static double worst_error(const problem *p, int dtype);

typedef struct { const problem *p; view w; double *p_row, *ds_row; } exact;

UNWATCHED static void exact_row(const exact *e, int64_t i, double *o, double *lse) {
  const view *w = &e->w;
  const double *q = (const double *)w->a->q + at_q(w, i), *k = w->a->k, *v = w->a->v;
  int64_t D = w->a->dim, n = w->s->past + i + 1;
  double m = -INFINITY, l = 0;
  for (int64_t j = 0; j < n; j++) {
    double sum = 0;
    for (int64_t d = 0; d < D; d++) sum += q[d] * k[at_k(w, j) + d];
    e->p_row[j] = sees(w, i, j) ? sum * w->a->scale : -INFINITY;
    m = fmax(m, e->p_row[j]);
  }
  for (int64_t j = 0; j < n; j++) l += e->p_row[j] = exp(e->p_row[j] - m);
  for (int64_t d = 0; d < D; d++) o[d] = 0;
  for (int64_t j = 0; j < n; j++) {
    e->p_row[j] /= l;
    for (int64_t d = 0; d < D; d++) o[d] += e->p_row[j] * v[at_v(w, j) + d];
  }
  *lse = m + log(l);
}

UNWATCHED static void exact_grad(const exact *e, int64_t i, const double *o, double *dq, double *dk,
                       double *dv) {
  const view *w = &e->w;
  const double *q = (const double *)w->a->q + at_q(w, i), *k = w->a->k, *v = w->a->v;
  const double *g = (const double *)w->a->dout + at_o(w, i);
  double delta = 0;
  for (int64_t d = 0; d < w->a->dim; d++) delta += g[d] * o[d];
  for (int64_t j = 0; j < w->s->past + i + 1; j++) {
    double dp = 0;
    for (int64_t d = 0; d < w->a->dim; d++) dp += g[d] * v[at_v(w, j) + d];
    double ds = e->p_row[j] * (dp - delta) * w->a->scale;
    for (int64_t d = 0; d < w->a->dim; d++) {
      dq[at_q(w, i) + d] += ds * k[at_k(w, j) + d];
      dk[at_k(w, j) + d] += ds * q[d];
      dv[at_v(w, j) + d] += e->p_row[j] * g[d];
    }
  }
}

static double worst_error(const problem *p, int dtype) {
  double *want[ARRAYS], worst = 0;
  for (int i = INPUTS; i < ARRAYS; i++) want[i] = zeros(p->size[i], sizeof(double));
  ml_attention a = attention_of(p, ML_F64);
  double *dk = want[DK], *dv = want[DV];
  if (p->layout == PACKED) dk = want[DQ] + p->offset[DK], dv = want[DQ] + p->offset[DV];
  exact e = {p, {&a, NULL, 0}, zeros(p->rows, sizeof(double)), NULL};
  for (int64_t s = 0; s < p->nseg; s++)
    for (int64_t h = 0; h < p->heads; h++)
      for (int64_t i = 0; i < p->seg[s].len; i++) {
        e.w.s = &p->seg[s], e.w.h = h;
        double *o = want[O] + at_o(&e.w, i);
        exact_row(&e, i, o, want[LSE] + at_lse(&e.w, i));
        exact_grad(&e, i, o, want[DQ], dk, dv);
      }
  for (int i = INPUTS; i < ARRAYS; i++) {
    bool shared = p->layout == PACKED && (i == DK || i == DV);
    for (int64_t j = 0; j < p->size[i] && !shared; j++) {
      double got = dtype == ML_F64 ? p->d[i][j] : (double)p->f[i][j];
      double error = fabs(got - want[i][j]) / (1 + fabs(want[i][j]));
      if (!(error <= worst)) worst = error;
    }
    free(want[i]);
  }
  free(e.p_row);
  return worst;
}

static void is_exact_to_rounding(void **s) {
  static const struct { int64_t heads, kv, dim, window; int64_t len[2]; } c[] = {
    {2, 1, 32, 0, {300, 17}}, {2, 2, 64, 0, {130, 31}}, {4, 2, 18, 50, {290, 64}}};
  (void)s;
  for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
    problem p = make(c[i].heads, c[i].kv, c[i].dim, c[i].window, (int)i % LAYOUTS, 2, c[i].len);
    run(&p, ML_F64);
    assert_true(worst_error(&p, ML_F64) < 1e-12);
    EACH_ISA(isa) {
      run(&p, ML_F32);
      assert_true(worst_error(&p, ML_F32) < 1e-5);
    }
    drop(&p);
  }
}

/* queries [past, past + len) of p's first segment again, as a cache would have them */
static void expect_continued(problem *p, const ml_attention *trained, int64_t past, int64_t len) {
  size_t n = (size_t)p->size[O], m = (size_t)p->size[LSE];
  float *o = zeros((int64_t)n, sizeof *o), *lse = zeros((int64_t)m, sizeof *lse);
  ml_attention a = *trained;
  ml_segment s = {past, 0, len, past};
  a.o = o, a.lse = lse;
  assert_int_equal(ml_attention_forward(ML_F32, &a, &s, 1), ML_OK);
  for (int64_t i = 0; i < len; i++)
    for (int64_t h = 0; h < p->heads; h++) {
      view w = {&a, &s, h};
      assert_memory_equal(o + at_o(&w, i), p->f[O] + at_o(&w, i), (size_t)p->dim * sizeof *o);
      assert_memory_equal(&lse[at_lse(&w, i)], &p->f[LSE][at_lse(&w, i)], sizeof *lse);
    }
  free(o), free(lse);
}

static void decoding_is_training(void **s) {
  static const int64_t past[] = {0, 1, 2, 12, 13, 14, 15, 27, 28, 30, 31, 32, 33, 63, 64, 250, 251,
                                 252, 253, 265, 266, 283, 284, 502, 503, 504, 505, 519};
  static const int64_t length[] = {1, 2, 7, 15, 16, 17, 33, 253};
  (void)s;
  for (int c = 0; c < 5; c++) {
    int64_t dim = c == 1 ? 24 : c == 2 ? 64 : c == 4 ? 130 : 32, rows = 520;
    problem p = make(c == 2 ? 6 : 2, c == 0 ? 2 : 1, dim, c == 3 ? 100 : 0, c % LAYOUTS, 1, &rows);
    EACH_ISA(isa) {
      if (isa == ML_ISA_SCALAR && c > !SANITIZED) continue; /* software fma: slow */
      ml_attention a = attention_of(&p, ML_F32);
      assert_int_equal(ml_attention_forward(ML_F32, &a, p.seg, 1), ML_OK);
      for (size_t i = 0; i < sizeof past / sizeof *past; i += SANITIZED ? 3 : 1)
        for (size_t j = 0; j < sizeof length / sizeof *length; j += SANITIZED ? 3 : 1)
          if (past[i] + length[j] <= rows) expect_continued(&p, &a, past[i], length[j]);
    }
    drop(&p);
  }
}

/* rows and documents in one call == the same ones alone */
static void a_document_stands_alone(void **s) {
  static const int64_t len[] = {40, 1, 290, 14};
  (void)s;
  EACH_ISA(isa) {
    problem p = make(4, 2, 32, 0, SEPARATE, 4, len);
    run(&p, ML_F32);
    for (int i = 0; i < 4; i++) {
      problem one = make(4, 2, 32, 0, SEPARATE, 1, &len[i]);
      for (int j = 0; j < ARRAYS; j++) {
        int64_t first = p.size[j] / p.rows * p.seg[i].q_row;
        if (j == INPUTS) run(&one, ML_F32); /* all inputs are there now */
        if (j < INPUTS) memcpy(one.f[j], p.f[j] + first, (size_t)one.size[j] * sizeof(float));
        else assert_memory_equal(one.f[j], p.f[j] + first, (size_t)one.size[j] * sizeof(float));
      }
      drop(&one);
    }
    drop(&p);
  }
}

static uint64_t hash_of(const problem *p, int dtype, uint64_t h) {
  for (int i = INPUTS; i < ARRAYS; i++) {
    const uint8_t *x = dtype == ML_F64 ? (const uint8_t *)p->d[i] : (const uint8_t *)p->f[i];
    for (int64_t j = 0; j < p->size[i] * ml_dtype_size(dtype); j++)
      h = (h ^ x[j]) * 1099511628211u;
  }
  return h;
}

static void threads_do_not_show(void **s) {
  static const struct { int64_t heads, kv, len[2]; } c[] = {
    {6, 3, {300, 77}}, {8, 1, {520, 3}}, {1, 1, {600, 0}}};
  static const int threads[] = {1, 2, 3, 7};
  (void)s;
  for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
    problem p = make(c[i].heads, c[i].kv, 32, 0, PACKED, 2, c[i].len);
    EACH_ISA(isa) {
      if (isa == ML_ISA_SCALAR && (SANITIZED || i > 0)) continue;
      uint64_t first = 0;
      for (int j = 0; j < 4; j++) {
        assert_int_equal(ml_set_threads(threads[j]), ML_OK);
        run(&p, ML_F32);
        uint64_t h = hash_of(&p, ML_F32, 1);
        if (j == 0) first = h;
        assert_true(h == first);
      }
    }
    drop(&p);
  }
  ml_set_threads(2);
}

static void lse_is_optional_and_memory_can_fail(void **s) {
  static const int64_t len[] = {40};
  (void)s;
  problem p = make(2, 2, 32, 0, SEPARATE, 1, len);
  ml_attention a = attention_of(&p, ML_F32);
  a.lse = NULL;
  assert_int_equal(ml_attention_forward(ML_F32, &a, p.seg, 1), ML_OK);
  assert_int_equal(ml_attention_forward(ML_F32, &a, p.seg, 0), ML_OK);
  ml_pool_shutdown();
  ml_mem_fail_at(1);
  assert_int_equal(ml_attention_forward(ML_F32, &a, p.seg, 1), ML_ENOMEM);
  ml_mem_fail_at(1);
  assert_int_equal(ml_attention_backward(ML_F32, &a, p.seg, 1), ML_ENOMEM);
  ml_mem_fail_at(0);
  drop(&p);
}

/* ---- one number for a machine: a few problems and decoded rows ---- */
static uint64_t hash_of_problems(void) {
  uint64_t h = 1469598103934665603u;
  state = 7;
  for (int i = 0; i < (SANITIZED ? 2 : 8); i++) {
    int64_t len[2]; /* one draw a statement: compilers order arguments as they like */
    int64_t kv = 1 + below(2);
    int64_t heads = kv * (1 + below(3));
    int64_t dim = 2 + 2 * below(30);
    int64_t window = 1 + below(60);
    len[0] = 1 + below(40);
    len[1] = 1 + below(300);
    problem p = make(heads, kv, dim, i % 3 ? 0 : window, i % LAYOUTS, 2, len);
    run(&p, ML_F32);
    h = hash_of(&p, ML_F32, h);
    drop(&p);
  }
  return h;
}

static void one_hash_on_every_isa(void **s) {
  uint64_t first = 0;
  (void)s;
  EACH_ISA(isa) {
    uint64_t h = hash_of_problems();
    if (first == 0) first = h;
    assert_true(h == first);
  }
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "--hash")) {
    one_hash_on_every_isa(NULL);
    printf("%016llx\n", (unsigned long long)hash_of_problems());
    return 0;
  }
#if !defined(ML_TEST_NO_CMOCKA)
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(is_as_defined), cmocka_unit_test(is_exact_to_rounding),
    cmocka_unit_test(decoding_is_training), cmocka_unit_test(a_document_stands_alone),
    cmocka_unit_test(threads_do_not_show), cmocka_unit_test(lse_is_optional_and_memory_can_fail),
    cmocka_unit_test(one_hash_on_every_isa),
  };
  return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
#endif
}
