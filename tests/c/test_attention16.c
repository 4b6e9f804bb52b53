/* test_attention16.c -- bf16 attention in both orders against the plain loops that define it, bit
** for bit, on every ISA of this machine, by instruction and by FMAs, and against doubles; a decoded
** token, a document alone, a training row and any number of threads give the same bits. With
** "--hash" it prints one number instead, for comparing machines, compilers and NEON. */
#include "attention_kit.h"
#include "kernels/flush.h"
#include "kernels/gemm.h"

#define NOINLINE __attribute__((noinline)) /* arithmetic must not leave the region of its mode */
enum { N = ML_DET_KEYS16 };

static float rounded(float x) {
  uint16_t h;
  ml_k(ML_F32)->narrow(&h, &x, 1);
  ml_k(ML_F32)->widen(&x, &h, 1);
  return x;
}

/* ---- a problem with bf16 operands; p.f holds the same numbers widened ---- */
typedef struct {
  problem p;
  uint16_t *h[ARRAYS];
} halves;

static bool is_shared(const problem *p, int i) { /* kept in another array */
  return p->layout == PACKED && (i == K || i == V || i == DK || i == DV);
}

/* sharp: queries so long that most of a row's p are nothing */
static halves make_halves(int64_t heads, int64_t kv_heads, int64_t dim, int64_t window, int layout,
                          int64_t nseg, const int64_t *len, float sharp) {
  halves x = {make(heads, kv_heads, dim, window, layout, nseg, len)};
  for (int i = 0; i < ARRAYS; i++) {
    if (is_shared(&x.p, i)) {
      x.h[i] = x.h[i < INPUTS ? Q : DQ];
      continue;
    }
    x.h[i] = zeros(x.p.size[i], sizeof(uint16_t));
    for (int64_t j = 0; i < INPUTS && j < x.p.size[i]; j++)
      x.p.d[i][j] = x.p.f[i][j] = rounded(x.p.f[i][j] * (i == Q ? sharp : 1));
    ml_k(ML_F32)->narrow(x.h[i], x.p.f[i], x.p.size[i]);
  }
  return x;
}

static void drop_halves(halves *x) {
  for (int i = 0; i < ARRAYS; i++)
    if (!is_shared(&x->p, i)) free(x->h[i]);
  drop(&x->p);
}

static ml_attention attention_of_halves(const halves *x) {
  ml_attention a = attention_of(&x->p, ML_F32);
  const void **in[] = {[Q] = &a.q, [K] = &a.k, [V] = &a.v, [DOUT] = &a.dout};
  void **out[] = {[O] = &a.o, [LSE] = NULL, [DQ] = &a.dq, [DK] = &a.dk, [DV] = &a.dv};
  for (int i = 0; i < INPUTS; i++) *in[i] = x->h[i] + x->p.offset[i];
  for (int i = O; i < ARRAYS; i++)
    if (i != LSE) *out[i] = x->h[i] + x->p.offset[i];
  return a;
}

/* outputs start as garbage: all of them must be overwritten */
static void run_halves(halves *x, int kind) {
  problem *p = &x->p;
  for (int i = INPUTS; i < ARRAYS; i++) {
    if (is_shared(p, i)) continue;
    memset(x->h[i], 0x7f, (size_t)p->size[i] * 2), memset(p->f[i], 0x7f, (size_t)p->size[i] * 4);
  }
  ml_attention a = attention_of_halves(x);
  assert_int_equal(ml_attention_forward(kind, &a, p->seg, p->nseg), ML_OK);
  assert_int_equal(ml_attention_backward(kind, &a, p->seg, p->nseg), ML_OK);
  for (int i = INPUTS; i < ARRAYS; i++)
    if (i != LSE && !is_shared(p, i)) ml_k(ML_F32)->widen(p->f[i], x->h[i], p->size[i]);
}

#define EACH_KIND(kind) for (int kind = ML_GEMM_PAIRS; kind <= ML_GEMM_TILES; kind++)
/* by FMAs, and by instruction where there is one */
#define EACH_WAY(kind)                                                                        \
  EACH_ISA(isa)                                                                               \
    for (int way = ML_GEMM_EMULATE; way <= (ml_gemm_native(kind) ? ML_GEMM_NATIVE : ML_GEMM_EMULATE) \
         && (ml_gemm_way(way), true); way++, ml_gemm_way(ML_GEMM_AUTO))

