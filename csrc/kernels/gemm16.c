/* gemm16.c -- the inner pieces of bf16 products (gemm.h's two orders): packing and the tiles, by
** instruction where there is one, else by plain FMAs that give the same bits. Called with
** subnormals flushed (flush.h).
** A packed word is k (even, low half) and k + 1 (high half) of one row or column. Every panel
** holds whole steps of STEP k, filled up with zeros:
**   B, any kind    [k/2][32] words: what AMX and vdpbf16ps both read;
**   A for AMX      [k/32][32 rows][32 k], or A itself where its k is contiguous;
**   A for vdpbf16  [k/2][MR] words;
**   A for FMAs     [k][MR] floats: widened here, not once for every column. */
#include "kernels/isa.h"
#if !defined(ML_USE_F64)
#include "kernels/gemm.h"
#include "kernels/tile.h"

enum { STEP = 32, COLS = 32, AMX_ROWS = 32, HALF = (MR + 1) / 2, GROUPS = COLS / NR };

/* TILES by FMAs keeps two sums a place: half the rows */
int64_t K(gemm16_mr)(int kind, bool native) {
  if (kind == ML_GEMM_PAIRS) return MR;
  return native ? AMX_ROWS : HALF;
}

/* ---------------------------------------------------------------- packing */
/* STEP k of up to W lines (rows of A, columns of B): element (line i, k p) is at i * so + p * sk.
** Elements are bf16 or, if wide, float, rounded on the way. */
typedef struct {
  const void *p;
  int64_t so, sk, n, k; /* n lines and k steps are there, the rest is zeros */
} block;

SIMD const void *element(const block *x, const bool wide, int64_t at) {
  return (const char *)x->p + at * (wide ? 4 : 2);
}

SIMD vi halves(const block *x, const bool wide, int64_t at, int64_t n) {
  const void *p = element(x, wide, at);
  return wide ? vi_and(v_tohalf(v_loadn(p, n)), vi_set(0xffff)) : v_halves(p, n);
}

/* lines next to each other: words are made of two rows of them */
SIMD void words_across(float *dst, const int W, const block *x, const bool wide,
                       const bool whole) {
  for (int q = 0; q < STEP / 2; q++)
    UNROLL for (int g = 0; g < W; g += 16) {
      const int w = W - g < 16 ? W - g : 16;
      int64_t at = 2 * q * x->sk + g, n = whole || x->n - g >= w ? w : x->n - g;
      vi low = vi_set(0), high = vi_set(0);
      if (n > 0 && (whole || 2 * q < x->k)) low = halves(x, wide, at, n);
      if (n > 0 && (whole || 2 * q + 1 < x->k)) high = halves(x, wide, at + x->sk, n);
      v_storen(dst + q * W + g, v_frombits(vi_or(low, vi_shl(high, 16))), w);
    }
}

/* L words of one line whose k are next to each other; left of its k are there */
SIMD lane line_words(const block *x, const bool wide, int64_t at, int64_t left) {
  lane r = {0};
  uint16_t t[2 * L];
  if (left <= 0) return r;
  const void *p = element(x, wide, at);
  if (!wide) {
    if (left >= 2 * L) memcpy(&r, p, sizeof r);
    else memcpy(&r, p, (size_t)left * 2);
    return r;
  }
  for (int c = 0; c < 2 * L; c += 16) {
    vf v = left > c ? v_loadn((const float *)p + c, left - c) : v_zero();
    v_storehn(t + c, v, 2 * L - c < 16 ? 2 * L - c : 16);
  }
  memcpy(&r, t, sizeof r);
  return r;
}

SIMD void words_along(float *dst, const int W, const block *x, const bool wide,
                      const bool whole) {
  for (int q = 0; q < STEP / 2; q += L)
    UNROLL for (int g = 0; g < W; g += L) {
      lane r[L];
      UNROLL for (int i = 0; i < L; i++) {
        int64_t left = whole ? STEP : i + g < x->n ? x->k - 2 * q : 0;
        r[i] = i + g < W ? line_words(x, wide, (i + g) * x->so + 2 * q, left) : (lane){0};
      }
      transpose(r);
      UNROLL for (int t = 0; t < L; t++)
        memcpy(dst + (q + t) * W + g, &r[t], (size_t)(W - g < L ? W - g : L) * 4);
    }
}

