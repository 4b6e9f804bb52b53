/* test_gemm.c -- matrix products against the plain loop that defines them, bit for bit, on every
** ISA of this machine; nothing about tiles, packing, threads or neighbours may show. With
** "--hash" it prints one number instead, for comparing machines, compilers and NEON. */
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

#include "kernels/gemm.h"
#include "kit.h"

static uint32_t state = 1;
static uint32_t next(void) { return (state = state * 1664525u + 1013904223u) >> 8; }
static int64_t below(int64_t n) { return (int64_t)(next() % (uint32_t)n); }

/* values of very different sizes, so that any other order of additions shows */
static float value(void) {
  float x = (float)next() * 0x1p-23f - 1;
  return ldexpf(x, (int)below(9) - 4);
}
static float *values(int64_t n) {
  float *p = malloc((size_t)(n + 1) * sizeof *p);
  assert_true(p != NULL);
  for (int64_t i = 0; i < n; i++) p[i] = value();
  return p;
}

/* the definition */
UNWATCHED static float element(const ml_gemm *g, int64_t i, int64_t j, float c, float residual) {
  const float *a = g->a, *b = g->b, *bias = g->bias;
  float sum = 0;
  for (int64_t p = 0; p < g->k || p == 0; p += ML_DET_GEMM_K) {
    float s = 0;
    for (int64_t q = p; q < g->k && q < p + ML_DET_GEMM_K; q++)
      s = fmaf(a[i * g->ars + q * g->acs], b[q * g->brs + j * g->bcs], s);
    if (p > 0) sum += s;
    else sum = g->accumulate ? c + s : s;
  }
  if (bias) sum += bias[j];
  return g->residual ? sum + residual : sum;
}

/* one random problem: its operands, C before, and C as defined */
typedef struct {
  ml_gemm g;
  float *a, *b, *c, *bias, *residual, *start, *want;
  int64_t cells;
} problem;

enum { ACCUMULATE = 1, BIAS = 2, RESIDUAL = 4, IN_PLACE = 8 };

/* layout: bit 0 transposes A, bit 1 B, bit 2 makes strides odd (no unit stride anywhere) */
static problem make(int64_t m, int64_t n, int64_t k, int layout, int what) {
  problem p = {.g = {.m = m, .n = n, .k = k}};
  int64_t gap = layout & 4 ? 3 : 1, pad = layout & 4 ? 5 : 0;
  bool ta = layout & 1, tb = layout & 2;
  p.g.acs = ta ? m * gap + pad : gap, p.g.ars = ta ? gap : k * gap + pad;
  p.g.bcs = tb ? k * gap + pad : gap, p.g.brs = tb ? gap : n * gap + pad;
  p.g.a = p.a = values((ta ? k : m) * ((ta ? m : k) * gap + pad));
  p.g.b = p.b = values((tb ? n : k) * ((tb ? k : n) * gap + pad));
  p.g.ldc = n + below(3), p.g.ldr = n + below(3), p.cells = m * p.g.ldc;
  p.g.c = p.c = values(p.cells);
  p.bias = values(n), p.residual = values(m * p.g.ldr);
  p.g.accumulate = what & ACCUMULATE;
  if (what & BIAS) p.g.bias = p.bias;
  if (what & RESIDUAL) p.g.residual = p.residual;
  if (what & IN_PLACE) p.g.residual = p.c, p.g.ldr = p.g.ldc, p.g.accumulate = false;
  p.start = malloc((size_t)(p.cells + 1) * sizeof(float));
  p.want = malloc((size_t)(p.cells + 1) * sizeof(float));
  memcpy(p.start, p.c, (size_t)p.cells * sizeof(float));
  memcpy(p.want, p.c, (size_t)p.cells * sizeof(float));
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      float *w = p.want + i * p.g.ldc + j;
      float r = what & IN_PLACE ? *w : p.residual[i * p.g.ldr + j];
      *w = element(&p.g, i, j, *w, r);
    }
  return p;
}

static void drop(problem *p) {
  free(p->a), free(p->b), free(p->c), free(p->bias), free(p->residual);
  free(p->start), free(p->want);
}

/* also proves that nothing between the rows of C was touched */
static void expect(const problem *p) {
  for (int64_t i = 0; i < p->cells; i++) {
    if (!memcmp(p->c + i, p->want + i, sizeof(float))) continue;
    printf("%s (%lld, %lld, %lld) at %lld: %a, expected %a\n", ml_isa_name(ml_isa()),
           (long long)p->g.m, (long long)p->g.n, (long long)p->g.k, (long long)i, p->c[i],
           p->want[i]);
    assert_true(false);
  }
}

static void again(problem *p) { memcpy(p->c, p->start, (size_t)p->cells * sizeof(float)); }

