/* test_kernels.c -- every kernel of kernels.def: the same bits on every ISA of this machine, for
** any split of the range, size and alignment; then what they compute, against libm and plain
** loops. "--hash" prints one number a kernel, for comparing machines, compilers and NEON. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if !defined(ML_TEST_NO_CMOCKA)
#include <cmocka.h>
#endif

#include "kernels/kernels.h"

/* ---- inputs: the same on every machine ---- */
static uint64_t state;
static uint64_t next(void) { /* splitmix64 */
  uint64_t z = state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}
static int64_t below(int64_t n) { return (int64_t)(next() % (uint64_t)n); }
static double unit(void) { return (double)(next() >> 11) * 0x1p-53; }

static float from_bits(uint32_t u) {
  float f;
  memcpy(&f, &u, 4);
  return f;
}
static uint32_t bits_of(float f) { /* any NaN counts as one: payloads differ between machines */
  uint32_t u = 0x7fc00000;
  if (f == f) memcpy(&u, &f, 4);
  return u;
}

enum { PLAIN, WIDE, SPECIAL, ANY_BITS, KINDS };
static float value(int kind) {
  static const uint32_t special[] = {0, 0x80000000, 1, 0x807fffff, 0x7f800000, 0xff800000,
                                     0x7fc00000, 0x00800000, 0x7f7fffff, 0x42b00000};
  float x = (float)(unit() * 8 - 4);
  if (kind == WIDE) return ldexpf(x, (int)below(60) - 30);
  if (kind == SPECIAL && below(6) == 0) return from_bits(special[below(10)]);
  return kind == ANY_BITS ? from_bits((uint32_t)next()) : x;
}

/* ---- one call of a kernel: what it reads and writes ---- */
enum { IN = 1 << 16, OUT = 1 << 17, GUARD = 64, OUTS = 3 };
typedef struct { float y[OUTS][OUT]; uint8_t bytes[OUT]; int64_t idx[OUT]; } outputs;
static outputs start, want, got;
static float in[3][IN];
static uint8_t mask[IN];
static int64_t columns[IN], rows[64];
static int32_t positions[64];

typedef struct {
  int64_t n, R, ld, lo, hi; /* elements or columns; rows; the range of this call */
  int64_t sa, sb, bound;    /* strides; no output may reach further than bound */
  const float *a, *b, *c;
  int64_t shift; /* of the outputs, for alignment */
  double p, q;
  uint64_t seed;
  bool flag;
  outputs *out;
} call;

static float *out_of(const call *t, int i) { return t->out->y[i] + GUARD + t->shift; }
#define Y out_of(t, 0)
#define Y2 out_of(t, 1)
#define Y3 out_of(t, 2)
#define BYTES (t->out->bytes + GUARD + t->shift)
#define IDX (t->out->idx + GUARD + t->shift)
#define LEN (t->hi - t->lo)
#define A1 (t->a + t->lo * t->sa), t->sa
#define B1 (t->b + t->lo * t->sb), t->sb
#define RANGE t->lo, t->hi
#define CASE(name, ...) \
  static void run_##name(const ml_kernels *k, const call *t) { (k->name)(__VA_ARGS__); }

#define MAPS(X)                                                                              \
  X(exp) X(log) X(sqrt) X(neg) X(abs) X(sin) X(cos) X(erf) X(tanh) X(sigmoid) X(silu) X(gelu) \
  X(gelu_tanh) X(relu) X(relu2) X(logsigmoid) X(softplus) X(reciprocal) X(floor) X(sign)
#define MAPS2(X)                                                                             \
  X(add) X(sub) X(mul) X(div) X(max) X(min) X(pow) X(tanh_grad) X(sigmoid_grad) X(silu_grad) \
  X(gelu_grad) X(gelu_tanh_grad) X(relu_grad) X(relu2_grad) X(logsigmoid_grad)               \
  X(softplus_grad) X(erf_grad)
#define COMPARES(X) X(eq) X(ne) X(lt) X(le)
#define ONE(name) CASE(name, Y + t->lo, A1, LEN)
#define TWO(name) CASE(name, Y + t->lo, A1, B1, LEN)
#define COMPARE(name) CASE(name, BYTES + t->lo, A1, B1, LEN)
MAPS(ONE)
MAPS2(TWO)
COMPARES(COMPARE)
CASE(isnan, BYTES + t->lo, A1, LEN)
CASE(where, Y + t->lo, mask + t->lo, 1, A1, B1, LEN)
CASE(clamp, Y + t->lo, A1, LEN, -t->p, t->q)
CASE(axpy, Y + t->lo, A1, LEN, t->q)
CASE(scale, Y + t->lo, A1, LEN, t->q)
CASE(fill, Y + t->lo, LEN, t->q)
CASE(copy, Y + t->lo * t->R, t->R, A1, LEN)
CASE(widen, Y + t->lo, (const uint16_t *)t->a + t->lo, LEN)
CASE(narrow, (uint16_t *)Y + t->lo, t->a + t->lo, LEN)
CASE(swiglu, Y + t->lo, t->a + t->lo, t->b + t->lo, LEN)
CASE(swiglu_grad, Y + t->lo, Y2 + t->lo, Y3 + t->lo, t->a + t->lo, t->b + t->lo, t->c + t->lo, LEN)
CASE(softcap, Y + t->lo, t->a + t->lo, LEN, 15)
CASE(softcap_grad, Y + t->lo, t->a + t->lo, t->b + t->lo, LEN, 15)
CASE(row_sum, Y, t->a, t->ld, RANGE, t->n)
CASE(row_sumsq, Y, t->a, t->ld, RANGE, t->n)
CASE(row_dot, Y, t->a, t->ld, t->b, t->ld, RANGE, t->n)
CASE(row_max, Y, t->a, t->ld, RANGE, t->n)
CASE(row_min, Y, t->a, t->ld, RANGE, t->n)
CASE(row_argmax, IDX, t->a, t->ld, RANGE, t->n)
CASE(row_argmin, IDX, t->a, t->ld, RANGE, t->n)
CASE(row_cumsum, Y, t->a, RANGE, t->n, t->flag)
CASE(row_sort, IDX, t->a, t->n, t->flag, IDX + t->n)
CASE(col_sum, Y, t->a, t->ld, RANGE, t->n)
CASE(col_dot, Y, t->a, t->ld, t->b, t->ld, RANGE, t->n)
CASE(col_finish, Y, t->a, t->R, t->n, t->flag)
CASE(flat_sumsq, Y, t->a, t->n, 0, (t->n + ML_DET_FLAT - 1) / ML_DET_FLAT)
CASE(flat_sum, Y, t->a, t->n, 0, (t->n + ML_DET_FLAT - 1) / ML_DET_FLAT)
CASE(softmax, Y, t->a, RANGE, t->n)
CASE(softmax_grad, Y, t->a, t->b, RANGE, t->n)
CASE(log_softmax, Y, t->a, RANGE, t->n)
CASE(log_softmax_grad, Y, t->a, t->b, RANGE, t->n)
CASE(row_lse, Y, t->a, t->ld, RANGE, t->n)
CASE(row_lse_add, Y, Y2, t->a, t->ld, RANGE, t->n, t->flag)
CASE(row_lse_end, Y, t->a, RANGE)
CASE(ce_grad, Y, t->ld, t->a, columns, t->flag ? 3 : 0, t->b, RANGE, t->n)
CASE(rms_norm, Y, t->a, t->ld, t->flag ? t->b : NULL, RANGE, t->n, 1e-6)
CASE(rms_norm_grad, Y, t->a, t->c, t->ld, t->flag ? t->b : NULL, RANGE, t->n, 1e-6, t->p < .5)
CASE(rms_norm_dw, Y, t->a, t->b, t->ld, RANGE, t->n, 1e-6)
CASE(layer_norm, Y, t->a, t->ld, t->flag ? t->b : NULL, t->p < .5 ? t->c : NULL, RANGE, t->n, 1e-5)
CASE(layer_norm_grad, Y, t->a, t->c, t->ld, t->flag ? t->b : NULL, RANGE, t->n, 1e-5, t->p < .5)
CASE(layer_norm_dw, Y, t->a, t->b, t->ld, RANGE, t->n, 1e-5)
CASE(rope, Y, t->n / 2 * 4 + 3, t->a, t->n / 2 * 4 + 1, t->b, t->c, positions, RANGE, 2,
     t->n / 2 * 2, t->flag)