SIMD void words_any(float *dst, const int W, const block *x, const bool wide) {
  for (int p = 0; p < STEP; p++)
    for (int i = 0; i < W; i++) {
      uint16_t h = 0;
      if (i < x->n && p < x->k)
        v_puthalves(&h, halves(x, wide, i * x->so + p * x->sk, 1), 1);
      memcpy((uint16_t *)(dst + p / 2 * W + i) + p % 2, &h, 2);
    }
}

/* [STEP/2][W] words */
SIMD void words(float *dst, const int W, const block *x, const bool wide) {
  bool whole = x->n >= W && x->k >= STEP;
  if (x->so == 1 && whole) words_across(dst, W, x, wide, true);
  else if (x->so == 1) words_across(dst, W, x, wide, false);
  else if (x->sk == 1 && whole) words_along(dst, W, x, wide, true);
  else if (x->sk == 1) words_along(dst, W, x, wide, false);
  else words_any(dst, W, x, wide);
}

/* one after another as they lie in memory: panel by panel where k is contiguous */
SIMD void pack_b(float *panels, int64_t ldp, const block *b, const bool wide) {
  int64_t steps = (b->k + STEP - 1) / STEP, columns = (b->n + COLS - 1) / COLS;
  for (int64_t i = 0; i < steps * columns; i++) {
    int64_t p = (b->sk == 1 ? i % steps : i / columns) * STEP;
    int64_t j = (b->sk == 1 ? i / steps : i % columns) * COLS;
    block x = {element(b, wide, j * b->so + p * b->sk), b->so, b->sk, b->n - j, b->k - p};
    words(panels + (j / COLS * ldp + p * COLS) / 2, COLS, &x, wide);
  }
}

void K(gemm16_pack_b)(uint16_t *panels, int64_t ldp, const void *b, bool wide, int64_t brs,
                      int64_t bcs, int64_t k, int64_t n) {
  block x = {b, bcs, brs, n, k};
  if (wide) pack_b((float *)panels, ldp, &x, true);
  else pack_b((float *)panels, ldp, &x, false);
}

#if defined(ML_USE_AVX512)
/* rows of STEP k: a copy where k is contiguous, else words turned by sixteen rows */
static void step_for_amx(uint16_t *dst, const block *x) {
  for (int64_t g = 0; g < AMX_ROWS; g += L) {
    block y = {element(x, false, g * x->so), x->so, x->sk, x->n - g, x->k};
    lane r[L];
    if (x->sk == 1) {
      bool whole = y.n >= L && y.k >= STEP;
      UNROLL for (int i = 0; i < L; i++)
        r[i] = line_words(&y, false, i * y.so, whole ? STEP : i < y.n ? y.k : 0);
    } else {
      words((float *)r, L, &y, false);
      transpose(r);
    }
    memcpy(dst + g * STEP, r, sizeof r);
  }
}
#endif

/* words -> floats: [STEP][W] from [STEP/2][W] */
SIMD void widen_words(float *dst, const float *src, const int W) {
  for (int q = 0; q < STEP / 2; q++)
    UNROLL for (int g = 0; g < W; g += 16) {
      const int w = W - g < 16 ? W - g : 16;
      vi x = v_bits(v_loadn(src + q * W + g, w));
      v_storen(dst + 2 * q * W + g, v_frombits(vi_shl(x, 16)), w);
      v_storen(dst + (2 * q + 1) * W + g, v_frombits(vi_and(x, vi_set(-65536))), w);
    }
}

SIMD void step_for_fma(float *dst, const block *x, const int W) {
  float t[STEP / 2 * MR + 16]; /* compilers look past the masks of loads */
  words(t, W, x, false);
  widen_words(dst, t, W);
}

