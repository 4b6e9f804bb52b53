/* muon.c -- orthogonalisation by the quintic Newton-Schulz iteration of Muon (Keller Jordan et
** al. 2024): X <- aX + (bA + cA^2)X with A = XX^T, from X = U / (|U| + 1e-7), on the wide side.
** All matrices go through each product as one task list. A and A^2 are symmetric to the bit, as
** the products a_ik a_kj commute: strips of rows are computed up to their diagonal, and mirrored.
*/
#include "kernels/gemm.h"
#include "optim/optim.h"

#include <math.h>
#include <string.h>

static const double NS_A = 3.4445, NS_B = -4.7750, NS_C = 2.0315;

/* one matrix's workspace, r <= c: x and y (r, c), a and b (r, r) */
typedef struct { char *x, *y, *a, *b; int64_t r, c; bool turned; } ns;
typedef struct { int dtype; const ml_matrix *in; ns *w; } ns_job;

static int64_t es_of(int dtype) { return ml_dtype_size(dtype); }

static double norm_of(int dtype, const char *x, int64_t n) {
  const ml_kernels *k = ml_k(dtype);
  double sum = 0;
  for (int64_t at = 0; at < n; at += ML_DET_FLAT) {
    double d = 0;
    float f = 0;
    k->flat_sumsq(dtype == ML_F64 ? (void *)&d : (void *)&f, x + at * es_of(dtype), n - at, 0, 1);
    sum += dtype == ML_F64 ? d : (double)f;
  }
  return sqrt(sum);
}

/* x = u / (|u| + 1e-7), lying on its side if u is tall */
static void start_task(void *ctx, int64_t i, int worker) {
  const ns_job *j = ctx;
  const ml_kernels *k = ml_k(j->dtype);
  const ns *w = &j->w[i];
  int64_t es = es_of(j->dtype), n = w->r * w->c;
  const char *u = j->in[i].u;
  double s = 1 / (norm_of(j->dtype, u, n) + 1e-7);
  (void)worker;
  for (int64_t r = 0; r < w->r; r++)
    k->scale(w->x + r * w->c * es, w->turned ? u + r * es : u + r * w->c * es,
             w->turned ? w->r : 1, w->c, s);
}

static void polynomial_task(void *ctx, int64_t i, int worker) {
  const ns_job *j = ctx;
  const ml_kernels *k = ml_k(j->dtype);
  const ns *w = &j->w[i];
  (void)worker;
  k->scale(w->b, w->b, 1, w->r * w->r, NS_C); /* b held A^2 */
  k->axpy(w->b, w->a, 1, w->r * w->r, NS_B);
  k->scale(w->y, w->x, 1, w->r * w->c, NS_A);
}

static void finish_task(void *ctx, int64_t i, int worker) {
  const ns_job *j = ctx;
  const ml_kernels *k = ml_k(j->dtype);
  const ns *w = &j->w[i];
  int64_t es = es_of(j->dtype);
  char *u = j->in[i].u;
  (void)worker;
  for (int64_t r = 0; r < w->r; r++)
    k->copy(w->turned ? u + r * es : u + r * w->c * es, w->turned ? w->r : 1,
            w->x + r * w->c * es, 1, w->c);
}

/* ---- the three products of an iteration ---- */

enum { STRIPS = 5, LEAST_ROWS = 64 }; /* rows are cut into at most so many, of at least so many */

static int64_t strips_of(const ns *m) {
  int64_t n = m->r / LEAST_ROWS;
  return n < 1 ? 1 : n < STRIPS ? n : STRIPS;
}
static int64_t strip_at(const ns *m, int64_t i) { return m->r * i / strips_of(m); }

/* the strips of A = X X^T, or of B = A A */
static int64_t symmetric_strips(const ns *m, bool square, int64_t es, ml_gemm *g) {
  for (int64_t i = 0; i < strips_of(m); i++) {
    int64_t r0 = strip_at(m, i), r1 = strip_at(m, i + 1);
    const char *from = square ? m->a : m->x;
    int64_t k = square ? m->r : m->c;
    g[i] = (ml_gemm){.m = r1 - r0, .n = r1, .k = k, .a = from + r0 * k * es, .ars = k, .acs = 1,
                     .b = from, .brs = 1, .bcs = k, .ldc = m->r,
                     .c = (square ? m->b : m->a) + r0 * m->r * es};
  }
  return strips_of(m);
}