CASE(take_rows, Y, t->a, rows, RANGE, t->n)
CASE(add_rows, Y, t->a, rows, RANGE, t->n)
CASE(gather_row, Y, t->a, columns, RANGE, t->n, t->n)
CASE(scatter_add_row, Y, t->a, columns, RANGE, t->n, t->n)
CASE(pick_row, Y, t->a, t->ld, columns, t->n / 2, RANGE, t->n - t->n / 2)
CASE(uniform, Y, RANGE, t->seed, 3, t->seed >> 7, 5, 6)
CASE(normal, Y, RANGE, t->seed, 3, t->seed >> 7, 5, 6)
static void run_dropout(const ml_kernels *k, const call *t) { /* p may be the first element's u */
  uint64_t e = t->seed >> 7;
  float u = ml_u01(ml_random(t->seed, 3, e / 4, 5, 6).v[e % 4]);
  k->dropout(Y, t->a, RANGE, t->flag ? (double)u : t->p, t->seed, 3, e, 5, 6);
}
CASE(adamw, Y, t->a, Y2, Y3, RANGE, 1e-3, .9, .99, 1e-8, .1, .19, .0199, t->q)
CASE(sgd, Y, t->a, Y2, RANGE, 1e-2, .9, t->flag, .1, t->q)
CASE(muon_momentum, Y, t->a, Y2, RANGE, .95, t->flag, t->q)
static void run_sample(const ml_kernels *k, const call *t) {
  static float tmp[2 * IN];
  static int64_t ids[3 * IN + 1];
  ml_sampling how = {t->p < .2 ? 0 : t->p + .3, t->flag ? 7 : 0, t->q < .5 ? .9 : 1,
                     t->q < .2 ? .05 : 0};
  k->sample(IDX, Y2, t->a, t->n, &how, t->q * 7 - (int)(t->q * 7), tmp, ids);
}

CASE(row_entropy_add, Y, Y2, Y3, t->a, t->ld, RANGE, t->n, t->flag)
CASE(row_entropy_end, Y, t->a, t->b, RANGE)
CASE(entropy_grad, Y, t->ld, t->a, t->b, columns, t->flag ? 3 : 0, t->c, t->c + 8, RANGE, t->n)
CASE(kl_add, Y, Y2, t->a, t->ld, t->b, t->c, t->ld, t->b + 8, (int)(t->seed % 3), t->p, RANGE,
     t->n, t->flag)
CASE(kl_grad, Y, t->ld, t->b, t->c, t->ld, t->b + 8, t->a, t->a + 8, (int)(t->seed % 3), t->p,
     RANGE, t->n)

/* what the range counts, whether it may be split, whether rows must have something in them */
enum { ELEMENTS = 1, SPLITS = 2, NOT_EMPTY = 4, FINITE = 8 };
static const struct {
  const char *name;
  int how;
  void (*run)(const ml_kernels *, const call *);
} cases[] = {
#define E(name) {#name, ELEMENTS | SPLITS, run_##name},
#define R(name) {#name, SPLITS, run_##name},
#define W(name) {#name, 0, run_##name},
#define N(name) {#name, SPLITS | NOT_EMPTY, run_##name},
  MAPS(E) MAPS2(E) COMPARES(E) E(isnan) E(where) E(clamp) E(axpy) E(scale) E(fill) E(copy)
  E(widen) E(narrow) E(swiglu) E(swiglu_grad) E(softcap) E(softcap_grad)
  R(row_sum) R(row_sumsq) R(row_dot) N(row_max) N(row_min) N(row_argmax) N(row_argmin)
  R(row_cumsum) W(row_sort) W(col_sum) W(col_dot) W(col_finish) W(flat_sumsq) W(flat_sum)
  R(softmax) R(softmax_grad) R(log_softmax) R(log_softmax_grad) R(row_lse)
  R(row_lse_add) R(row_lse_end) N(ce_grad)
  R(rms_norm) R(rms_norm_grad) W(rms_norm_dw) R(layer_norm) R(layer_norm_grad) W(layer_norm_dw)
  R(rope) R(take_rows) R(add_rows) N(gather_row) N(scatter_add_row)
  R(pick_row)
  E(uniform) E(normal) E(dropout) E(adamw) E(sgd) E(muon_momentum)
  {"sample", NOT_EMPTY | FINITE, run_sample},
  R(row_entropy_add) R(row_entropy_end) N(entropy_grad) R(kl_add) R(kl_grad)
};
enum { CASES = sizeof cases / sizeof *cases };

/* ---- trials ---- */
static call make_trial(int how, int trial) {
  static const int64_t strides[] = {1, 1, 1, 0, 2, 3, 7};
  int kind = how & FINITE ? PLAIN : (int)below(KINDS);
  call t = {.n = trial % 16 == 15 ? 101 + below(9000) : below(101), .R = 1 + below(5)};
  if ((how & NOT_EMPTY) && t.n == 0) t.n = 1;
  t.ld = t.n + below(4);
  t.sa = strides[below(7)], t.sb = strides[below(7)];
  t.hi = how & ELEMENTS ? t.n : t.R;
  t.shift = below(17), t.bound = t.R * (2 * t.n + 8);
  for (int i = 0; i < 3; i++)
    for (int64_t j = 0; j < IN && j < 16 + 10 * (t.n + 8); j++) in[i][j] = value(kind);
  t.a = in[0] + below(16), t.b = in[1] + below(16), t.c = in[2] + below(16);
  for (int64_t j = 0; j < t.R * t.n; j++) columns[j] = below(t.n);
  for (int64_t j = 0; j < t.n; j++) mask[j] = (uint8_t)below(2);
  for (int j = 0; j < 64; j++) rows[j] = below(t.R), positions[j] = (int32_t)below(8);
  t.p = unit(), t.q = unit(), t.seed = next(), t.flag = below(2) == 1;
  for (int64_t j = 0; j < t.bound + 2 * GUARD + 16; j++) {
    for (int i = 0; i < OUTS; i++) start.y[i][j] = value(kind);
    start.bytes[j] = (uint8_t)next(), start.idx[j] = below(1000);
  }
  return t;
}