void K(gemm16_pack_a)(int kind, bool native, void *panels, int64_t ldp, const uint16_t *a,
                      int64_t ars, int64_t acs, int64_t m, int64_t k) {
  int64_t mr = K(gemm16_mr)(kind, native);
  for (int64_t p = 0; p < k; p += STEP)
    for (int64_t i = 0; i < m; i += mr) {
      block x = {a + i * ars + p * acs, ars, acs, m - i, k - p};
      int64_t at = i / mr * ldp + p * mr;
      if (!native && kind == ML_GEMM_PAIRS) step_for_fma((float *)panels + at, &x, MR);
      else if (!native) step_for_fma((float *)panels + at, &x, HALF);
#if defined(ML_USE_AVX512)
      else if (kind == ML_GEMM_TILES) step_for_amx((uint16_t *)panels + at, &x);
      else words((float *)panels + at / 2, MR, &x, false);
#endif
    }
}

/* ---------------------------------------------------------------- what becomes of the sums */
typedef struct {
  float *c;    /* f32 result and, with add, what the sums are added to */
  uint16_t *h; /* or a bf16 result */
  int64_t ldc, ldh, lda, ars, acs, ldb, ldr, m, n, k;
  const void *a;
  const float *b, *bias, *residual;
  bool add;
} product;

static bool has_rest(const product *t) { return t->add || t->bias || t->residual; }

/* sums are rows of COLS. In this order: C + sums, + bias, + residual */
SIMD void add_rest_as(const product *t, float *s, int64_t row, int64_t rows, int64_t col,
                      const bool whole) {
  const float *c = t->add ? t->c + row * t->ldc + col : 0;
  const float *bias = t->bias ? t->bias + col : 0;
  const float *res = t->residual ? t->residual + row * t->ldr + col : 0;
  int64_t ldc = t->ldc, ldr = t->ldr, left = t->n - col;
  for (int64_t i = 0; i < rows; i++)
    UNROLL for (int j = 0; j < COLS; j += 16) {
      int64_t n = whole || left - j > 16 ? 16 : left - j;
      if (n <= 0) continue;
      vf v = v_load(s + i * COLS + j);
      if (c) v = v_add(v_loadn(c + i * ldc + j, n), v);
      if (bias) v = v_add(v, v_loadn(bias + j, n));
      if (res) v = v_add(v, v_loadn(res + i * ldr + j, n));
      v_store(s + i * COLS + j, v);
    }
}

static void add_rest(const product *t, float *s, int64_t row, int64_t rows, int64_t col) {
  if (t->n - col >= COLS) add_rest_as(t, s, row, rows, col, true);
  else add_rest_as(t, s, row, rows, col, false);
}

SIMD void put_as(const product *t, const float *s, int64_t row, int64_t rows, int64_t col,
                 const bool whole) {
  float *c = t->h ? 0 : t->c + row * t->ldc + col;
  uint16_t *h = t->h ? t->h + row * t->ldh + col : 0;
  int64_t ldc = t->ldc, ldh = t->ldh, left = t->n - col;
  for (int64_t i = 0; i < rows; i++)
    UNROLL for (int j = 0; j < COLS; j += 16) {
      int64_t n = whole || left - j > 16 ? 16 : left - j;
      if (n <= 0) continue;
      vf v = v_load(s + i * COLS + j);
      if (h) v_storehn(h + i * ldh + j, v, n);
      else v_storen(c + i * ldc + j, v, n);
    }
}

static void put(const product *t, const float *s, int64_t row, int64_t rows, int64_t col) {
  if (t->n - col >= COLS) put_as(t, s, row, rows, col, true);
  else put_as(t, s, row, rows, col, false);
}

static void finish(const product *t, float *s, int64_t row, int64_t rows, int64_t col) {
  if (has_rest(t)) add_rest(t, s, row, rows, col);
  put(t, s, row, rows, col);
}

