/* gemm.c -- the inner pieces of a matrix product: packing an operand into panels, and the
** register tile that multiplies panels. run_gemm.c splits the work and owns the memory.
** A panel of B is [k][NR], of A [k][MR]: the tile then reads both front to back. Every C(i, j)
** is one FMA chain whatever the tile's shape, so the shape is each ISA's own choice. */
#include "kernels/isa.h"
#include "kernels/tile.h"

int64_t K(gemm_mr)(void) { return MR; }
int64_t K(gemm_nr)(void) { return NR; }

/* ---------------------------------------------------------------- packing */
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
  int64_t ldc, lda, ars, acs, ldb, ldr, n, k;
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

/* Row i of a tile of A, at steps of r bytes from two bases seven rows apart: x86 scales an index
** by 1, 2, 4 or 8, so three registers of strides reach all, and none is spilled. */
typedef struct { const char *base[2]; int64_t r1, r3, r5; } rows_of_a;

SIMD rows_of_a rows_at(const real *a, int64_t ars) {
  int64_t r = ars * (int64_t)sizeof(real);
  rows_of_a x = {{(const char *)a, (const char *)(a + 7 * ars)}, r, 3 * r, 5 * r};
  __asm__("" : "+r"(x.r1), "+r"(x.r3), "+r"(x.r5)); /* or compilers make a pointer of each row */
  return x;
}

SIMD real row_item(const rows_of_a *x, const int i) {
  const int in7 = i % 7;
  int64_t at = in7 == 0 ? 0 : in7 == 3 ? x->r3 : in7 == 5 ? x->r5 : in7 == 6 ? 2 * x->r3
               : in7 * x->r1;
  real v;
  memcpy(&v, x->base[i / 7] + at, sizeof v);
  return v;
}

/* one step of k for all sums. A's items are next to each other, or with `rows` an item a row. */
SIMD void step(const int mr, const int nv, sums s, const real *a, const rows_of_a *rows,
               const real *b, int64_t ldb) {
  tv bv[WIDE * NV];
  UNROLL for (int j = 0; j < nv; j++) {
    const real *bj = b + j / NV * ldb + j % NV * TL;
    bv[j] = t_load(bj);
    if (j % NV * TL % LINE == 0) __builtin_prefetch(bj + 8 * NR);
  }
  UNROLL for (int i = 0; i < mr; i++) {
    tv x = t_set(rows ? row_item(rows, i) : a[i]);
    UNROLL for (int j = 0; j < nv; j++) s[i][j] = t_fma(x, bv[j], s[i][j]);
  }
}

/* mr rows from `row` (a panel's first) x np panels of B from column col. While it multiplies it
** fetches a line or two each step, never many at once: the first row panels fetch the next panel
** of B, which may come from far away, and everyone's last steps fetch C, its own rows and those
** of the next row panel. */
SIMD void tile(const int mr, const int np, const product *t, int64_t row, int64_t col,
               const bool by_rows) {
  const real *a = t->a + row / MR * t->lda, *b = t->b + col / NR * t->ldb;
  const real *far = row < NR / LINE * MR ? b + np * t->ldb + row / MR * t->k * LINE : a;
  const real *c = t->c + row * t->ldc + col;
  const int nv = np * NV;
  rows_of_a rows = rows_at(a, t->ars);
  int64_t p = 0, acs = t->acs;
  sums s;
#define STEP                                                   \
  step(mr, nv, s, a, by_rows ? &rows : NULL, b, t->ldb);       \
  if (by_rows) rows.base[0] += sizeof(real), rows.base[1] += sizeof(real); \
  else a += acs;                                               \
  b += NR
  UNROLL for (int i = 0; i < mr; i++)
    UNROLL for (int j = 0; j < nv; j++) s[i][j] = t_zero();
  for (; p < t->k - 2 * MR; p++, far += LINE) {
    __builtin_prefetch(far, 0, 2);
    STEP;
  }
  for (; p < t->k; p++, c += t->ldc) {
    __builtin_prefetch(c, 1);
    __builtin_prefetch(c + NR - 1, 1);
    STEP;
  }
#undef STEP
  if (t->n - col >= np * NR) finish(mr, nv, s, t, row, col, true);
  else finish(mr, nv, s, t, row, col, false);
}

typedef void tile_fn(const product *t, int64_t row, int64_t col);
#define TILE(mr)                                                            \
  static void tile_##mr(const product *t, int64_t row, int64_t col) {       \
    tile(mr, 1, t, row, col, false);                                        \
  }                                                                         \
  static void rows_##mr(const product *t, int64_t row, int64_t col) {       \
    tile(mr, 1, t, row, col, true);                                         \
  }
TILE(1) TILE(2)
#if defined(ML_USE_AVX512) || defined(ML_USE_AVX2) || defined(ML_USE_NEON)
TILE(3) TILE(4) TILE(5) TILE(6)
#endif
#if defined(ML_USE_AVX512)
TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)
#endif
#define TILES(name)                                                                \
  static tile_fn *const name##tiles[MR + 1] = {                                    \
    0, name##1, name##2 UP_TO_6(name) UP_TO_14(name)                               \
  };
#if defined(ML_USE_AVX512) || defined(ML_USE_AVX2) || defined(ML_USE_NEON)
#define UP_TO_6(name) , name##3, name##4, name##5, name##6
#else
#define UP_TO_6(name)
#endif
#if defined(ML_USE_AVX512)
#define UP_TO_14(name) , name##7, name##8, name##9, name##10, name##11, name##12, name##13, name##14
#else
#define UP_TO_14(name)
#endif
TILES(tile_)
TILES(rows_)

/* One or two rows leave too few sums to hide the FMA's latency: they take several panels of B
** at once. The answer is the first column not done. */
static int64_t wide_1(const product *t) {
  int64_t col = 0;
  for (; t->n - col > 3 * NR; col += 4 * NR) tile(1, 4, t, 0, col, true);
  return col;
}
static int64_t wide_2(const product *t) {
  int64_t col = 0;
  for (; t->n - col > NR; col += 2 * NR) tile(2, 2, t, 0, col, true);
  return col;
}

/* C (m, n) = or += A B for one block of k, B in panels ldb elements apart; then + bias[j], then
** + residual(i, j) where these are not NULL. A(i, p) of MR rows is at i * ars + p * acs, the next
** MR rows lda further; one of ars and acs is 1: ars in a panel (acs is MR). */
void K(gemm_tile)(real *c, int64_t ldc, const real *a, int64_t lda, int64_t ars, int64_t acs,
                  const real *b, int64_t ldb, int64_t m, int64_t n, int64_t k, bool add,
                  const real *bias, const real *residual, int64_t ldr) {
  product t = {c, a, b, bias, residual, ldc, lda, ars, acs, ldb, ldr, n, k, add};
  tile_fn *const *tiles = ars == 1 ? tile_tiles : rows_tiles;
  int64_t col = 0;
  if (acs == 1) col = m == 1 ? wide_1(&t) : m == 2 ? wide_2(&t) : 0;
  /* a panel of B stays near while the rows go by */
  for (; col < n; col += NR)
    for (int64_t row = 0; row < m; row += MR) tiles[m - row < MR ? m - row : MR](&t, row, col);
}
