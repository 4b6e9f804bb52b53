/* gemm.c -- the inner pieces of a matrix product: packing an operand into panels, and the
** register tile that multiplies panels. run_gemm.c splits the work and owns the memory.
** A panel of B is [k][NR], of A [k][MR]: the tile then reads both front to back. Every C(i, j)
** is one FMA chain whatever the tile's shape, so the shape is each ISA's own choice. */
#include "kernels/isa.h"

/* MR rows x NV vectors of TL columns; L lanes to a register when packing.
** AVX-512: 28 sums + 2 of B + 1 of A in 32 registers; AVX2: 12 (halves) + 2 + 1 of 16; NEON:
** 24 + 4 + 1 of 32; f64 on any machine: 8 + 4 + 1 of 16. */
#if defined(ML_USE_AVX512)
enum { MR = 14, NV = 2, TL = 16, L = 16 };
#elif defined(ML_USE_AVX2)
enum { MR = 6, NV = 1, TL = 16, L = 8 };
#elif defined(ML_USE_NEON)
enum { MR = 6, NV = 4, TL = 4, L = 4 };
#else
enum { MR = 2, NV = 4, TL = 16 / sizeof(real), L = 4 };
#endif
enum { NR = TL * NV, LINE = 64 / sizeof(real) };

#if defined(ML_USE_AVX512) || defined(ML_USE_AVX2)
typedef vf tv;
#define t_zero v_zero
#define t_set v_set
#define t_add v_add
#define t_fma v_fma
#define t_load v_load
#define t_loadn v_loadn
#define t_store v_store
#define t_storen v_storen
#else
/* where simd.h's vector is an array, compilers keep its sums in memory: 16 bytes at a time */
typedef real tv __attribute__((vector_size(16)));
SIMD tv t_zero(void) { return (tv){0}; }
SIMD tv t_set(real x) {
  tv r;
  for (int i = 0; i < TL; i++) r[i] = x;
  return r;
}
SIMD tv t_add(tv a, tv b) { return a + b; }
SIMD tv t_loadn(const real *p, int64_t n) {
  tv r = {0};
  if (n > 0) memcpy(&r, p, (n < TL ? (size_t)n : TL) * sizeof(real));
  return r;
}
SIMD tv t_load(const real *p) { return t_loadn(p, TL); }
SIMD void t_storen(real *p, tv a, int64_t n) {
  memcpy(p, &a, (n < TL ? (size_t)n : TL) * sizeof(real));
}
SIMD void t_store(real *p, tv a) { t_storen(p, a, TL); }
SIMD tv t_fma(tv a, tv b, tv c) {
#if defined(ML_USE_NEON)
  return vfmaq_f32(c, a, b);
#elif defined(ML_USE_F64)
  return a * b + c;
#else
  for (int i = 0; i < TL; i++) c[i] = fmaf(a[i], b[i], c[i]);
  return c;
#endif
}
#endif

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define UNROLL _Pragma("GCC unroll 32")
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ilane){__VA_ARGS__})
#endif

int64_t K(gemm_mr)(void) { return MR; }
int64_t K(gemm_nr)(void) { return NR; }

/* ---------------------------------------------------------------- packing */
typedef real lane __attribute__((vector_size(L * sizeof(real))));
typedef ireal ilane __attribute__((vector_size(L * sizeof(real))));

/* One step of a transpose swaps the off-diagonal s x s squares of every 2s x 2s square:
** lane l of the upper row, then of the lower one. */
#define UP(l, s) ((l) & (s) ? L + (l) - (s) : (l))
#define DOWN(l, s) ((l) & (s) ? L + (l) : (l) + (s))
#define IDX4(F, l, s) F(l, s), F(l + 1, s), F(l + 2, s), F(l + 3, s)
#if defined(ML_USE_AVX512)
#define IDX(F, s) IDX4(F, 0, s), IDX4(F, 4, s), IDX4(F, 8, s), IDX4(F, 12, s)
#elif defined(ML_USE_AVX2)
#define IDX(F, s) IDX4(F, 0, s), IDX4(F, 4, s)
#else
#define IDX(F, s) IDX4(F, 0, s)
#endif
#define SWAP(s)                                        \
  UNROLL for (int h = 0; h < L / 2; h++) {             \
    int i = h / (s) * 2 * (s) + h % (s);               \
    lane up = r[i], down = r[i + (s)];                 \
    r[i] = SHUFFLE(up, down, IDX(UP, s));              \
    r[i + (s)] = SHUFFLE(up, down, IDX(DOWN, s));      \
  }

SIMD void transpose(lane r[L]) {
  SWAP(1)
  SWAP(2)
#if defined(ML_USE_AVX2) || defined(ML_USE_AVX512)
  SWAP(4)
#endif
#if defined(ML_USE_AVX512)
  SWAP(8)
#endif
}