/* ---------------------------------------------------------------- by plain FMAs */
#if defined(ML_USE_AVX512) || defined(ML_USE_AVX2)
SIMD tv even_of(tv w) { return v_frombits(vi_shl(v_bits(w), 16)); }
SIMD tv odd_of(tv w) { return v_frombits(vi_and(v_bits(w), vi_set(-65536))); }
#else
typedef uint32_t tw __attribute__((vector_size(16)));
SIMD tv even_of(tv w) { return (tv)((tw)w << 16); }
SIMD tv odd_of(tv w) { return (tv)((tw)w & 0xffff0000u); }
#endif

SIMD void fma_rows(const int mr, tv s[][NV], const float *a, const tv *b) {
  UNROLL for (int i = 0; i < mr; i++) {
    tv x = t_set(a[i]);
    UNROLL for (int j = 0; j < NV; j++) s[i][j] = t_fma(x, b[j], s[i][j]);
  }
}

SIMD void zero_rows(const int mr, tv s[][NV]) {
  UNROLL for (int i = 0; i < mr; i++)
    UNROLL for (int j = 0; j < NV; j++) s[i][j] = t_zero();
}

SIMD void load_pair(const float *b, tv even[NV], tv odd[NV]) {
  UNROLL for (int j = 0; j < NV; j++) {
    tv w = t_load(b + j * TL);
    even[j] = even_of(w), odd[j] = odd_of(w);
    if (j * TL % LINE == 0) __builtin_prefetch(b + j * TL + 16 * COLS);
  }
}

SIMD void pairs_sums(const int mr, tv s[][NV], const float *a, const float *b, int64_t k) {
  tv even[NV], odd[NV];
  zero_rows(mr, s);
  for (int64_t p = 0; p < k; p += 2, a += 2 * MR, b += COLS) {
    load_pair(b, even, odd);
    fma_rows(mr, s, a + MR, odd);
    fma_rows(mr, s, a, even);
  }
}

SIMD void tiles_sums(const int mr, tv s[][NV], const float *a, const float *b, int64_t k) {
  zero_rows(mr, s);
  for (int64_t p = 0; p < k; p += STEP) {
    tv e[HALF][NV], o[HALF][NV], even[NV], odd[NV];
    zero_rows(mr, e), zero_rows(mr, o);
    for (int q = 0; q < STEP; q += 2, a += 2 * HALF, b += COLS) {
      load_pair(b, even, odd);
      fma_rows(mr, e, a, even);
      fma_rows(mr, o, a + HALF, odd);
    }
    UNROLL for (int i = 0; i < mr; i++)
      UNROLL for (int j = 0; j < NV; j++) s[i][j] = t_add(s[i][j], t_add(e[i][j], o[i][j]));
  }
}

SIMD void put_sums(const int mr, float *to, tv s[][NV]) {
  UNROLL for (int i = 0; i < mr; i++)
    UNROLL for (int j = 0; j < NV; j++) t_store(to + i * COLS + j * TL, s[i][j]);
}

/* mr rows of A x NR columns of a panel of B */
typedef void sums_fn(float *to, const float *a, const float *b, int64_t k);
#define SUMS(order, mr)                                                               \
  static void order##_##mr(float *to, const float *a, const float *b, int64_t k) {    \
    tv s[mr][NV];                                                                     \
    order##_sums(mr, s, a, b, k);                                                     \
    put_sums(mr, to, s);                                                              \
  }