/* ---- the definition of attention16.c's header ---- */
/* c and the chain over n (a multiple of 32) */
UNWATCHED static float chain(int kind, const float *a, const float *b, int64_t n) {
  float c = 0;
  for (int64_t k = 0; k < n && kind == ML_GEMM_PAIRS; k += 2)
    c = fmaf(a[k], b[k], fmaf(a[k + 1], b[k + 1], c));
  for (int64_t k = 0; k < n && kind == ML_GEMM_TILES; k += 32) {
    float e = 0, o = 0;
    for (int i = 0; i < 32; i += 2)
      e = fmaf(a[k + i], b[k + i], e), o = fmaf(a[k + i + 1], b[k + i + 1], o);
    c += e + o;
  }
  return c;
}

UNWATCHED static float exp2_of(float x) {
  static const float c[] = {1.326472731e-3f, 9.671512991e-3f, 5.550733581e-2f, 2.402224243e-1f,
                            6.931470037e-1f, 1.0f};
  float t = x < -127 ? -127 : x, n = rintf(t), p = c[0];
  for (int i = 1; i < 6; i++) p = fmaf(p, t - n, c[i]);
  return n <= -127 ? 0 : p * ldexpf(1, (int)n);
}

UNWATCHED static float tree(float *t, int n) {
  for (int h = n / 2; h; h /= 2)
    for (int i = 0; i < h; i++) t[i] += t[i + h];
  return t[0];
}

static float log_of(float x) {
  float y;
  ml_k(ML_F32)->log(&y, &x, 1, 1);
  return y;
}

/* n elements sk apart, then zeros to a multiple of 32 */
static const float *column(float *to, const float *x, int64_t sk, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = x[i * sk];
  for (int64_t i = n; i % 32; i++) to[i] = 0;
  return to;
}
static int64_t steps(int64_t n) { return (n + 31) / 32 * 32; }

typedef struct {
  view w;
  const problem *p;
  int kind;
  float *score, *prob, *ds; /* of [query][key], one head */
  int64_t keys;
} definition;

static const float *k_row(const definition *x, int i, int64_t j) {
  return x->p->f[i] + x->p->offset[i] + (i == K ? at_k(&x->w, j) : at_v(&x->w, j));
}

UNWATCHED static void defined_scores(const definition *x, int64_t i) {
  int64_t D = x->p->dim;
  float a[512], b[512];
  column(a, x->p->f[Q] + x->p->offset[Q] + at_q(&x->w, i), 1, D);
  for (int64_t j = 0; j <= x->w.s->past + i; j++)
    x->score[i * x->keys + j] = chain(x->kind, a, column(b, k_row(x, K, j), 1, D), steps(D));
}

UNWATCHED static void defined_row(const definition *x, int64_t i, float *o, float *lse) {
  const view *w = &x->w;
  float m = -1e30f, l = 0, c = (float)(w->a->scale * 1.4426950408889634), p[N], v[N];
  const float *s = x->score + i * x->keys;
  int64_t D = w->a->dim, last = w->s->past + i;
  for (int64_t d = 0; d < D; d++) o[d] = 0;
  for (int64_t b = 0; b <= last; b += N) {
    float t[32] = {0}, was = m;
    int64_t n = last + 1 - b < N ? last + 1 - b : N;
    if (!sees(w, i, b + n - 1)) continue;
    for (int64_t j = 0; j < n; j++)
      if (sees(w, i, b + j) && s[b + j] * c > m) m = s[b + j] * c;
    for (int64_t j = 0; j < n; j++) {
      float e = sees(w, i, b + j) ? exp2_of(fmaf(s[b + j], c, -m)) : 0;
      t[j % 32] += e, p[j] = rounded(e);
    }
    for (int64_t j = n; j % 32; j++) p[j] = 0;
    l = fmaf(l, exp2_of(was - m), tree(t, 32));
    for (int64_t d = 0; d < D; d++)
      o[d] = fmaf(o[d], exp2_of(was - m),
                  chain(x->kind, p, column(v, k_row(x, V, b) + d, w->a->ldv, n), steps(n)));
  }
  for (int64_t d = 0; d < D; d++) o[d] = rounded(o[d] * (1 / l) + 0.0f);
  *lse = fmaf(m, 0x1.62e430p-1f, log_of(l));
}