typedef struct { int dtype; const ns *w; bool square; } mirror_job;

/* what lies right of each strip is what lies below it, turned */
static void mirror_task(void *ctx, int64_t i, int worker) {
  const mirror_job *j = ctx;
  const ns *m = &j->w[i];
  char *s = j->square ? m->b : m->a;
  int64_t es = es_of(j->dtype);
  (void)worker;
  for (int64_t t = 0; t + 1 < strips_of(m); t++) {
    int64_t end = strip_at(m, t + 1);
    for (int64_t r = strip_at(m, t); r < end; r++)
      ml_k(j->dtype)->copy(s + (r * m->r + end) * es, 1, s + (end * m->r + r) * es, m->r,
                           m->r - end);
  }
}

/* A = X X^T of all matrices, or B = A A */
static int symmetric(int dtype, const ns *w, int count, ml_gemm *g, bool square) {
  int64_t n = 0, es = es_of(dtype);
  for (int i = 0; i < count; i++) n += symmetric_strips(&w[i], square, es, g + n);
  int st = ml_gemm_run(dtype, g, n);
  if (st == ML_OK) ml_parallel(count, mirror_task, &(mirror_job){dtype, w, square});
  return st;
}

/* Y = aX + B X; y holds aX */
static int apply(int dtype, const ns *w, int count, ml_gemm *g) {
  for (int i = 0; i < count; i++) {
    const ns *m = &w[i];
    g[i] = (ml_gemm){.m = m->r, .n = m->c, .k = m->r, .a = m->b, .ars = m->r, .acs = 1,
                     .b = m->x, .brs = m->c, .bcs = 1, .c = m->y, .ldc = m->c,
                     .residual = m->y, .ldr = m->c};
  }
  return ml_gemm_run(dtype, g, count);
}

static int64_t room(const ml_matrix *x) {
  int64_t r = x->rows < x->cols ? x->rows : x->cols;
  return 2 * x->rows * x->cols + 2 * r * r;
}

static void carve(ns *w, const ml_matrix *x, char *p, int64_t es) {
  w->turned = x->rows > x->cols;
  w->r = w->turned ? x->cols : x->rows;
  w->c = w->turned ? x->rows : x->cols;
  w->x = p;
  w->y = w->x + w->r * w->c * es;
  w->a = w->y + w->r * w->c * es;
  w->b = w->a + w->r * w->r * es;
}

int ml_orthogonalize(int dtype, const ml_matrix *x, int count, int iterations) {
  int64_t es = es_of(dtype), total = 0;
  for (int i = 0; i < count; i++) total += room(&x[i]);
  ns *w = ml_alloc(sizeof *w * (size_t)count);
  ml_gemm *g = ml_alloc(sizeof *g * STRIPS * (size_t)count);
  char *buf = ml_alloc((size_t)(total * es));
  int st = w && g && buf ? ML_OK : ML_ENOMEM;
  if (st != ML_OK) goto done;
  char *p = buf;
  for (int i = 0; i < count; p += room(&x[i]) * es, i++) carve(&w[i], &x[i], p, es);
  ns_job job = {dtype, x, w};
  ml_parallel(count, start_task, &job);
  for (int it = 0; it < iterations && st == ML_OK; it++) {
    st = symmetric(dtype, w, count, g, false);
    if (st == ML_OK) st = symmetric(dtype, w, count, g, true);
    if (st != ML_OK) break;
    ml_parallel(count, polynomial_task, &job);
    st = apply(dtype, w, count, g);
    for (int i = 0; i < count; i++) {
      char *t = w[i].x;
      w[i].x = w[i].y, w[i].y = t;
    }
  }
  if (st == ML_OK) ml_parallel(count, finish_task, &job);
done:
  ml_free(w), ml_free(g), ml_free(buf);
  return st;
}