SUMS(tiles, 1) SUMS(pairs, 1) SUMS(pairs, 2)
#if defined(ML_USE_AVX512) || defined(ML_USE_AVX2) || defined(ML_USE_NEON)
SUMS(tiles, 2) SUMS(tiles, 3)
SUMS(pairs, 3) SUMS(pairs, 4) SUMS(pairs, 5) SUMS(pairs, 6)
#define UP_TO_3 , tiles_2, tiles_3
#define UP_TO_6 , pairs_3, pairs_4, pairs_5, pairs_6
#else
#define UP_TO_3
#define UP_TO_6
#endif
#if defined(ML_USE_AVX512)
#define SEVENTH_TO_LAST(F, o) F(o, 7) F(o, 8) F(o, 9) F(o, 10) F(o, 11) F(o, 12) F(o, 13) F(o, 14)
SUMS(tiles, 4) SUMS(tiles, 5) SUMS(tiles, 6) SUMS(tiles, 7)
SEVENTH_TO_LAST(SUMS, pairs)
#define UP_TO_7 , tiles_4, tiles_5, tiles_6, tiles_7
#define UP_TO_14(o) , o##_7, o##_8, o##_9, o##_10, o##_11, o##_12, o##_13, o##_14
#else
#define UP_TO_7
#define UP_TO_14(o)
#endif
static sums_fn *const tiles_fns[] = {0, tiles_1 UP_TO_3 UP_TO_7};
static sums_fn *const pairs_fns[] = {0, pairs_1, pairs_2 UP_TO_6 UP_TO_14(pairs)};

/* a panel of B stays near while the rows go by */
static void run_sums(const product *t, sums_fn *const *fns, int64_t mr, int64_t groups) {
  float s[MR * COLS];
  for (int64_t col = 0; col < t->n; col += COLS)
    for (int64_t row = 0; row < t->m; row += mr) {
      const float *a = (const float *)t->a + row / mr * t->lda;
      int64_t rows = t->m - row < mr ? t->m - row : mr;
      for (int64_t g = 0; g < groups; g++)
        fns[rows](s + g * NR, a, t->b + col / COLS * t->ldb + g * NR, t->k);
      finish(t, s, row, rows, col);
    }
}

/* ---------------------------------------------------------------- by instruction */
#if defined(ML_USE_AVX512)
#define BF16 __attribute__((target("avx512bf16")))
SIMD BF16 void vdp_sums(const int mr, tv s[][NV], const float *a, const float *b, int64_t k) {
  zero_rows(mr, s);
  for (int64_t p = 0; p < k; p += 2, a += MR, b += COLS) {
    tv w[NV];
    UNROLL for (int j = 0; j < NV; j++) w[j] = t_load(b + j * TL);
    UNROLL for (int j = 0; j < NV; j++) __builtin_prefetch(b + j * TL + 16 * COLS);
    UNROLL for (int i = 0; i < mr; i++) {
      tv x = t_set(a[i]);
      UNROLL for (int j = 0; j < NV; j++)
        s[i][j] = _mm512_dpbf16_ps(s[i][j], (__m512bh)x, (__m512bh)w[j]);
    }
  }
}
#define VDP(order, mr) BF16 SUMS(order, mr)
VDP(vdp, 1) VDP(vdp, 2) VDP(vdp, 3) VDP(vdp, 4) VDP(vdp, 5) VDP(vdp, 6)
SEVENTH_TO_LAST(VDP, vdp)
static sums_fn *const vdp_fns[] = {0, vdp_1, vdp_2, vdp_3, vdp_4, vdp_5, vdp_6 UP_TO_14(vdp)};

/* put's rounding by instruction: subnormals, where the two would differ, are flushed before */
static BF16 void put_halves(const product *t, const float *s, int64_t row, int64_t rows,
                            int64_t col) {
  for (int64_t i = row; i < row + rows; i++, s += COLS) {
    __m512bh h = _mm512_cvtne2ps_pbh(v_load(s + 16), v_load(s));
    memcpy(t->h + i * t->ldh + col, &h, sizeof h);
  }
}

#define AMX __attribute__((target("amx-tile,amx-bf16")))
/* tmm0..3: sums, 2 x 2 of 16 x 16; tmm4, 5: A; tmm6, 7: B */
static AMX void set_tiles(int64_t rows) {
  struct { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; } set = {1};
  int64_t up = rows < 16 ? rows : 16, down = rows - up;
  const int64_t n[8] = {up, up, down, down, up, down, 16, 16};
  for (int i = 0; i < 8; i++) set.bytes[i] = n[i] ? 64 : 0, set.rows[i] = (uint8_t)n[i];
  _tile_loadconfig(&set);
}