/* p and ds of one query, rounded */
UNWATCHED static void defined_pairs(const definition *x, int64_t i) {
  const view *w = &x->w;
  int64_t D = w->a->dim;
  const float *o = x->p->f[O] + at_o(w, i), *g = x->p->f[DOUT] + at_o(w, i);
  float t[16] = {0}, a[512], b[512], c = (float)(w->a->scale * 1.4426950408889634);
  float lse = x->p->f[LSE][at_lse(w, i)] * 0x1.715476p+0f;
  for (int64_t d = 0; d < D; d++) t[d % 16] = fmaf(g[d], o[d], t[d % 16]);
  float delta = tree(t, 16);
  for (int64_t j = 0; j < x->keys; j++) {
    float *p = x->prob + i * x->keys + j, *ds = x->ds + i * x->keys + j;
    *p = *ds = 0;
    if (!sees(w, i, j)) continue;
    float e = exp2_of(fmaf(x->score[i * x->keys + j], c, -lse));
    float dp = chain(x->kind, column(a, k_row(x, V, j), 1, D), column(b, g, 1, D), steps(D));
    *p = rounded(e), *ds = rounded(e * (dp - delta));
  }
}

/* sums over blocks of N of chains of a (n elements as apart) and b (bs apart) */
UNWATCHED static float block_sums(int kind, const float *a, int64_t as, const float *b, int64_t bs,
                                  int64_t n, float sum) {
  float x[N], y[N];
  for (int64_t q = 0; q < n; q += N) {
    int64_t m = n - q < N ? n - q : N;
    sum += chain(kind, column(x, a + q * as, as, m), column(y, b + q * bs, bs, m), steps(m));
  }
  return sum;
}

/* dq of this head; dk and dv are added up over heads */
UNWATCHED static void defined_grad(const definition *x, float *dq, float *dk, float *dv) {
  const view *w = &x->w;
  const ml_attention *a = w->a;
  int64_t len = w->s->len;
  const float *q = x->p->f[Q] + x->p->offset[Q] + at_q(w, 0), *g = x->p->f[DOUT] + at_o(w, 0);
  for (int64_t d = 0; d < a->dim; d++) {
    for (int64_t i = 0; i < len; i++)
      dq[at_q(w, i) + d] = (float)a->scale * block_sums(x->kind, x->ds + i * x->keys, 1,
                                                        k_row(x, K, 0) + d, a->ldk, x->keys, 0);
    for (int64_t j = 0; j < x->keys; j++) {
      float *y = dk + at_k(w, j) + d, *z = dv + at_v(w, j) + d;
      *y = block_sums(x->kind, x->ds + j, x->keys, q + d, a->ldq, len, *y);
      *z = block_sums(x->kind, x->prob + j, x->keys, g + d, a->ldo, len, *z);
    }
  }
}

/* one segment and head into want, from p's own o and lse in backward */
UNWATCHED static NOINLINE void define_head(definition *x, float *want[ARRAYS], float *dk,
                                           float *dv) {
  int64_t len = x->w.s->len, n = len * x->keys;
  x->score = zeros(n, 4), x->prob = zeros(n, 4), x->ds = zeros(n, 4);
  for (int64_t i = 0; i < len; i++) {
    defined_scores(x, i);
    defined_row(x, i, want[O] + at_o(&x->w, i), want[LSE] + at_lse(&x->w, i));
    defined_pairs(x, i);
  }
  defined_grad(x, want[DQ], dk, dv);
  free(x->score), free(x->prob), free(x->ds);
}

/* a head's dk (scaled) or dv, once all its query heads are added up */
UNWATCHED static void round_rows(const definition *x, float *to, int i, float scale) {
  for (int64_t j = 0; j < x->keys; j++)
    for (int64_t d = 0; d < x->p->dim; d++)
      to[(i == DK ? at_k(&x->w, j) : at_v(&x->w, j)) + d] *= scale;
}