/* L rows of L elements, k contiguous (rows at stride so; those from n on are zeros), into lanes
** [0, w) of L steps of a panel of width W. Stores may spill into the next step's first lanes,
** which are written later; the last step of the range must not. */
SIMD void pack_square(real *dst, const int W, const real *src, int64_t so, int64_t n, int w,
                      bool last) {
  lane r[L];
  if (n >= L) {
    UNROLL for (int i = 0; i < L; i++) memcpy(&r[i], src + i * so, sizeof r[i]);
  } else {
    UNROLL for (int i = 0; i < L; i++) {
      r[i] = (lane){0};
      if (i < n) memcpy(&r[i], src + i * so, sizeof r[i]);
    }
  }
  transpose(r);
  UNROLL for (int t = 0; t < L - 1; t++) memcpy(dst + t * W, &r[t], sizeof r[t]);
  if (w == L || !last) memcpy(dst + (L - 1) * W, &r[L - 1], sizeof r[0]);
  else memcpy(dst + (L - 1) * W, &r[L - 1], (size_t)w * sizeof(real));
}

/* steps [p0, k) of one panel, element by element: odd strides and the ends */
SIMD void pack_any(real *dst, const int W, const real *src, int64_t so, int64_t sk, int64_t n,
                   int64_t p0, int64_t k) {
  for (int64_t p = p0; p < k; p++)
    for (int64_t i = 0; i < W; i++) dst[p * W + i] = i < n ? src[i * so + p * sk] : 0;
}

/* one panel whose source is contiguous along k */
SIMD void pack_along_k(real *dst, const int W, const real *src, int64_t so, int64_t n,
                       int64_t k) {
  int64_t whole = k / L * L;
  for (int64_t p = 0; p < whole; p += L)
    UNROLL for (int g = (W - 1) / L; g >= 0; g--) {
      const int i = g * L, w = W - i < L ? W - i : L; /* the group that spills goes first */
      pack_square(dst + p * W + i, W, src + i * so + p, so, n - i, w, p + L == whole);
    }
  pack_any(dst, W, src, so, 1, n, whole, k);
}

SIMD void copy_lanes(real *dst, const real *src, const int W) {
#if defined(ML_USE_AVX512) /* one masked move instead of three of 32, 16 and 8 bytes */
  if (W == MR) {
    v_storen(dst, v_loadn(src, W), W);
    return;
  }
#endif
  memcpy(dst, src, W * sizeof(real));
}

/* up to 8 panels at once when the panel's own direction is contiguous: a row of the source is
** read in one sweep, which the hardware prefetcher likes better than one panel's 56 bytes */
SIMD void pack_across(real *dst, int64_t ldp, const int W, const real *src, int64_t sk,
                      int64_t n, int64_t k) {
  int64_t whole = n / W, rest = n - whole * W;
  for (int64_t p = 0; p < k; p++)
    for (int64_t q = 0; q < whole; q++) {
      const real *s = src + p * sk + q * W;
      __builtin_prefetch(s + 16 * sk);
      if (W > LINE) __builtin_prefetch(s + 16 * sk + LINE);
      copy_lanes(dst + q * ldp + p * W, s, W);
    }
  if (rest) pack_any(dst + whole * ldp, W, src + whole * W, 1, sk, rest, 0, k);
}

SIMD void pack(real *dst, int64_t ldp, const int W, const real *src, int64_t so, int64_t sk,
               int64_t n, int64_t k) {
  const int64_t step = so == 1 ? 8 * W : W;
  for (int64_t i = 0; i < n; i += step) {
    real *d = dst + i / W * ldp;
    int64_t left = n - i < step ? n - i : step;
    if (so == 1) pack_across(d, ldp, W, src + i, sk, left, k);
    else if (sk == 1) pack_along_k(d, W, src + i * so, so, left, k);
    else pack_any(d, W, src + i * so, so, sk, left, 0, k);
  }
}

void K(gemm_pack_a)(real *dst, int64_t ldp, const real *a, int64_t ars, int64_t acs, int64_t m,
                    int64_t k) {
  pack(dst, ldp, MR, a, ars, acs, m, k);
}
void K(gemm_pack_b)(real *dst, int64_t ldp, const real *b, int64_t brs, int64_t bcs, int64_t k,
                    int64_t n) {
  pack(dst, ldp, NR, b, bcs, brs, n, k);
}

/* ---------------------------------------------------------------- the tile */
typedef struct {
  real *c;
  const real *a, *b, *bias, *residual;
  int64_t ldc, lda, ldb, ldr, n, k;
  bool add;
} product;

enum { WIDE = 4 }; /* most panels of B one tile takes */
typedef tv sums[MR][WIDE * NV];