/* What is fetched meanwhile, a little each step, so that no tile waits for it: the rows that the
** sums will meet, and from further away the next rows of A (in the first columns) or a part of the
** next columns of B. */
typedef struct {
  const char *to, *from, *far;
  int64_t to_ld, from_ld, rows, rows_a_step, far_ld, far_lines, far_step;
} ahead;

static ahead look_ahead(const product *t, int64_t row, int64_t rows, int64_t col, int64_t p,
                        int64_t k) {
  int64_t steps = k / STEP > 0 ? k / STEP : 1, at = row * t->ldc + col;
  ahead f = {(const char *)(t->c + at), .to_ld = t->ldc * 4};
  if (p + k >= t->k) f.rows = rows, f.rows_a_step = (rows + steps - 1) / steps;
  if (t->h) f.to = (const char *)(t->h + row * t->ldh + col), f.to_ld = t->ldh * 2;
  if (t->residual)
    f.from = (const char *)(t->residual + row * t->ldr + col), f.from_ld = t->ldr * 4;
  if (t->m < 4 * AMX_ROWS) return f; /* B is read but a few times, in order */
  if (col == 0 && row + 2 * AMX_ROWS <= t->m) {
    f.far = (const char *)t->a + (row / AMX_ROWS + 1) * t->lda * 2 + p / STEP * t->acs * 2;
    f.far_ld = t->ars * 2, f.far_lines = AMX_ROWS, f.far_step = t->acs * 2;
  } else if (col + COLS < t->n) {
    int64_t tiles = (t->m + AMX_ROWS - 1) / AMX_ROWS, all = t->k / STEP;
    f.far_lines = (STEP + tiles - 1) / tiles, f.far_ld = 64, f.far_step = f.far_lines * 64;
    f.far = (const char *)(t->b + (col / COLS + 1) * t->ldb) +
            (row / AMX_ROWS * all + p / STEP) * f.far_step;
  }
  return f;
}

SIMD void fetch(ahead *f) {
  for (int64_t i = 0; i < f->rows_a_step && f->rows > 0; i++, f->rows--) {
    __builtin_prefetch(f->to, 1);
    __builtin_prefetch(f->to + 64, 1);
    f->to += f->to_ld;
    if (!f->from) continue;
    __builtin_prefetch(f->from);
    __builtin_prefetch(f->from + 64);
    f->from += f->from_ld;
  }
  for (int64_t i = 0; i < f->far_lines; i++) __builtin_prefetch(f->far + i * f->far_ld, 0, 2);
  f->far += f->far_step;
}

SIMD AMX void amx_sums(const bool two, const char *a, int64_t ars, int64_t acs, const char *b,
                         int64_t k, ahead *f) {
  for (int64_t p = 0; p < k; p += STEP, a += acs, b += STEP / 2 * COLS * 4) {
    _tile_loadd(4, a, ars);
    _tile_loadd(6, b, COLS * 4);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + 64, COLS * 4);
    _tile_dpbf16ps(1, 4, 7);
    if (two) {
      _tile_loadd(5, a + 16 * ars, ars);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    fetch(f);
  }
}

SIMD AMX void amx_load(const bool two, const float *s, bool zero) {
  if (zero) {
    _tile_zero(0);
    _tile_zero(1);
  } else {
    _tile_loadd(0, s, COLS * 4);
    _tile_loadd(1, s + 16, COLS * 4);
  }
  if (!two) return;
  if (zero) {
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(2, s + 16 * COLS, COLS * 4);
    _tile_loadd(3, s + 16 * COLS + 16, COLS * 4);
  }
}

SIMD AMX void amx_store(const bool two, float *c, int64_t ldc) {
  _tile_stored(0, c, ldc * 4);
  _tile_stored(1, c + 16, ldc * 4);
  if (!two) return;
  _tile_stored(2, c + 16 * ldc, ldc * 4);
  _tile_stored(3, c + 16 * ldc + 16, ldc * 4);
}

