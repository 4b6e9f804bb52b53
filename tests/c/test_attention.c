/* test_attention.c -- attention against the plain loops that define it, bit for bit, on every ISA
** of this machine, and against doubles; a decoded token, a document alone, a training row and any
** number of threads give the same bits. With "--hash" it prints one number
** instead, for comparing machines, compilers and NEON. */
#include "attention_kit.h"

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

/* against doubles: the worst error relative to 1 + |value| */
static double worst_error(const problem *p, int dtype) {
  double *want[ARRAYS], worst = 0;
  exact_outputs(p, want);
  for (int i = INPUTS; i < ARRAYS; i++) {
    bool shared = p->layout == PACKED && (i == DK || i == DV);
    for (int64_t j = 0; j < p->size[i] && !shared; j++) {
      double got = dtype == ML_F64 ? p->d[i][j] : (double)p->f[i][j];
      double error = fabs(got - want[i][j]) / (1 + fabs(want[i][j]));
      if (!(error <= worst)) worst = error;
    }
    free(want[i]);
  }
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