static void copy_outputs(outputs *to, const outputs *from, int64_t n) {
  for (int i = 0; i < OUTS; i++) memcpy(to->y[i], from->y[i], (size_t)n * 4);
  memcpy(to->bytes, from->bytes, (size_t)n);
  memcpy(to->idx, from->idx, (size_t)n * 8);
}

/* at: where the range is cut, or -1 */
static void run_case(int c, const ml_kernels *k, call t, outputs *out, int64_t at) {
  uint64_t saved = state;
  copy_outputs(out, &start, t.bound + 2 * GUARD + 16);
  t.out = out;
  if (at < 0) {
    cases[c].run(k, &t);
  } else {
    call left = t, right = t;
    left.hi = right.lo = at;
    cases[c].run(k, &left), cases[c].run(k, &right);
  }
  state = saved; /* a case may draw numbers: the same on every ISA */
}

/* first place where they differ, or -1 */
static int64_t difference(const outputs *p, const outputs *q, int64_t from, int64_t to) {
  for (int64_t j = from; j < to; j++) {
    if (p->bytes[j] != q->bytes[j] || p->idx[j] != q->idx[j]) return j;
    for (int i = 0; i < OUTS; i++)
      if (bits_of(p->y[i][j]) != bits_of(q->y[i][j])) return j;
  }
  return -1;
}

static uint64_t hash_of(const outputs *p, int64_t n, uint64_t h) {
  for (int64_t j = 0; j < n; j++) {
    for (int i = 0; i < OUTS; i++) h = (h ^ bits_of(p->y[i][j])) * 1099511628211u;
    h = (h ^ p->bytes[j] ^ (uint64_t)p->idx[j] << 8) * 1099511628211u;
  }
  return h;
}

/* all ISAs of one kernel against scalar. Returns scalar's hash; counts what differs. */
static uint64_t check_case(int c, int trials, int *wrong) {
  uint64_t h = 14695981039346656037u;
  int before = ml_isa();
  state = (uint64_t)c * 1000003;
  for (int trial = 0; trial < trials; trial++) {
    call t = make_trial(cases[c].how, trial);
    int64_t all = t.bound + 2 * GUARD + 16, cut = below(t.hi + 1);
    ml_isa_set(ML_ISA_SCALAR);
    run_case(c, ml_k(ML_F32), t, &want, -1);
    h = hash_of(&want, all, h);
    int64_t end = GUARD + t.shift + t.bound;
    int64_t spill = difference(&start, &want, 0, GUARD + t.shift);
    if (spill < 0) spill = difference(&start, &want, end, all);
    for (int isa = 0; isa < ML_ISA_COUNT; isa++) {
      if (!ml_cpu_has(isa) || ml_isa_set(isa) != ML_OK) continue;
      for (int split = 0; split <= ((cases[c].how & SPLITS) != 0); split++) {
        run_case(c, ml_k(ML_F32), t, &got, split ? cut : -1);
        int64_t at = spill >= 0 ? spill : difference(&want, &got, 0, all);
        if (at < 0) continue;
        if (++*wrong < 20)
          printf("%s on %s, trial %d, n %lld, rows %lld%s: differs at %lld: %a, expected %a\n",
                 cases[c].name, ml_isa_name(isa), trial, (long long)t.n, (long long)t.R,
                 split ? ", split" : "", (long long)(at - GUARD - t.shift), got.y[0][at],
                 want.y[0][at]);
      }
    }
  }
  ml_isa_set(before);
  return h;
}

static int print_hashes(void) {
  int wrong = 0;
  for (int c = 0; c < CASES; c++) {
    uint64_t h = check_case(c, 16, &wrong);
    printf("%-18s %016llx\n", cases[c].name, (unsigned long long)h);
  }
  return wrong ? 1 : 0;
}

#if defined(ML_TEST_NO_CMOCKA)
int main(void) { return print_hashes(); }
#else

static void every_isa_has_scalars_bits(void **s) {
  (void)s;
  int wrong = 0;
  for (int c = 0; c < CASES; c++) check_case(c, 48, &wrong);
  assert_int_equal(wrong, 0);
}

/* a kernel added to kernels.def must get a case; products and attention have their own programs */
static void every_kernel_has_a_case(void **s) {
#define KERNEL(ret, name, args) #name,
  static const char *const names[] = {
#include "kernels/kernels.def"
  };
#undef KERNEL
  (void)s;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    bool found = !strncmp(names[i], "gemm", 4) || !strncmp(names[i], "attention", 9);
    for (int c = 0; c < CASES && !found; c++) found = !strcmp(cases[c].name, names[i]);
    if (!found) print_message("kernel %s has no case\n", names[i]);
    assert_true(found);
  }
}

