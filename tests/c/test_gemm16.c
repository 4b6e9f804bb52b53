/* test_gemm16.c -- bf16 products against the plain loops that define their two orders, bit for bit,
** on every ISA of this machine, by instruction and by FMAs. With "--hash" it prints one number
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
#endif

#include "kernels/flush.h"
#include "kernels/gemm.h"
#include "kit.h"

static uint32_t state = 1;
static uint32_t next(void) { return (state = state * 1664525u + 1013904223u) >> 8; }
static int64_t below(int64_t n) { return (int64_t)(next() % (uint32_t)n); }

enum { PLAIN, TINY, EDGES, LEAST, KINDS_OF_VALUES };
static int kinds_of_values = KINDS_OF_VALUES;
/* very different sizes, so that any other order of additions shows; TINY: products and sums around
** the smallest normal number; EDGES: zeros of both signs and subnormals among them; LEAST: sums
** that, rounded, just are the smallest normal number */
static float value(int how) {
  static const float edge[] = {0, -0.0f, 0x1p-133f, -0x1p-127f, 0x1p-126f, -0x1p-126f};
  float x = (float)next() * 0x1p-23f - 1;
  x = ldexpf(x, (int)below(9) - 4);
  if (how == LEAST) return ldexpf(x < 0 ? -1 : 1, below(5) ? -76 : -63);
  if (how == TINY) return ldexpf(x, -63);
  return how == EDGES && below(4) == 0 ? edge[below(6)] : x;
}
static float *values(int64_t n, int how) {
  float *p = malloc((size_t)(n + 1) * sizeof *p);
  assert_true(p != NULL);
  for (int64_t i = 0; i < n; i++) p[i] = value(how);
  return p;
}
static uint16_t *halves(const float *x, int64_t n) {
  uint16_t *p = malloc((size_t)(n + 1) * sizeof *p);
  assert_true(p != NULL);
  ml_cast(p, ML_BF16, 1, x, ML_F32, 1, n);
  return p;
}
static float wide(uint16_t h) {
  uint32_t u = (uint32_t)h << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}

/* ---- the definition ---- */
/* product of k p, zeros from `end` on */
UNWATCHED static float a_of(const ml_gemm *g, int64_t i, int64_t p, int64_t end) {
  return p < end ? wide(((const uint16_t *)g->a)[i * g->ars + p * g->acs]) : 0;
}
UNWATCHED static float b_of(const ml_gemm *g, int64_t j, int64_t p, int64_t end) {
  return p < end ? wide(((const uint16_t *)g->b)[p * g->brs + j * g->bcs]) : 0;
}

UNWATCHED static float block(int kind, const ml_gemm *g, int64_t i, int64_t j, int64_t p,
                             int64_t end) {
  float s = 0;
  if (kind == ML_GEMM_PAIRS) {
    for (; p < end; p += 2) {
      s = fmaf(a_of(g, i, p + 1, end), b_of(g, j, p + 1, end), s);
      s = fmaf(a_of(g, i, p, end), b_of(g, j, p, end), s);
    }
    return s;
  }
  for (; p < end; p += 32) {
    float e = 0, o = 0;
    for (int64_t q = p; q < p + 32; q += 2) {
      e = fmaf(a_of(g, i, q, end), b_of(g, j, q, end), e);
      o = fmaf(a_of(g, i, q + 1, end), b_of(g, j, q + 1, end), o);
    }
    s = s + (e + o);
  }
  return s;
}

UNWATCHED static float cell(int kind, const ml_gemm *g, int64_t i, int64_t j, float c,
                            float residual) {
  float sum = 0;
  for (int64_t p = 0; p < g->k || p == 0; p += ML_DET_GEMM16_K) {
    int64_t end = p + ML_DET_GEMM16_K < g->k ? p + ML_DET_GEMM16_K : g->k;
    float s = block(kind, g, i, j, p, end);
    if (p > 0) sum = sum + s;
    else sum = g->accumulate ? c + s : s;
  }
  if (g->bias) sum = sum + ((const float *)g->bias)[j];
  return g->residual ? sum + residual : sum;
}

/* ---- one random problem: its operands, C before, and C as defined ---- */
typedef struct {
  ml_gemm g;
  int kind;
  float *a, *b, *c, *bias, *residual, *start, *want; /* with narrow, C's floats hold two cells */
  uint16_t *ah, *bh;
  int64_t cells, size;
} problem;