static void check_packed(problem *p) {
  void *packed = ml_alloc(ml_gemm_packed_bytes(ML_F32, p->g.k, p->g.n));
  ml_gemm g = p->g;
  assert_true(packed != NULL);
  assert_int_equal(ml_gemm_pack(ML_F32, packed, g.b, ML_F32, g.brs, g.bcs, g.k, g.n), ML_OK);
  g.packed = packed, g.b = NULL;
  again(p);
  assert_int_equal(ml_gemm_run(ML_F32, &g, 1), ML_OK);
  expect(p);
  ml_free(packed);
}

/* each row by itself: a token decoded alone has the bits of one in a batch */
static void check_rows(problem *p) {
  again(p);
  for (int64_t i = 0; i < p->g.m; i++) {
    ml_gemm g = p->g;
    g.m = 1, g.a = p->a + i * g.ars, g.c = p->c + i * g.ldc;
    if (g.residual) g.residual = (const float *)p->g.residual + i * g.ldr;
    assert_int_equal(ml_gemm_run(ML_F32, &g, 1), ML_OK);
  }
  expect(p);
}

static void check_problem(problem p) {
  for (int isa = 0; isa < ML_ISA_COUNT; isa++) {
    if (!ml_cpu_has(isa)) continue;
    assert_int_equal(ml_isa_set(isa), ML_OK);
    again(&p);
    assert_int_equal(ml_gemm_run(ML_F32, &p.g, 1), ML_OK);
    expect(&p);
    check_packed(&p);
    if (p.g.m <= 40) check_rows(&p);
  }
  drop(&p);
}

static void check(int64_t m, int64_t n, int64_t k, int layout, int what) {
  check_problem(make(m, n, k, layout, what));
}

/* drawn one by one: the order of a call's arguments is the compiler's choice */
static problem make_random(int64_t m, int64_t n, int64_t k) {
  m = below(m), n = below(n), k = below(k);
  int layout = (int)below(8);
  return make(m, n, k, layout, (int)below(16));
}

static void sampled_sizes(void **s) {
  (void)s;
  for (int i = 0; i < samples(60); i++) check_problem(make_random(301, 301, 301));
}

static void around_tiles_and_blocks(void **s) {
  static const int64_t edge[] = {1, 2, 3, 5, 6, 7, 13, 14, 15, 16, 17, 28, 31, 32, 33, 63, 65};
  static const int64_t ks[] = {1, 15, 16, 17, 511, 512, 513, 1023, 1024, 1025};
  (void)s;
  for (int i = 0; i < 17; i++)
    for (int j = 0; j < 17; j += (SANITIZED ? 6 : 1) + (int)below(3))
      check(edge[i], edge[j], ks[below(10)], (int)below(8), (int)below(16));
  for (int i = 0; i < 10; i++) check(29, 67, ks[i], i & 3, BIAS | IN_PLACE);
}

static void empty(void **s) {
  (void)s;
  for (int what = 0; what < 16; what++)
    check(5, 7, 0, 0, what), check(0, 7, 3, 0, what), check(5, 0, 3, 0, what);
}

/* large enough for shared packing, columns split between tasks, chunks of k and of columns */
static void large(void **s) {
  (void)s;
  assert_int_equal(ml_set_threads(3), ML_OK);
  static const int64_t sizes[][3] = {{700, 130, 90}, {40, 700, 600}, {64, 96, 5000},
                                     {9, 9000, 520}, {300, 300, 1030}};
  for (int i = 0; i < 5; i++)
    for (int layout = SANITIZED ? i % 4 : 0; layout < 4; layout += SANITIZED ? 4 : 1) {
      int what = BIAS | (i % 2 ? RESIDUAL : ACCUMULATE);
      problem p = make(sizes[i][0], sizes[i][1], sizes[i][2], layout, what);
      for (int isa = ML_ISA_SCALAR + 1; isa < ML_ISA_COUNT; isa++) {
        if (!ml_cpu_has(isa)) continue;
        ml_isa_set(isa);
        again(&p);
        assert_int_equal(ml_gemm_run(ML_F32, &p.g, 1), ML_OK);
        expect(&p);
      }
      drop(&p);
    }
}

static void thread_counts(void **s) {
  static const int counts[] = {1, 2, 3, 7};
  (void)s;
  for (int layout = 0; layout < 4; layout += SANITIZED ? 3 : 1) {
    problem p = make(200, 150, 700, layout, layout & 1 ? ACCUMULATE : BIAS | IN_PLACE);
    for (int t = 0; t < 4; t++) {
      assert_int_equal(ml_set_threads(counts[t]), ML_OK);
      again(&p);
      assert_int_equal(ml_gemm_run(ML_F32, &p.g, 1), ML_OK);
      expect(&p);
    }
    drop(&p);
  }
}