static void define(const problem *p, int kind, float *want[ARRAYS]) {
  for (int i = INPUTS; i < ARRAYS; i++) want[i] = zeros(p->size[i], sizeof(float));
  ml_attention a = attention_of(p, ML_F32);
  float *dk = want[DK], *dv = want[DV];
  if (p->layout == PACKED) dk = want[DQ] + p->offset[DK], dv = want[DQ] + p->offset[DV];
  ml_flush mode = ml_flush_on();
  for (int64_t s = 0; s < p->nseg; s++)
    for (int64_t h = 0; h < p->heads; h++) {
      definition x = {{&a, &p->seg[s], h}, p, kind, .keys = p->seg[s].past + p->seg[s].len};
      define_head(&x, want, dk, dv);
      if ((h + 1) % (p->heads / p->kv_heads) == 0) round_rows(&x, dk, DK, (float)a.scale);
    }
  for (int i = DQ; i < ARRAYS; i++)
    for (int64_t j = 0; j < p->size[i]; j++) want[i][j] = rounded(want[i][j] + 0.0f);
  ml_flush_off(mode);
}

static void expect_defined(const problem *p, float *want[ARRAYS]) {
  for (int i = INPUTS; i < ARRAYS; i++)
    if (!is_shared(p, i))
      assert_memory_equal(p->f[i], want[i], (size_t)p->size[i] * sizeof(float));
}

/* ---- tests ---- */
static void is_as_defined(void **s) {
  static const struct { int64_t heads, kv, dim, window; int64_t len[3]; float sharp; } c[] = {
    {2, 1, 32, 0, {70, 1, 33}, 1}, {2, 2, 64, 0, {15, 31, 47}, 8}, {4, 2, 16, 5, {40, 64, 3}, 1},
    {1, 1, 24, 0, {270, 2, 0}, 30}, {3, 1, 8, 40, {100, 13, 29}, 1}, {2, 2, 80, 0, {17, 32, 16}, 1},
    {1, 1, 16, 300, {530, 1, 1}, 8}, {2, 1, 2, 0, {9, 6, 260}, 1}, {1, 1, 16, 1, {37, 5, 5}, 1},
    {1, 1, 128, 0, {65, 4, 4}, 1}, {1, 1, 51, 20, {300, 8, 8}, 1}, {5, 1, 48, 0, {10, 20, 2}, 1}};
  (void)s;
  for (size_t i = 0; i < sizeof c / sizeof *c; i += SANITIZED ? 3 : 1) {
    int layout = (int)i % LAYOUTS;
    halves x = make_halves(c[i].heads, c[i].kv, c[i].dim, c[i].window, layout, 3, c[i].len,
                           c[i].sharp);
    EACH_KIND(kind) {
      float *want[ARRAYS] = {NULL};
      EACH_WAY(kind) {
        run_halves(&x, kind);
        if (!want[O]) define(&x.p, kind, want); /* from the first one's o and lse */
        expect_defined(&x.p, want);
      }
      for (int j = INPUTS; j < ARRAYS; j++) free(want[j]);
    }
    drop_halves(&x);
  }
}

/* error of every output against doubles, root mean square, relative to its own */
static double rms_error(const problem *p) {
  double *want[ARRAYS], worst = 0;
  exact_outputs(p, want);
  for (int i = INPUTS; i < ARRAYS; i++) {
    double error = 0, all = 0;
    for (int64_t j = 0; j < p->size[i] && !is_shared(p, i); j++) {
      double e = p->f[i][j] - want[i][j];
      error += e * e, all += want[i][j] * want[i][j];
    }
    if (!is_shared(p, i) && !(sqrt(error / all) <= worst)) worst = sqrt(error / all);
    free(want[i]);
  }
  return worst;
}

static void is_exact_to_bf16(void **s) {
  static const int64_t dim[] = {16, 32, 64, 80, 128};
  (void)s;
  for (int i = 0; i < 25; i += STRIDE) {
    int64_t len[] = {1 + below(300), 1 + below(60)};
    int64_t kv = 1 + below(2), window = i % 4 == 3 ? 1 + below(100) : 0;
    halves x = make_halves(kv * (1 + below(3)), kv, dim[i % 5], window, i % LAYOUTS, 2, len, 1);
    EACH_KIND(kind) {
      run_halves(&x, kind);
      assert_true(rms_error(&x.p) < 5e-3);
    }
    drop_halves(&x);
  }
}