/* sums -> C, in this order: (+ C), + bias, + residual. Unless whole, some of the last columns
** are beyond n. */
SIMD void finish(const int mr, const int nv, sums s, const product *t, int64_t row, int64_t col,
                 const bool whole) {
  real *c = t->c + row * t->ldc + col;
  const real *res = t->residual ? t->residual + row * t->ldr + col : 0;
  int64_t left = t->n - col;
#define EACH UNROLL for (int i = 0; i < mr; i++) UNROLL for (int j = 0; j < nv; j++)
#define AT(p) \
  (whole ? t_load((p) + TL * j) \
         : left > TL * j ? t_loadn((p) + TL * j, left - TL * j) : t_zero())
  if (t->add) EACH s[i][j] = t_add(AT(c + i * t->ldc), s[i][j]);
  if (t->bias) EACH s[i][j] = t_add(s[i][j], AT(t->bias + col));
  if (res) EACH s[i][j] = t_add(s[i][j], AT(res + i * t->ldr));
  EACH {
    if (whole) t_store(c + i * t->ldc + TL * j, s[i][j]);
    else if (left > TL * j) t_storen(c + i * t->ldc + TL * j, s[i][j], left - TL * j);
  }
#undef AT
#undef EACH
}

/* one step of k for all sums */
SIMD void step(const int mr, const int nv, sums s, const real *a, const real *b, int64_t ldb) {
  tv bv[WIDE * NV];
  UNROLL for (int j = 0; j < nv; j++) {
    const real *bj = b + j / NV * ldb + j % NV * TL;
    bv[j] = t_load(bj);
    if (j % NV * TL % LINE == 0) __builtin_prefetch(bj + 8 * NR);
  }
  UNROLL for (int i = 0; i < mr; i++) {
    tv x = t_set(a[i]);
    UNROLL for (int j = 0; j < nv; j++) s[i][j] = t_fma(x, bv[j], s[i][j]);
  }
}

/* mr rows from `row` (a panel's first) x np panels of B from column col. While it multiplies it
** fetches a line or two each step, never many at once: the first row panels fetch the next panel
** of B, which may come from far away, and everyone's last steps fetch C, its own rows and those
** of the next row panel. */
SIMD void tile(const int mr, const int np, const product *t, int64_t row, int64_t col) {
  const real *a = t->a + row / MR * t->lda, *b = t->b + col / NR * t->ldb;
  const real *far = row < NR / LINE * MR ? b + np * t->ldb + row / MR * t->k * LINE : a;
  const real *c = t->c + row * t->ldc + col;
  const int nv = np * NV;
  int64_t p = 0;
  sums s;
  UNROLL for (int i = 0; i < mr; i++)
    UNROLL for (int j = 0; j < nv; j++) s[i][j] = t_zero();
  for (; p < t->k - 2 * MR; p++, a += MR, b += NR, far += LINE) {
    __builtin_prefetch(far, 0, 2);
    step(mr, nv, s, a, b, t->ldb);
  }
  for (; p < t->k; p++, a += MR, b += NR, c += t->ldc) {
    __builtin_prefetch(c, 1);
    __builtin_prefetch(c + NR - 1, 1);
    step(mr, nv, s, a, b, t->ldb);
  }
  if (t->n - col >= np * NR) finish(mr, nv, s, t, row, col, true);
  else finish(mr, nv, s, t, row, col, false);
}

typedef void tile_fn(const product *t, int64_t row, int64_t col);
#define TILE(mr) \
  static void tile_##mr(const product *t, int64_t row, int64_t col) { tile(mr, 1, t, row, col); }
TILE(1) TILE(2)
#if defined(ML_USE_AVX512) || defined(ML_USE_AVX2) || defined(ML_USE_NEON)
TILE(3) TILE(4) TILE(5) TILE(6)
#endif
#if defined(ML_USE_AVX512)
TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)
#endif
static tile_fn *const tiles[MR + 1] = {
  0, tile_1, tile_2,
#if defined(ML_USE_AVX512) || defined(ML_USE_AVX2) || defined(ML_USE_NEON)
  tile_3, tile_4, tile_5, tile_6,
#endif
#if defined(ML_USE_AVX512)
  tile_7, tile_8, tile_9, tile_10, tile_11, tile_12, tile_13, tile_14,
#endif
};

/* One or two rows leave too few sums to hide the FMA's latency: they take several panels of B
** at once. The answer is the first column not done. */
static int64_t wide_1(const product *t) {
  int64_t col = 0;
  for (; t->n - col > 3 * NR; col += 4 * NR) tile(1, 4, t, 0, col);
  return col;
}
static int64_t wide_2(const product *t) {
  int64_t col = 0;
  for (; t->n - col > NR; col += 2 * NR) tile(2, 2, t, 0, col);
  return col;
}

/* C (m, n) = or += A B for one block of k, A and B in panels lda and ldb elements apart; then
** + bias[j], then + residual(i, j) where these are not NULL */
void K(gemm_tile)(real *c, int64_t ldc, const real *a, int64_t lda, const real *b, int64_t ldb,
                  int64_t m, int64_t n, int64_t k, bool add, const real *bias,
                  const real *residual, int64_t ldr) {
  product t = {c, a, b, bias, residual, ldc, lda, ldb, ldr, n, k, add};
  int64_t col = m == 1 ? wide_1(&t) : m == 2 ? wide_2(&t) : 0;
  /* a panel of B stays near while the rows go by */
  for (; col < n; col += NR)
    for (int64_t row = 0; row < m; row += MR) tiles[m - row < MR ? m - row : MR](&t, row, col);
}