static void batches(void **s) {
  enum { N = 11 };
  problem p[N];
  ml_gemm g[N];
  (void)s;
  for (int i = 0; i < N; i++) {
    p[i] = make_random(70, 70, 1100);
    g[i] = p[i].g;
  }
  for (int64_t count = 1; count <= N; count += 5) {
    for (int i = 0; i < count; i++) again(p + i);
    assert_int_equal(ml_gemm_run(ML_F32, g, count), ML_OK);
    for (int i = 0; i < count; i++) expect(p + i);
  }
  for (int i = 0; i < N; i++) drop(p + i);
}

/* f64 is outside the promise of bits: close to the plain sum */
static void f64_is_close(void **s) {
  (void)s;
  for (int layout = 0; layout < 4; layout++) {
    int64_t m = 1 + below(90), n = 1 + below(90), k = 1 + below(1200);
    bool ta = layout & 1, tb = layout & 2;
    double *a = malloc((size_t)(m * k) * 8), *b = malloc((size_t)(k * n) * 8);
    double *c = malloc((size_t)(m * n) * 8);
    for (int64_t i = 0; i < m * k; i++) a[i] = value();
    for (int64_t i = 0; i < k * n; i++) b[i] = value();
    ml_gemm g = {m, n, k, a, ta ? 1 : k, ta ? m : 1, b, tb ? 1 : n, tb ? k : 1, .c = c, .ldc = n};
    assert_int_equal(ml_gemm_run(ML_F64, &g, 1), ML_OK);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        double sum = 0, size = 0;
        for (int64_t q = 0; q < k; q++) {
          double t = a[i * g.ars + q * g.acs] * b[q * g.brs + j * g.bcs];
          sum += t, size += fabs(t);
        }
        assert_true(fabs(c[i * n + j] - sum) <= 1e-12 * size);
      }
    free(a), free(b), free(c);
  }
}

/* an engine that stores the plain product: what the driver adds around it */
static void plain_engine(int dtype, const ml_gemm *g) {
  (void)dtype;
  assert_true(!g->bias && !g->residual && g->m <= 256);
  for (int64_t i = 0; i < g->m; i++)
    for (int64_t j = 0; j < g->n; j++) {
      float *c = (float *)g->c + i * g->ldc + j;
      *c = element(g, i, j, *c, 0);
    }
}

static void engine_gets_epilogues_done(void **s) {
  (void)s;
  ml_gemm_engine_f32 = plain_engine;
  for (int what = 0; what < 16; what++) {
    problem p = make(300, 20, 30, what & 3, what);
    assert_int_equal(ml_gemm_run(ML_F32, &p.g, 1), ML_OK);
    for (int64_t i = 0; i < p.cells; i++)
      assert_true(fabsf(p.c[i] - p.want[i]) <= 1e-3f);
    drop(&p);
  }
  ml_gemm_engine_f32 = NULL;
}

/* FNV-1a over the results of a fixed list of products, on the ISA in use */
static uint64_t hash_of_products(void) {
  uint64_t h = 14695981039346656037u;
  state = 7;
  for (int i = 0; i < samples(60); i++) {
    problem p = make_random(60, 80, 1100);
    assert_int_equal(ml_gemm_run(ML_F32, &p.g, 1), ML_OK);
    expect(&p);
    for (int64_t j = 0; j < p.cells * 4; j++)
      h = (h ^ ((const uint8_t *)p.c)[j]) * 1099511628211u;
    drop(&p);
  }
  return h;
}

static void one_hash_on_every_isa(void **s) {
  (void)s;
  uint64_t first = 0;
  for (int isa = 0; isa < ML_ISA_COUNT; isa++) {
    if (ml_isa_set(isa) != ML_OK) continue;
    uint64_t h = hash_of_products();
    if (first == 0) first = h;
    assert_true(h == first);
  }
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "--hash")) {
    one_hash_on_every_isa(NULL);
    printf("%016llx\n", (unsigned long long)hash_of_products());
    return 0;
  }
#if !defined(ML_TEST_NO_CMOCKA)
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(sampled_sizes), cmocka_unit_test(around_tiles_and_blocks),
    cmocka_unit_test(empty), cmocka_unit_test(large), cmocka_unit_test(thread_counts),
    cmocka_unit_test(batches), cmocka_unit_test(f64_is_close),
    cmocka_unit_test(engine_gets_epilogues_done), cmocka_unit_test(one_hash_on_every_isa),
  };
  return cmocka_run_group_tests_name("gemm", tests, NULL, NULL);
#endif
}
