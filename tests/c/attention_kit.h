/* attention_kit.h -- what test_attention.c and test_attention16.c share: problems of every layout,
** where their elements are, and the mathematics in double. */
#ifndef ML_TEST_ATTENTION_KIT_H
#define ML_TEST_ATTENTION_KIT_H

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

#define EACH_ISA(isa)                              \
  for (int isa = 0; isa < ML_ISA_COUNT; isa++)     \
    if (ml_cpu_has(isa) && ml_isa_set(isa) == ML_OK)

/* ---- the mathematics in double ---- */

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

/* every output into fresh arrays */
static void exact_outputs(const problem *p, double *want[ARRAYS]) {
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
  free(e.p_row);
}

static uint64_t hash_of(const problem *p, int dtype, uint64_t h) {
  for (int i = INPUTS; i < ARRAYS; i++) {
    const uint8_t *x = dtype == ML_F64 ? (const uint8_t *)p->d[i] : (const uint8_t *)p->f[i];
    for (int64_t j = 0; j < p->size[i] * ml_dtype_size(dtype); j++)
      h = (h ^ x[j]) * 1099511628211u;
  }
  return h;
}

#endif