enum { ACCUMULATE = 1, BIAS = 2, RESIDUAL = 4, IN_PLACE = 8, NARROW = 16, ALL = 32 };

UNWATCHED static void define(problem *p) {
  ml_flush mode = ml_flush_on();
  for (int64_t i = 0; i < p->g.m; i++)
    for (int64_t j = 0; j < p->g.n; j++) {
      int64_t at = i * p->g.ldc + j;
      float r = p->g.residual == p->c ? p->start[at] : p->residual[i * p->g.ldr + j];
      float w = cell(p->kind, &p->g, i, j, p->start[at], r);
      if (p->g.narrow) ml_cast((uint16_t *)p->want + at, ML_BF16, 1, &w, ML_F32, 1, 1);
      else p->want[at] = w;
    }
  ml_flush_off(mode);
}

/* layout: bit 0 transposes A, bit 1 B, bit 2 makes strides odd (no unit stride anywhere), bit 3
** only the long ones */
static problem make(int kind, int64_t m, int64_t n, int64_t k, int layout, int what) {
  problem p = {.g = {.m = m, .n = n, .k = k}, .kind = kind};
  int64_t gap = layout & 4 ? 3 : 1, pad = layout & 12 ? 5 : 0;
  int how = (int)below(kinds_of_values);
  bool ta = layout & 1, tb = layout & 2;
  p.g.acs = ta ? m * gap + pad : gap, p.g.ars = ta ? gap : k * gap + pad;
  p.g.bcs = tb ? k * gap + pad : gap, p.g.brs = tb ? gap : n * gap + pad;
  int64_t an = (ta ? k : m) * ((ta ? m : k) * gap + pad);
  int64_t bn = (tb ? n : k) * ((tb ? k : n) * gap + pad);
  p.a = values(an, how), p.b = values(bn, how);
  p.g.a = p.ah = halves(p.a, an), p.g.b = p.bh = halves(p.b, bn);
  p.g.ldc = n + below(3), p.g.ldr = n + below(3), p.cells = m * p.g.ldc;
  if (what & NARROW) what &= ~(ACCUMULATE | IN_PLACE);
  p.c = values(p.cells, how), p.bias = values(n, how), p.residual = values(m * p.g.ldr, how);
  p.g.c = p.c, p.g.narrow = what & NARROW, p.size = p.g.narrow ? 2 : 4;
  p.g.accumulate = what & ACCUMULATE;
  if (what & BIAS) p.g.bias = p.bias;
  if (what & RESIDUAL) p.g.residual = p.residual;
  if (what & IN_PLACE) p.g.residual = p.c, p.g.ldr = p.g.ldc, p.g.accumulate = false;
  p.start = malloc((size_t)(p.cells + 1) * sizeof(float));
  p.want = malloc((size_t)(p.cells + 1) * sizeof(float));
  memcpy(p.start, p.c, (size_t)p.cells * sizeof(float));
  memcpy(p.want, p.c, (size_t)p.cells * sizeof(float));
  define(&p);
  return p;
}

static void drop(problem *p) {
  free(p->a), free(p->b), free(p->c), free(p->bias), free(p->residual);
  free(p->start), free(p->want), free(p->ah), free(p->bh);
}

/* also proves that nothing between the rows of C, or behind it, was touched */
static void expect(const problem *p, const char *what) {
  for (int64_t i = 0; i < p->cells * 4 / p->size; i++) {
    const char *got = (const char *)p->c + i * p->size, *want = (const char *)p->want + i * p->size;
    if (!memcmp(got, want, (size_t)p->size)) continue;
    float x = p->size == 4 ? p->c[i] : wide(((uint16_t *)p->c)[i]);
    float y = p->size == 4 ? p->want[i] : wide(((uint16_t *)p->want)[i]);
    printf("%s %s %s %s (%lld, %lld, %lld) at %lld of rows of %lld: %a, expected %a\n",
           ml_isa_name(ml_isa()), p->kind == ML_GEMM_PAIRS ? "pairs" : "tiles",
           ml_gemm_uses_native(p->kind) ? "native" : "emulated", what, (long long)p->g.m,
           (long long)p->g.n, (long long)p->g.k, (long long)i, (long long)p->g.ldc, x, y);
    assert_true(false);
  }
}