/* steps [p, p + k) of up to AMX_ROWS rows; the chain's sums so far are in s, and stay there unless
** this is the end of it */
SIMD AMX void amx_rows(const bool two, const product *t, int64_t row, int64_t rows, int64_t col,
                       int64_t p, int64_t k, float *s) {
  int64_t a_step = t->acs * 2;
  const char *a = (const char *)t->a + row / AMX_ROWS * t->lda * 2 + p / STEP * a_step;
  const char *b = (const char *)(t->b + col / COLS * t->ldb + p / 2 * COLS);
  bool last = p + k >= t->k, whole = t->n - col >= COLS;
  ahead f = look_ahead(t, row, rows, col, p, k);
  amx_load(two, s, p == 0);
  amx_sums(two, a, t->ars * 2, a_step, b, k, &f);
  if (last && whole && !t->h && !has_rest(t)) {
    amx_store(two, t->c + row * t->ldc + col, t->ldc);
    return;
  }
  amx_store(two, s, COLS);
  if (!last) return;
  if (has_rest(t)) add_rest(t, s, row, rows, col);
  if (t->h && whole) put_halves(t, s, row, rows, col);
  else put(t, s, row, rows, col);
}

/* A piece of a panel of B stays in the first-level cache for GROUP tiles of A, whose sums wait in s
** for the next piece: loading them goes on with the same chain. Measured: worth its loads and
** stores for two pieces, not for more. */
enum { PIECE = 512, GROUP = 8 };
SIMD AMX void amx_columns(const bool two, const product *t, int64_t row, int64_t end,
                          int64_t col) {
  float s[GROUP][AMX_ROWS * COLS] __attribute__((aligned(64)));
  bool cut = t->k > PIECE && t->k <= 2 * PIECE;
  int64_t piece = cut ? PIECE : t->k, p = 0;
  do {
    for (int64_t i = row; i < end; i += AMX_ROWS)
      amx_rows(two, t, i, end - i < AMX_ROWS ? end - i : AMX_ROWS, col, p,
               t->k - p < piece ? t->k - p : piece, s[cut ? (i - row) / AMX_ROWS : 0]);
    p += piece;
  } while (p < t->k);
}

static AMX void run_amx(const product *t) {
  int64_t whole = t->m / AMX_ROWS * AMX_ROWS, left = t->m - whole, group = GROUP * AMX_ROWS;
  if (whole) set_tiles(AMX_ROWS);
  for (int64_t col = 0; whole && col < t->n; col += COLS)
    for (int64_t row = 0; row < whole; row += group)
      amx_columns(true, t, row, whole - row < group ? whole : row + group, col);
  if (left) set_tiles(left);
  for (int64_t col = 0; left && col < t->n; col += COLS) {
    if (left > 16) amx_columns(true, t, whole, t->m, col);
    else amx_columns(false, t, whole, t->m, col);
  }
  _tile_release();
}
#endif

/* Rows of A's panel q start at a + q * lda; for AMX row i of them at i * ars, its p-th STEP of k
** acs further. */
void K(gemm16_tile)(int kind, bool native, float *c, int64_t ldc, uint16_t *h, int64_t ldh,
                    const void *a, int64_t lda, int64_t ars, int64_t acs, const uint16_t *b,
                    int64_t ldb, int64_t m, int64_t n, int64_t k, bool add, const float *bias,
                    const float *residual, int64_t ldr) {
  product t = {c, h, ldc, ldh, lda, ars, acs, ldb / 2, ldr, m, n, k,
               a, (const float *)b, bias, residual, add};
  if (!native && kind == ML_GEMM_PAIRS) run_sums(&t, pairs_fns, MR, GROUPS);
  else if (!native) run_sums(&t, tiles_fns, HALF, GROUPS);
#if defined(ML_USE_AVX512)
  else if (kind == ML_GEMM_TILES) run_amx(&t);
  else t.lda /= 2, run_sums(&t, vdp_fns, MR, 1);
#endif
}
#endif