/* queries [past, past + len) of x's first segment again, as a cache would have them */
static void expect_continued(halves *x, int kind, const ml_attention *trained, int64_t past,
                             int64_t len) {
  problem *p = &x->p;
  uint16_t *o = zeros(p->size[O], sizeof *o);
  float *lse = zeros(p->size[LSE], sizeof *lse);
  ml_attention a = *trained;
  ml_segment s = {past, 0, len, past};
  a.o = o, a.lse = lse;
  assert_int_equal(ml_attention_forward(kind, &a, &s, 1), ML_OK);
  for (int64_t i = 0; i < len; i++)
    for (int64_t h = 0; h < p->heads; h++) {
      view w = {&a, &s, h};
      assert_memory_equal(o + at_o(&w, i), x->h[O] + at_o(&w, i), (size_t)p->dim * sizeof *o);
      assert_memory_equal(&lse[at_lse(&w, i)], &p->f[LSE][at_lse(&w, i)], sizeof *lse);
    }
  free(o), free(lse);
}

static void decoding_is_training(void **s) {
  static const int64_t past[] = {0, 1, 15, 31, 32, 33, 63, 64, 255, 256, 257, 287, 288, 511, 512,
                                 519};
  static const int64_t length[] = {1, 2, 15, 31, 32, 33, 257};
  (void)s;
  for (int c = 0; c < 5; c++) {
    int64_t dim = c == 1 ? 24 : c == 2 ? 64 : c == 4 ? 130 : 32, rows = 520;
    halves x = make_halves(c == 2 ? 6 : 2, c == 0 ? 2 : 1, dim, c == 3 ? 100 : 0, c % LAYOUTS, 1,
                           &rows, 1);
    EACH_KIND(kind) EACH_WAY(kind) {
      if (isa == ML_ISA_SCALAR && (SANITIZED || c > 0)) continue; /* software fma: slow */
      ml_attention a = attention_of_halves(&x);
      assert_int_equal(ml_attention_forward(kind, &a, x.p.seg, 1), ML_OK);
      for (size_t i = 0; i < sizeof past / sizeof *past; i += SANITIZED ? 5 : 1)
        for (size_t j = 0; j < sizeof length / sizeof *length; j += SANITIZED ? 3 : 1)
          if (past[i] + length[j] <= rows) expect_continued(&x, kind, &a, past[i], length[j]);
    }
    drop_halves(&x);
  }
}

/* gradients of the last queries, the keys before them being past: by differences of forward */
static void past_keys_have_gradients(void **s) {
  static const int64_t rows = 300;
  (void)s;
  for (int c = 0; c < 2; c++) {
    halves x = make_halves(2, 1, 32, c ? 90 : 0, SEPARATE, 1, &rows, 1);
    problem *p = &x.p;
    run_halves(&x, ML_GEMM_TILES);
    memset(x.h[DOUT], 0, 100 * 64 * 2); /* only queries from 100 on count */
    run_halves(&x, ML_GEMM_TILES);
    float *want = zeros(p->size[DK], 4);
    memcpy(want, p->f[DK], (size_t)p->size[DK] * 4);
    ml_attention a = attention_of_halves(&x);
    p->seg[0] = (ml_segment){100, 0, 200, 100};
    memset(x.h[DK], 0x7f, (size_t)p->size[DK] * 2);
    assert_int_equal(ml_attention_backward(ML_GEMM_TILES, &a, p->seg, 1), ML_OK);
    ml_k(ML_F32)->widen(p->f[DK], x.h[DK], p->size[DK]);
    for (int64_t j = 0; j < p->size[DK]; j++)
      assert_true(fabsf(want[j] - p->f[DK][j]) <= 0.01f * (0.1f + fabsf(want[j])));
    free(want);
    drop_halves(&x);
  }
}