static void again(problem *p) { memcpy(p->c, p->start, (size_t)p->cells * sizeof(float)); }

static void run(const problem *p, const ml_gemm *g) {
  assert_int_equal(ml_gemm_run(p->kind, g, 1), ML_OK);
}

static void check_packed(problem *p, int bdt) {
  void *packed = ml_alloc(ml_gemm_packed_bytes(p->kind, p->g.k, p->g.n));
  const void *b = bdt == ML_F32 ? (void *)p->b : p->bh;
  ml_gemm g = p->g;
  assert_true(packed != NULL);
  assert_int_equal(ml_gemm_pack(p->kind, packed, b, bdt, g.brs, g.bcs, g.k, g.n), ML_OK);
  g.packed = packed, g.b = NULL;
  again(p);
  run(p, &g);
  expect(p, bdt == ML_F32 ? "packed from f32" : "packed");
  ml_free(packed);
}

/* each row by itself: a token decoded alone has the bits of one in a batch */
static void check_rows(problem *p) {
  again(p);
  for (int64_t i = 0; i < p->g.m; i++) {
    ml_gemm g = p->g;
    g.m = 1, g.a = p->ah + i * g.ars, g.c = (char *)p->c + i * g.ldc * p->size;
    if (g.residual) g.residual = (const float *)p->g.residual + i * g.ldr;
    run(p, &g);
  }
  expect(p, "row by row");
}

/* everything a problem is put through on the ISA in use */
static void check_here(problem *p) {
  again(p);
  run(p, &p->g);
  expect(p, "as it is");
  check_packed(p, ML_BF16), check_packed(p, ML_F32);
  if (p->g.m <= 40) check_rows(p);
}

static void each_way(problem *p, void (*check)(problem *), bool scalar) {
  for (int isa = 0; isa < ML_ISA_COUNT; isa++) {
    if (!ml_cpu_has(isa) || ml_isa_set(isa) != ML_OK || (isa == ML_ISA_SCALAR && !scalar)) continue;
    ml_gemm_way(ML_GEMM_EMULATE);
    check(p);
    ml_gemm_way(ML_GEMM_NATIVE);
    if (ml_gemm_uses_native(p->kind)) check(p);
    ml_gemm_way(ML_GEMM_AUTO);
  }
}

static void check(int64_t m, int64_t n, int64_t k, int layout, int what) {
  for (int kind = ML_GEMM_PAIRS; kind <= ML_GEMM_TILES; kind++) {
    problem p = make(kind, m, n, k, layout, what);
    each_way(&p, check_here, m * n * k < (SANITIZED ? 100000 : 4000000));
    drop(&p);
  }
}

static void sampled_sizes(void **s) {
  (void)s;
  for (int i = 0; i < samples(60); i++) {
    int64_t m = 1 + below(300), n = 1 + below(300), k = 1 + below(300);
    int layout = (int)below(16);
    check(m, n, k, layout, (int)below(ALL));
    ml_set_threads(1 + i % 3);
  }
}

static void around_tiles_and_blocks(void **s) {
  static const int64_t edge[] = {1, 2, 3, 6, 7, 8, 13, 14, 15, 16, 17, 31, 32, 33, 48, 63, 65};
  static const int64_t ks[] = {1, 2, 31, 32, 33, 64, 65, 127, 128, 2047, 2048, 2049, 2080, 4097};
  (void)s;
  for (int i = 0; i < 17; i++)
    for (int j = 0; j < 17; j += (SANITIZED ? 8 : 1) + (int)below(3)) {
      int64_t k = ks[below(i < 8 && j < 8 ? 14 : 9)];
      int layout = (int)below(16);
      check(edge[i], edge[j], k, layout, (int)below(ALL));
    }
  for (int i = 0; i < 14; i += SANITIZED ? 5 : 1) {
    check(19, 35, ks[i], i & 3, BIAS | IN_PLACE);
    check(19, 35, ks[i], i & 3, BIAS | RESIDUAL | NARROW);
  }
}

static void empty(void **s) {
  (void)s;
  for (int what = 0; what < ALL; what++)
    check(5, 7, 0, 0, what), check(0, 7, 3, 0, what), check(5, 0, 3, 0, what);
}

static void just_run(problem *p) {
  again(p);
  run(p, &p->g);
  expect(p, "large");
}