/* ---- accuracy against libm in double ---- */
static double ulps(float y, double r) {
  int e;
  if (isnan(r) || isnan(y)) return isnan(r) && isnan(y) ? 0 : INFINITY;
  if (isinf(y) || isinf((float)r)) return y == (float)r ? 0 : INFINITY;
  frexp(r, &e);
  return fabs((double)y - r) * ldexp(1, 24 - (e < -125 ? -125 : e));
}
static double r_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double r_silu(double x) { return x * r_sigmoid(x); }
static double r_softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static double r_logsigmoid(double x) { return fmin(x, 0) - log1p(exp(-fabs(x))); }
static double r_gelu(double x) { return 0.5 * x * erfc(-x * 0.70710678118654752440); }
static double r_gelu_tanh(double x) {
  return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

typedef void map(void *y, const void *x, int64_t sx, int64_t n);
enum { SAMPLES = 1 << 20 };
static float sx[SAMPLES], sy[SAMPLES];

/* half the samples are any float in [-limit, limit], half uniform there */
static void draw(double limit) {
  for (int i = 0; i < SAMPLES; i++)
    do sx[i] = i & 1 ? (float)((unit() * 2 - 1) * limit) : from_bits((uint32_t)next());
    while (!(fabsf(sx[i]) <= limit));
}

static void functions_are_close_to_libm(void **s) {
  const ml_kernels *k = ml_k(ML_F32);
  /* within so many ulp, or so near in absolute terms; zero below */
  const struct { const char *name; map *f; double (*r)(double), limit, ulp, near, zero; } f[] = {
    {"exp", k->exp, exp, 1e38, 1.01, 0, -87.3f},
    {"log", k->log, log, 1e38, 1.01, 0, -1e39},
    {"tanh", k->tanh, tanh, 1e38, 2.5, 0, -1e39},
    {"sigmoid", k->sigmoid, r_sigmoid, 1e38, 2.5, 0, -87.3f},
    {"erf", k->erf, erf, 1e38, 2.5, 0, -1e39},
    {"sin", k->sin, sin, 1e5, 2, 0, -1e39},
    {"cos", k->cos, cos, 1e5, 2, 0, -1e39},
    {"silu", k->silu, r_silu, 1e30, 3.5, 1e-30, -1e39},
    {"softplus", k->softplus, r_softplus, 80, 3, 0, -1e39},
    {"logsigmoid", k->logsigmoid, r_logsigmoid, 80, 3, 0, -1e39},
    {"gelu", k->gelu, r_gelu, 1e30, 2, 1e-7, -1e39},
    {"gelu_tanh", k->gelu_tanh, r_gelu_tanh, 1e9, 2, 2e-7, -1e39},
  };
  (void)s;
  state = 1;
  for (size_t j = 0; j < sizeof f / sizeof *f; j++) {
    double worst = 0, at = 0;
    draw(f[j].limit);
    f[j].f(sy, sx, 1, SAMPLES);
    for (int i = 0; i < SAMPLES; i++) {
      double r = (double)sx[i] < f[j].zero ? 0 : f[j].r((double)sx[i]), e = ulps(sy[i], r);
      if (e > worst && fabs((double)sy[i] - r) > f[j].near) worst = e, at = (double)sx[i];
    }
    if (!(worst <= f[j].ulp)) print_message("%s: %.3f ulp at %a\n", f[j].name, worst, at);
    assert_true(worst <= f[j].ulp);
  }
}

static float one(map *f, float x) {
  float y;
  f(&y, &x, 1, 1);
  return y;
}

static void edges_of_functions(void **s) {
  const ml_kernels *k = ml_k(ML_F32);
  (void)s;
  assert_true(isnan(one(k->exp, NAN)) && one(k->exp, 89) == INFINITY);
  assert_true(one(k->exp, -INFINITY) == 0 && bits_of(one(k->exp, -87.31f)) == 0);
  assert_true(one(k->log, 0) == -INFINITY && one(k->log, -0.0f) == -INFINITY);
  assert_true(isnan(one(k->log, -1)) && isnan(one(k->log, NAN)));
  assert_true(one(k->log, INFINITY) == INFINITY && one(k->log, 1) == 0);
  assert_true(ulps(one(k->log, 0x1p-149f), log(0x1p-149)) <= 1.01);
  assert_true(one(k->tanh, INFINITY) == 1 && one(k->tanh, -INFINITY) == -1);
  assert_true(one(k->erf, INFINITY) == 1 && one(k->sigmoid, -INFINITY) == 0);
  map *const odd[] = {k->sin, k->tanh, k->erf};
  for (int i = 0; i < 3; i++) {
    assert_true(bits_of(one(odd[i], -0.0f)) == 0x80000000 && bits_of(one(odd[i], 0)) == 0);
    assert_true(one(odd[i], 0x1p-149f) == 0x1p-149f);
  }
  /* no sense beyond 1e5, but a number in [-1, 1]; none for infinity */
  for (float x = 1e5f; x < INFINITY; x *= 1.7f)
    assert_true(fabsf(one(k->sin, x)) <= 1 && fabsf(one(k->cos, -x)) <= 1);
  assert_true(isnan(one(k->sin, INFINITY)) && isnan(one(k->cos, -INFINITY)));
}

static void powers(void **s) {
  const ml_kernels *k = ml_k(ML_F32);
  static const float edge[] = {0, -0.0f, 1, -1, 2, -2, 3, -3, 0.5f, -0.5f, INFINITY, -INFINITY,
                               NAN, 1e30f, -1e30f, 0x1p-149f, 16777217};
  (void)s;
  for (int i = 0; i < 17; i++)
    for (int j = 0; j < 17; j++) {
      float y;
      if (edge[j] == 0.5f && (edge[i] == -INFINITY || bits_of(edge[i]) == 0x80000000)) continue;
      k->pow(&y, edge + i, 1, edge + j, 1, 1);
      if (!(ulps(y, pow(edge[i], edge[j])) <= 0.51))
        print_message("pow(%g, %g) = %g\n", edge[i], edge[j], y);
      assert_true(ulps(y, pow(edge[i], edge[j])) <= 0.51);
    }
  for (int i = 0; i < 100000; i++) {
    float x = ldexpf((float)unit() + 1, (int)below(60) - 30), p = (float)(unit() * 8 - 4), y;
    k->pow(&y, &x, 1, &p, 1, 1);
    assert_true(ulps(y, pow(x, p)) <= 0.51);
  }
}

static double dulps(double y, long double r) {
  int e;
  frexpl(r, &e);
  return (double)(fabsl((long double)y - r) * ldexpl(1, 53 - (e < -1021 ? -1021 : e)));
}

static void scalar_functions_in_double(void **s) {
  (void)s;
  for (int i = 0; i < 300000; i++) {
    double x = unit() * 1400 - 700, p = exp(x / 3), y = unit() * 6 - 3;
    assert_true(dulps(ml_exp(x), expl(x)) <= 2);
    assert_true(dulps(ml_log(p), logl(p)) <= 2);
    assert_true(dulps(ml_pow(p, y), powl(p, y)) <= 2);
    x = (unit() * 2 - 1) * ldexp(1, (int)below(31));
    assert_true(dulps(ml_sin(x), sinl(x)) <= 2 && dulps(ml_cos(x), cosl(x)) <= 2);
  }
  for (int64_t n = 1; n < 600000000; n += 1 + n / 64) { /* next to zeros of sine and cosine */
    double x = (double)((long double)n * 1.570796326794896619231L);
    assert_true(dulps(ml_sin(x), sinl(x)) <= 2 && dulps(ml_cos(x), cosl(x)) <= 2);
  }
  assert_true(ml_exp(-INFINITY) == 0 && ml_exp(1000) == INFINITY && ml_exp(0) == 1);
  assert_true(dulps(ml_exp(-740), expl(-740)) <= 2 && isnan(ml_exp(NAN)));
  assert_true(ml_log(0) == -INFINITY && isnan(ml_log(-1)) && ml_log(1) == 0);
  assert_true(dulps(ml_log(0x1p-1074), logl(0x1p-1074)) <= 2);
  assert_true(ml_pow(2, 10) == 1024 && ml_pow(5, 0) == 1 && ml_pow(10, 400) == INFINITY);
  assert_true(ml_sin(0) == 0 && ml_cos(0) == 1 && isnan(ml_sin(INFINITY)));
}

/* ---- f64: rows against plain loops, gradients against differences ---- */
enum { ROWS = 3, COLS = 37, CELLS = ROWS * COLS };
static double x64[CELLS], g64[CELLS], w64[COLS], b64[COLS], y64[CELLS], d64[CELLS], e64[CELLS];

static void draw64(void) {
  for (int i = 0; i < CELLS; i++) x64[i] = unit() * 4 - 2, g64[i] = unit() * 2 - 1;
  for (int i = 0; i < COLS; i++) w64[i] = unit() + .5, b64[i] = unit();
}
static void near64(double a, double b, double tolerance) {
  if (!(fabs(a - b) <= tolerance * (1 + fabs(b)))) print_message("%.17g, expected %.17g\n", a, b);
  assert_true(fabs(a - b) <= tolerance * (1 + fabs(b)));
}

static void slopes_match_differences(void **s) {
  const ml_kernels *k = ml_k(ML_F64);
  typedef void map2(void *, const void *, int64_t, const void *, int64_t, int64_t);
  /* of_y: the slope is a function of the result */
  const struct { map *f; map2 *d; bool of_y; } f[] = {
    {k->tanh, k->tanh_grad, true}, {k->sigmoid, k->sigmoid_grad, true},
    {k->silu, k->silu_grad, false}, {k->gelu, k->gelu_grad, false},
    {k->gelu_tanh, k->gelu_tanh_grad, false}, {k->relu, k->relu_grad, false},
    {k->relu2, k->relu2_grad, false}, {k->logsigmoid, k->logsigmoid_grad, false},
    {k->softplus, k->softplus_grad, false}, {k->erf, k->erf_grad, false},
  };
  (void)s;
  for (size_t j = 0; j < sizeof f / sizeof *f; j++) {
    draw64();
    f[j].f(y64, x64, 1, CELLS);
    f[j].d(d64, g64, 1, f[j].of_y ? y64 : x64, 1, CELLS);
    for (int i = 0; i < CELLS; i++) {
      double h = 1e-5, at[2] = {x64[i] - h, x64[i] + h}, y[2];
      f[j].f(y, at, 1, 2);
      if (fabs(x64[i]) > 2 * h) near64(d64[i], g64[i] * (y[1] - y[0]) / (2 * h), 1e-9);
    }
  }
}

/* sum of g * f(x) by central differences in every x */
typedef void forward(double *y, const double *x);
static void check_gradient(forward *f, const double *dx) {
  double y[CELLS], x[CELLS];
  memcpy(x, x64, sizeof x);
  for (int i = 0; i < CELLS; i++) {
    double h = 1e-5, sum[2] = {0, 0};
    for (int side = 0; side < 2; side++) {
      x[i] = x64[i] + (side ? h : -h);
      f(y, x);
      for (int j = 0; j < CELLS; j++) sum[side] += g64[j] * y[j];
    }
    x[i] = x64[i];
    near64(dx[i], (sum[1] - sum[0]) / (2 * h), 1e-8);
  }
}
#define FORWARD(name, ...) \
  static void name(double *y, const double *x) { ml_k(ML_F64)->__VA_ARGS__; }
FORWARD(f_softmax, softmax(y, x, 0, ROWS, COLS))
FORWARD(f_log_softmax, log_softmax(y, x, 0, ROWS, COLS))
FORWARD(f_rms, rms_norm(y, x, COLS, w64, 0, ROWS, COLS, 1e-6))
FORWARD(f_layer, layer_norm(y, x, COLS, w64, b64, 0, ROWS, COLS, 1e-5))
FORWARD(f_softcap, softcap(y, x, CELLS, 1.5))

static void rows_against_plain_loops(void **s) {
  (void)s;
  state = 5;
  draw64();
  const ml_kernels *k = ml_k(ML_F64);
  double rms[CELLS], layer[CELLS], lse[ROWS];
  f_softmax(y64, x64), f_log_softmax(d64, x64), f_rms(rms, x64), f_layer(layer, x64);
  k->row_lse(lse, x64, COLS, 0, ROWS, COLS);
  for (int r = 0; r < ROWS; r++) {
    const double *x = x64 + r * COLS;
    double sum = 0, total = 0, squares = 0, variance = 0;
    for (int c = 0; c < COLS; c++) sum += exp(x[c]), total += x[c], squares += x[c] * x[c];
    double mean = total / COLS;
    for (int c = 0; c < COLS; c++) variance += (x[c] - mean) * (x[c] - mean) / COLS;
    near64(lse[r], log(sum), 1e-13);
    for (int c = 0; c < COLS; c++) {
      int i = r * COLS + c;
      near64(y64[i], exp(x[c]) / sum, 1e-13), near64(d64[i], x[c] - log(sum), 1e-13);
      near64(rms[i], x[c] / sqrt(squares / COLS + 1e-6) * w64[c], 1e-13);
      near64(layer[i], (x[c] - mean) / sqrt(variance + 1e-5) * w64[c] + b64[c], 1e-13);
    }
  }
}

static void row_gradients_match_differences(void **s) {
  const ml_kernels *k = ml_k(ML_F64);
  (void)s;
  draw64();
  f_softmax(y64, x64), k->softmax_grad(d64, g64, y64, 0, ROWS, COLS);
  check_gradient(f_softmax, d64);
  f_log_softmax(y64, x64), k->log_softmax_grad(d64, g64, y64, 0, ROWS, COLS);
  check_gradient(f_log_softmax, d64);
  k->rms_norm_grad(d64, g64, x64, COLS, w64, 0, ROWS, COLS, 1e-6, false);
  check_gradient(f_rms, d64);
  k->layer_norm_grad(d64, g64, x64, COLS, w64, 0, ROWS, COLS, 1e-5, false);
  check_gradient(f_layer, d64);
  f_softcap(y64, x64), k->softcap_grad(d64, g64, y64, CELLS, 1.5);
  check_gradient(f_softcap, d64);
  memcpy(e64, x64, sizeof e64); /* accumulation adds to what is there */
  k->rms_norm_grad(d64, g64, x64, COLS, w64, 0, ROWS, COLS, 1e-6, false);
  k->rms_norm_grad(e64, g64, x64, COLS, w64, 0, ROWS, COLS, 1e-6, true);
  for (int i = 0; i < CELLS; i++) near64(e64[i], x64[i] + d64[i], 1e-15);
}

static void gain_gradients_and_swiglu(void **s) {
  const ml_kernels *k = ml_k(ML_F64);
  double dw[COLS], plain[CELLS], du[CELLS], up[CELLS], again[CELLS];
  (void)s;
  draw64();
  k->rms_norm(plain, x64, COLS, NULL, 0, ROWS, COLS, 1e-6);
  k->rms_norm_dw(dw, g64, x64, COLS, 0, ROWS, COLS, 1e-6);
  for (int pass = 0; pass < 2; pass++) {
    for (int c = 0; c < COLS; c++) {
      double sum = 0;
      for (int r = 0; r < ROWS; r++) sum += g64[r * COLS + c] * plain[r * COLS + c];
      near64(dw[c], sum, 1e-13);
    }
    k->layer_norm(plain, x64, COLS, NULL, NULL, 0, ROWS, COLS, 1e-5);
    k->layer_norm_dw(dw, g64, x64, COLS, 0, ROWS, COLS, 1e-5);
  }
  for (int i = 0; i < CELLS; i++) up[i] = unit();
  k->swiglu(y64, x64, up, CELLS);
  k->swiglu_grad(d64, du, again, g64, x64, up, CELLS);
  assert_memory_equal(again, y64, sizeof y64);
  for (int i = 0; i < CELLS; i++) {
    double g = x64[i], h = 1e-5;
    near64(y64[i], r_silu(g) * up[i], 1e-13), near64(du[i], g64[i] * r_silu(g), 1e-13);
    near64(d64[i], g64[i] * up[i] * (r_silu(g + h) - r_silu(g - h)) / (2 * h), 1e-9);
  }
}

static void cross_entropy_and_rope(void **s) {
  const ml_kernels *k = ml_k(ML_F64);
  double lse[ROWS], g[ROWS] = {.5, 0, 2}, turned[CELLS], cosines[COLS], sines[COLS];
  int64_t ids[ROWS] = {3, 7, COLS - 1};
  int32_t pos[ROWS] = {0, 1, 1};
  (void)s;
  draw64();
  memcpy(y64, x64, sizeof y64);
  k->row_lse(lse, x64, COLS, 0, ROWS, COLS);
  k->ce_grad(y64, COLS, lse, ids, 0, g, 0, ROWS, COLS);
  for (int i = 0; i < CELLS; i++) {
    int r = i / COLS;
    near64(y64[i], g[r] * (exp(x64[i] - lse[r]) - (i % COLS == ids[r])), 1e-13);
  }
  enum { D = 12, H = 3 };
  for (int i = 0; i < D; i++) cosines[i] = cos(i * .1), sines[i] = sin(i * .1);
  k->rope(y64, COLS, x64, COLS, cosines, sines, pos, 0, ROWS, H, D, false);
  for (int r = 0; r < ROWS; r++)
    for (int j = 0; j < H * D / 2; j++) {
      const double *x = x64 + r * COLS + j / (D / 2) * D + j % (D / 2);
      double *y = y64 + (x - x64), a = (pos[r] * D / 2 + j % (D / 2)) * .1;
      near64(y[0], x[0] * cos(a) - x[D / 2] * sin(a), 1e-14);
      near64(y[D / 2], x[D / 2] * cos(a) + x[0] * sin(a), 1e-14);
    }
  k->rope(turned, COLS, y64, COLS, cosines, sines, pos, 0, ROWS, H, D, true);
  for (int i = 0; i < ROWS * COLS; i++)
    if (i % COLS < H * D) near64(turned[i], x64[i], 1e-14);
}

/* ---- forbidden ids, blocks, NaN ---- */
static void log_sum_exp_in_blocks(void **s) {
  enum { V = 3 * ML_DET_HEAD_VOCAB + 5 };
  static float z[V];
  float lse;
  (void)s;
  const ml_kernels *k = ml_k(ML_F32);
  double sum = 0;
  for (int i = 0; i < V; i++) {
    z[i] = i / ML_DET_HEAD_VOCAB == 1 ? -INFINITY : (float)(unit() * 20); /* one block: none */
    sum += exp((double)z[i]);
  }
  k->row_lse(&lse, z, V, 0, 1, V);
  assert_true(ulps(lse, log(sum)) <= 4);
  float max, steps; /* the same bits step by step */
  for (int b = 0; b < V; b += ML_DET_HEAD_VOCAB)
    k->row_lse_add(&max, &steps, z + b, V, 0, 1, V - b < ML_DET_HEAD_VOCAB ? V - b
                   : ML_DET_HEAD_VOCAB, b == 0);
  k->row_lse_end(&max, &steps, 0, 1);
  assert_true(bits_of(max) == bits_of(lse));
  for (int i = 0; i < V; i++) z[i] = -INFINITY;
  k->row_lse(&lse, z, V, 0, 1, V);
  assert_true(lse == -INFINITY);
  for (int i = 0; i < ML_DET_HEAD_VOCAB; i++) z[i] = NAN; /* a block of NaN must not vanish */
  k->row_lse(&lse, z, V, 0, 1, V);
  assert_true(isnan(lse));
}

/* by blocks of 7 columns, against plain loops */
static void entropy_and_divergences(void **s) {
  enum { BLOCK = 7 };
  const ml_kernels *k = ml_k(ML_F64);
  static double z[CELLS];
  double lse[ROWS], tlse[ROWS], sum[ROWS], dot[ROWS], ours[ROWS], theirs[ROWS];
  (void)s;
  draw64();
  for (int i = 0; i < CELLS; i++) z[i] = x64[CELLS - 1 - i];
  k->row_lse(tlse, z, COLS, 0, ROWS, COLS);
  for (int c = 0; c < COLS; c += BLOCK)
    k->row_entropy_add(lse, sum, dot, x64 + c, COLS, 0, ROWS, COLS - c < BLOCK ? COLS - c : BLOCK,
                       c == 0);
  k->row_entropy_end(dot, sum, dot, 0, ROWS), k->row_lse_end(lse, sum, 0, ROWS);
  for (int r = 0; r < ROWS; r++) {
    double h = 0;
    for (int c = 0; c < COLS; c++) {
      double l = x64[r * COLS + c] - lse[r];
      h -= exp(l) * l;
    }
    near64(dot[r], h, 1e-13);
  }
  for (int kind = ML_KL_FORWARD; kind <= ML_KL_JS; kind++) {
    double beta = .3;
    for (int c = 0; c < COLS; c += BLOCK)
      k->kl_add(ours, theirs, x64 + c, COLS, lse, z + c, COLS, tlse, kind, beta, 0, ROWS,
                COLS - c < BLOCK ? COLS - c : BLOCK, c == 0);
    for (int r = 0; r < ROWS; r++) {
      double a = 0, b = 0;
      for (int c = 0; c < COLS; c++) {
        double p = exp(x64[r * COLS + c] - lse[r]), q = exp(z[r * COLS + c] - tlse[r]);
        double m = (1 - beta) * p + beta * q;
        if (kind != ML_KL_FORWARD) a += p * log(p / (kind == ML_KL_JS ? m : q));
        if (kind != ML_KL_REVERSE) b += q * log(q / (kind == ML_KL_JS ? m : p));
      }
      near64(ours[r], a, 1e-13), near64(theirs[r], b, 1e-13);
    }
  }
}

static void extremes_and_order(void **s) {
  (void)s;
  const ml_kernels *k = ml_k(ML_F32);
  for (int trial = 0; trial < 2000; trial++) {
    float x[80], top;
    int64_t n = 1 + below(80), at, low, idx[80], tmp[80];
    for (int i = 0; i < n; i++) x[i] = (float)below(9) - 4; /* many ties */
    if (trial % 4 == 0) x[below(n)] = NAN;
    int64_t best = 0, least = 0;
    for (int64_t i = 1; i < n && x[best] == x[best]; i++)
      if (x[i] != x[i] || x[i] > x[best]) best = i;
    for (int64_t i = 1; i < n && x[least] == x[least]; i++)
      if (x[i] != x[i] || x[i] < x[least]) least = i;
    k->row_argmax(&at, x, n, 0, 1, n), k->row_argmin(&low, x, n, 0, 1, n);
    k->row_max(&top, x, n, 0, 1, n);
    assert_int_equal(at, best), assert_int_equal(low, least);
    assert_true(bits_of(top) == bits_of(x[best]));
    k->row_sort(idx, x, n, trial & 1, tmp);
    for (int64_t i = 1; i < n; i++) {
      float a = x[idx[i - 1]], b = x[idx[i]];
      bool tie = a == b || (a != a && b != b);
      assert_true(tie ? idx[i - 1] < idx[i] : b != b || (trial & 1 ? a > b : a < b));
    }
  }
}

/* ---- optimisers ---- */
static void updates_are_the_formulas(void **s) {
  const ml_kernels *k = ml_k(ML_F64);
  double p[50], g[50], m[50], v[50], u[50], lr = .01, gs = .5;
  (void)s;
  for (int i = 0; i < 50; i++) p[i] = unit(), g[i] = unit() - .5, m[i] = unit() - .5, v[i] = unit();
  double q[50], n[50], w[50];
  memcpy(q, p, sizeof q), memcpy(n, m, sizeof n), memcpy(w, v, sizeof w);
  k->adamw(p, g, m, v, 0, 50, lr, .9, .99, 1e-8, .1, .271, .03, gs);
  for (int i = 0; i < 50; i++) {
    n[i] = .9 * n[i] + .1 * g[i] * gs, w[i] = .99 * w[i] + .01 * g[i] * gs * g[i] * gs;
    q[i] = q[i] * (1 - lr * .1) - lr / .271 * n[i] / (sqrt(w[i] / .03) + 1e-8);
    near64(m[i], n[i], 1e-14), near64(v[i], w[i], 1e-14), near64(p[i], q[i], 1e-13);
  }
  for (int nesterov = 0; nesterov < 2; nesterov++) {
    k->sgd(p, g, m, 0, 50, lr, .9, nesterov, .1, gs);
    for (int i = 0; i < 50; i++) {
      n[i] = .9 * n[i] + g[i] * gs;
      q[i] = q[i] * (1 - lr * .1) - lr * (nesterov ? g[i] * gs + .9 * n[i] : n[i]);
      near64(m[i], n[i], 1e-14), near64(p[i], q[i], 1e-13);
    }
    k->muon_momentum(u, g, m, 0, 50, .95, nesterov, gs);
    for (int i = 0; i < 50; i++) {
      n[i] = .95 * n[i] + .05 * g[i] * gs;
      near64(m[i], n[i], 1e-14);
      near64(u[i], nesterov ? .05 * g[i] * gs + .95 * n[i] : n[i], 1e-14);
    }
  }
}

static void moments_never_stay_subnormal(void **s) {
  float p = 1, g = 0, m = -0x1p-126f, v = 0x1p-126f;
  (void)s;
  ml_k(ML_F32)->adamw(&p, &g, &m, &v, 0, 1, 0, .9, .99, 1e-8, 0, 1, 1, 1);
  assert_true(bits_of(m) == 0 && bits_of(v) == 0);
}

/* ---- random ---- */
static void uniforms_are_philoxs_words(void **s) {
  static float y[300];
  (void)s;
  for (uint64_t i0 = (1ull << 32) - 150; i0 < (1ull << 32) - 80; i0 += 7) {
    ml_k(ML_F32)->uniform(y, 0, 300, 0x123456789abcdefu, 9, i0, 11, 13);
    for (uint64_t i = 0; i < 300; i++) {
      ml_u32x4 w = ml_random(0x123456789abcdefu, 9, (i0 + i) / 4, 11, 13);
      assert_true(y[i] == ml_u01(w.v[(i0 + i) % 4]));
    }
  }
}

static void random_statistics(void **s) {
  const ml_kernels *k = ml_k(ML_F32);
  double n = SAMPLES, m1 = 0, m2 = 0, m3 = 0, m4 = 0, lag = 0;
  (void)s;
  k->uniform(sy, 0, SAMPLES, 1, 2, 0, 3, 4);
  for (int i = 0; i < SAMPLES; i++) {
    double u = (double)sy[i] - .5;
    m1 += u, m2 += u * u;
    assert_true(sy[i] >= 0 && sy[i] < 1);
  }
  assert_true(fabs(m1 / n) < 5 * sqrt(1 / (12 * n)) && fabs(m2 / n - 1. / 12) < 5 * .075 / sqrt(n));
  k->normal(sy, 0, SAMPLES, 1, 2, 0, 3, 5);
  m1 = m2 = 0;
  for (int i = 0; i < SAMPLES; i++) {
    double z = (double)sy[i];
    m1 += z, m2 += z * z, m3 += z * z * z, m4 += z * z * z * z;
    if (i > 0) lag += z * (double)sy[i - 1];
  }
  assert_true(fabs(m1 / n) < 5 / sqrt(n) && fabs(m2 / n - 1) < 5 * sqrt(2 / n));
  assert_true(fabs(m3 / n) < 5 * sqrt(15 / n) && fabs(m4 / n - 3) < 5 * sqrt(96 / n));
  assert_true(fabs(lag / n) < 5 / sqrt(n)); /* the pair's cosine and sine do not correlate */
  for (int i = 0; i < SAMPLES; i++) sx[i] = 3;
  k->dropout(sy, sx, 0, SAMPLES, .1, 1, 2, 0, 3, 6);
  double kept = 0;
  for (int i = 0; i < SAMPLES; i++) {
    assert_true(sy[i] == 0 || sy[i] == 3 * (float)(1 / .9));
    kept += sy[i] != 0;
  }
  assert_true(fabs(kept / n - .9) < 5 * sqrt(.09 / n));
  k->uniform(sx, 0, 64, 1, 2, 0, 3, 7);
  for (int i = 0; i < 64; i++) { /* u equal to p is kept */
    k->dropout(sy, sx, 0, 64, (double)sx[i], 1, 2, 0, 3, 7);
    assert_true(sy[i] != 0);
  }
}

/* ---- casts ---- */
static double half_value(int dt, uint32_t h) { /* by the format's definition */
  int bits = dt == ML_F16 ? 10 : 7, bias = dt == ML_F16 ? 15 : 127;
  int e = (int)(h >> bits & (dt == ML_F16 ? 31 : 255)), m = (int)(h & ((1u << bits) - 1));
  double v = e ? ldexp(m + (1 << bits), e - bias - bits) : ldexp(m, 1 - bias - bits);
  if (e == (dt == ML_F16 ? 31 : 255)) v = m ? NAN : INFINITY;
  return h & 0x8000 ? -v : v;
}
static uint16_t to_half(int dt, double v, int from) {
  float f = (float)v;
  uint16_t h;
  ml_cast(&h, dt, 1, from == ML_F32 ? (const void *)&f : &v, from, 1, 1);
  return h;
}

static void half_casts_are_exact_and_round_to_even(void **s) {
  static const int types[] = {ML_F16, ML_BF16};
  (void)s;
  for (int d = 0; d < 2; d++)
    for (uint32_t h = 0; h < 65536; h++) {
      int dt = types[d];
      uint16_t in16 = (uint16_t)h;
      float f;
      double r = half_value(dt, h), wide;
      ml_cast(&f, ML_F32, 1, &in16, dt, 1, 1), ml_cast(&wide, ML_F64, 1, &in16, dt, 1, 1);
      assert_true(isnan(r) ? isnan(f) && isnan(wide) : (double)f == r && wide == r);
      assert_true(!signbit(f) == !(h & 0x8000) || isnan(r));
      uint16_t back = to_half(dt, (double)f, ML_F32);
      assert_true(isnan(r) ? isnan(half_value(dt, back)) : back == h);
      uint32_t inf = dt == ML_F16 ? 0x7c00 : 0x7f80;
      if ((h & 0x7fff) >= inf) continue;
      /* the midpoint to the next one (as far past the largest as one would be), and around it */
      double up = (h & 0x7fff) + 1 == inf ? 2 * r - half_value(dt, h - 1) : half_value(dt, h + 1);
      double mid = r + (up - r) / 2, far = (up - r) * 0x1p-10;
      for (int from = ML_F32; from <= ML_F64; from++) {
        assert_int_equal(to_half(dt, mid, from), h & 1 ? h + 1 : h);
        assert_int_equal(to_half(dt, mid - far, from), h);
        assert_int_equal(to_half(dt, mid + far, from), h + 1);
      }
      double tiny = (up - r) * 0x1p-38; /* float alone would round it away: twice rounded */
      assert_int_equal(to_half(dt, mid + tiny, ML_F64), h + 1);
      assert_int_equal(to_half(dt, mid - tiny, ML_F64), h);
    }
}

/* every high half with the low halves that decide: midpoints and around them; NaNs' payloads too */
static void rows_of_halves_are_casts(void **s) {
  static uint32_t u[65536];
  static uint16_t h[65536], want_h[65536];
  static float wide[65536], want_wide[65536];
  int was = ml_isa();
  (void)s;
  for (int isa = 0; isa < ML_ISA_COUNT; isa++) {
    if (!ml_cpu_has(isa) || ml_isa_set(isa) != ML_OK) continue;
    for (int l = 0; l < 9; l++) {
      static const uint32_t low[] = {0, 1, 0x40, 0x3fff, 0x7fff, 0x8000, 0x8001, 0xc000, 0xffff};
      for (uint32_t i = 0; i < 65536; i++) u[i] = i << 16 | low[l];
      ml_cast(want_h, ML_BF16, 1, u, ML_F32, 1, 65536);
      ml_k(ML_F32)->narrow(h, (const float *)u, 65536);
      assert_memory_equal(h, want_h, 65536 * 2);
    }
    for (uint32_t i = 0; i < 65536; i++) h[i] = (uint16_t)i;
    ml_k(ML_F32)->widen(wide, h, 65536);
    ml_cast(want_wide, ML_F32, 1, h, ML_BF16, 1, 65536);
    assert_memory_equal(wide, want_wide, sizeof wide);
  }
  ml_isa_set(was);
}

static void integer_casts_saturate(void **s) {
  const double x[] = {NAN, 1e30, -1e30, 2.9, -2.9, 255.5, 2147483648.0, INFINITY, -0.5};
  int64_t i64[9];
  int32_t i32[9];
  uint8_t u8[9], truth[9];
  float f[9];
  (void)s;
  ml_cast(i64, ML_I64, 1, x, ML_F64, 1, 9), ml_cast(i32, ML_I32, 1, x, ML_F64, 1, 9);
  ml_cast(u8, ML_U8, 1, x, ML_F64, 1, 9), ml_cast(truth, ML_BOOL, 1, x, ML_F64, 1, 9);
  const int64_t w64i[] = {0, INT64_MAX, INT64_MIN, 2, -2, 255, 2147483648, INT64_MAX, 0};
  const int32_t w32[] = {0, INT32_MAX, INT32_MIN, 2, -2, 255, INT32_MAX, INT32_MAX, 0};
  const uint8_t w8[] = {0, 255, 0, 2, 0, 255, 255, 255, 0};
  assert_memory_equal(i64, w64i, sizeof i64);
  assert_memory_equal(i32, w32, sizeof i32);
  assert_memory_equal(u8, w8, sizeof u8);
  for (int i = 0; i < 9; i++) assert_int_equal(truth[i], 1);
  ml_cast(u8, ML_U8, 1, i64, ML_I64, 1, 9), ml_cast(f, ML_F32, 1, i64, ML_I64, 1, 9);
  for (int i = 0; i < 9; i++) assert_true(u8[i] == w8[i] && f[i] == (float)i64[i]);
}

/* every pair of types on small numbers, strided, forwards and back */
static void every_cast_pair_keeps_small_numbers(void **s) {
  static uint8_t a[400], b[400], c[400];
  (void)s;
  for (int from = 0; from < ML_DTYPES; from++)
    for (int to = 0; to < ML_DTYPES; to++) {
      double x[10], y[10];
      for (int i = 0; i < 10; i++)
        x[i] = from == ML_BOOL || to == ML_BOOL ? (double)below(2) : (double)below(100);
      ml_cast(a, from, 3, x, ML_F64, 1, 10);
      ml_cast(b, to, 2, a, from, 3, 10);
      ml_cast(c, from, 1, b, to, 2, 10);
      ml_cast(y, ML_F64, 1, c, from, 1, 10);
      assert_memory_equal(x, y, sizeof x);
    }
}

static void choosing_an_isa(void **s) {
  int was = ml_isa();
  (void)s;
  assert_int_equal(ml_isa_set(ML_ISA_SCALAR), ML_OK);
  assert_int_equal(ml_isa(), ML_ISA_SCALAR);
  assert_int_equal(ml_isa_set(-1), ML_EARG);
  assert_int_equal(ml_isa_set(ML_ISA_COUNT), ML_EARG);
  assert_non_null(strstr(ml_errmsg(), "scalar")); /* names those there are */
  assert_int_equal(ml_isa(), ML_ISA_SCALAR);
  assert_int_equal(ml_isa_set(was), ML_OK);
  static const int64_t size[ML_DTYPES] = {4, 8, 8, 4, 1, 1, 2, 2};
  for (int d = 0; d < ML_DTYPES; d++) assert_int_equal(ml_dtype_size(d), size[d]);
  assert_string_equal(ml_dtype_name(ML_BF16), "bf16");
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "--hash")) return print_hashes();
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_kernel_has_a_case), cmocka_unit_test(every_isa_has_scalars_bits),
    cmocka_unit_test(functions_are_close_to_libm), cmocka_unit_test(edges_of_functions),
    cmocka_unit_test(powers), cmocka_unit_test(scalar_functions_in_double),
    cmocka_unit_test(slopes_match_differences), cmocka_unit_test(rows_against_plain_loops),
    cmocka_unit_test(row_gradients_match_differences),
    cmocka_unit_test(gain_gradients_and_swiglu), cmocka_unit_test(cross_entropy_and_rope),
    cmocka_unit_test(log_sum_exp_in_blocks), cmocka_unit_test(entropy_and_divergences),
    cmocka_unit_test(extremes_and_order),
    cmocka_unit_test(updates_are_the_formulas), cmocka_unit_test(moments_never_stay_subnormal),
    cmocka_unit_test(uniforms_are_philoxs_words), cmocka_unit_test(random_statistics),
    cmocka_unit_test(half_casts_are_exact_and_round_to_even),
    cmocka_unit_test(rows_of_halves_are_casts), cmocka_unit_test(integer_casts_saturate),
    cmocka_unit_test(every_cast_pair_keeps_small_numbers), cmocka_unit_test(choosing_an_isa),
  };
  return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
#endif