/* rows and documents in one call == the same ones alone */
static void a_document_stands_alone(void **s) {
  static const int64_t len[] = {40, 1, 290, 14};
  (void)s;
  EACH_KIND(kind) EACH_WAY(kind) {
    if (SANITIZED && isa == ML_ISA_SCALAR) continue; /* not optimised there */
    halves x = make_halves(4, 2, 32, 0, SEPARATE, 4, len, 1);
    run_halves(&x, kind);
    for (int i = 0; i < 4; i++) {
      halves one = make_halves(4, 2, 32, 0, SEPARATE, 1, &len[i], 1);
      for (int j = 0; j < ARRAYS; j++) {
        int64_t first = x.p.size[j] / x.p.rows * x.p.seg[i].q_row, n = one.p.size[j];
        if (j == INPUTS) run_halves(&one, kind); /* all inputs are there now */
        if (j < INPUTS) memcpy(one.h[j], x.h[j] + first, (size_t)n * 2);
        else assert_memory_equal(one.p.f[j], x.p.f[j] + first, (size_t)n * sizeof(float));
      }
      drop_halves(&one);
    }
    drop_halves(&x);
  }
}

static void threads_do_not_show(void **s) {
  static const struct { int64_t heads, kv, len[2]; } c[] = {
    {6, 3, {300, 77}}, {8, 1, {520, 3}}, {1, 1, {600, 0}}};
  static const int threads[] = {1, 2, 3, 7};
  (void)s;
  for (size_t i = 0; i < sizeof c / sizeof *c; i += SANITIZED ? 2 : 1) {
    halves x = make_halves(c[i].heads, c[i].kv, 32, 0, PACKED, 2, c[i].len, 1);
    EACH_KIND(kind) EACH_WAY(kind) {
      if (isa == ML_ISA_SCALAR && (SANITIZED || i > 0)) continue;
      uint64_t first = 0;
      for (int j = 0; j < 4; j++) {
        assert_int_equal(ml_set_threads(threads[j]), ML_OK);
        run_halves(&x, kind);
        uint64_t h = hash_of(&x.p, ML_F32, 1);
        if (j == 0) first = h;
        assert_true(h == first);
      }
    }
    drop_halves(&x);
  }
  ml_set_threads(2);
}

static void lse_is_optional_and_memory_can_fail(void **s) {
  static const int64_t len[] = {40};
  (void)s;
  halves x = make_halves(2, 2, 32, 0, SEPARATE, 1, len, 1);
  ml_attention a = attention_of_halves(&x);
  a.lse = NULL;
  assert_int_equal(ml_attention_forward(ML_GEMM_TILES, &a, x.p.seg, 1), ML_OK);
  assert_int_equal(ml_attention_forward(ML_GEMM_TILES, &a, x.p.seg, 0), ML_OK);
  ml_pool_shutdown();
  ml_mem_fail_at(1);
  assert_int_equal(ml_attention_forward(ML_GEMM_TILES, &a, x.p.seg, 1), ML_ENOMEM);
  ml_mem_fail_at(1);
  assert_int_equal(ml_attention_backward(ML_GEMM_TILES, &a, x.p.seg, 1), ML_ENOMEM);
  ml_mem_fail_at(0);
  drop_halves(&x);
}

/* ---- one number for a machine: a few problems ---- */
static uint64_t hash_of_problems(int kind) {
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
    halves x = make_halves(heads, kv, dim, i % 3 ? 0 : window, i % LAYOUTS, 2, len, 1);
    run_halves(&x, kind);
    h = hash_of(&x.p, ML_F32, h);
    drop_halves(&x);
  }
  return h;
}

static void one_hash_on_every_isa(void **s) {
  (void)s;
  EACH_KIND(kind) {
    uint64_t first = 0;
    EACH_WAY(kind) {
      if (SANITIZED && isa == ML_ISA_SCALAR) continue; /* not optimised there */
      uint64_t h = hash_of_problems(kind);
      if (first == 0) first = h;
      assert_true(h == first);
    }
  }
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "--hash")) {
    one_hash_on_every_isa(NULL);
    EACH_KIND(kind) printf("%016llx\n", (unsigned long long)hash_of_problems(kind));
    return 0;
  }
#if !defined(ML_TEST_NO_CMOCKA)
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(is_as_defined), cmocka_unit_test(is_exact_to_bf16),
    cmocka_unit_test(decoding_is_training), cmocka_unit_test(past_keys_have_gradients),
    cmocka_unit_test(a_document_stands_alone), cmocka_unit_test(threads_do_not_show),
    cmocka_unit_test(lse_is_optional_and_memory_can_fail), cmocka_unit_test(one_hash_on_every_isa),
  };
  return cmocka_run_group_tests_name("attention16", tests, NULL, NULL);
#endif
}