/* large enough for shared packing, columns split between tasks, chunks of k and of columns, sums
** kept apart of several parts */
static void large(void **s) {
  static const int64_t sizes[][3] = {{700, 130, 96}, {40, 700, 640}, {64, 96, 9000}, {70, 520, 5000},
                                     {9, 9000, 520}, {300, 300, 2112}};
  (void)s;
  for (int i = 0; i < (SANITIZED ? 3 : 6); i++)
    for (int layout = SANITIZED ? i % 4 : 0; layout < 4; layout += SANITIZED ? 4 : 1)
      for (int kind = ML_GEMM_PAIRS; kind <= ML_GEMM_TILES; kind++) {
        ml_set_threads(1 + (i + layout) % 3);
        int what = (layout & 1 ? BIAS : RESIDUAL) | ((i + layout) & 2 ? NARROW : ACCUMULATE);
        problem p = make(kind, sizes[i][0], sizes[i][1], sizes[i][2], layout, what);
        each_way(&p, just_run, false);
        drop(&p);
      }
}

static void batches(void **s) {
  enum { N = 11 };
  (void)s;
  for (int kind = ML_GEMM_PAIRS; kind <= ML_GEMM_TILES; kind++) {
    problem p[N];
    ml_gemm g[N];
    for (int i = 0; i < N; i++) {
      int64_t m = below(70), n = below(70), k = i % 4 ? below(300) : below(4500);
      int layout = (int)below(16);
      p[i] = make(kind, m, n, k, layout, (int)below(ALL));
      g[i] = p[i].g;
    }
    for (int way = ML_GEMM_AUTO; way <= ML_GEMM_NATIVE; way++) {
      ml_gemm_way(way);
      for (int i = 0; i < N; i++) again(p + i);
      assert_int_equal(ml_gemm_run(kind, g, N), ML_OK);
      for (int i = 0; i < N; i++) expect(p + i, "in a batch");
    }
    ml_gemm_way(ML_GEMM_AUTO);
    for (int i = 0; i < N; i++) drop(p + i);
  }
}

/* the mode of f32 kernels and of the caller comes back */
static void subnormals_live_on_outside(void **s) {
  (void)s;
  problem p = make(ML_GEMM_TILES, 40, 40, 64, 0, 0);
  run(&p, &p.g);
  volatile float half = 0x1p-126f;
  half *= 0.5f;
  assert_true(half > 0);
  drop(&p);
}

/* FNV-1a over the results of a fixed list of products, on the ISA in use. Without LEAST: what rounds
** up to the smallest normal number is flushed by NEON, which looks before rounding, and by no x86 */
static uint64_t hash_of_products(void) {
  uint64_t h = 14695981039346656037u;
  state = 7, kinds_of_values = LEAST;
  for (int i = 0; i < samples(60); i++) {
    int64_t m = below(60), n = below(80), k = i % 8 ? below(300) : below(4500);
    int layout = (int)below(16);
    problem p = make(ML_GEMM_PAIRS + i % 2, m, n, k, layout, (int)below(ALL));
    run(&p, &p.g);
    expect(&p, "hashed");
    for (int64_t j = 0; j < p.cells * 4; j++)
      h = (h ^ ((const uint8_t *)p.c)[j]) * 1099511628211u;
    drop(&p);
  }
  kinds_of_values = KINDS_OF_VALUES;
  return h;
}

static void one_hash_on_every_isa(void **s) {
  (void)s;
  uint64_t first = 0;
  for (int isa = 0; isa < ML_ISA_COUNT; isa++) {
    if (!ml_cpu_has(isa) || ml_isa_set(isa) != ML_OK) continue;
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
  for (int kind = ML_GEMM_PAIRS; kind <= ML_GEMM_TILES; kind++)
    print_message("%s: %s\n", kind == ML_GEMM_PAIRS ? "pairs" : "tiles",
                  ml_gemm_native(kind) ? "native" : "emulated only");
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(sampled_sizes), cmocka_unit_test(around_tiles_and_blocks),
    cmocka_unit_test(empty), cmocka_unit_test(large), cmocka_unit_test(batches),
    cmocka_unit_test(subnormals_live_on_outside), cmocka_unit_test(one_hash_on_every_isa),
  };
  return cmocka_run_group_tests_name("gemm16", tests, NULL, NULL);
#endif
}
