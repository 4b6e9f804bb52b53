/* tile.h -- what the register tiles of products and of attention share: the tile's shape, its
** vector, and the turning of rows into panels ([k][width], read front to back by a tile). */
#ifndef ML_KERNELS_TILE_H
#define ML_KERNELS_TILE_H
#include "kernels/simd.h"

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
** [0, w) of L steps of a panel of width W. Stores may spill into the next step's first
** lanes, which are written later; the last step of the range must not. */
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

/* The way back: k steps of a panel of width W (its steps up to the next multiple of L are read)
** into n rows at stride so */
SIMD void unpack_along_k(real *dst, int64_t so, const real *src, const int W, int64_t n,
                         int64_t k) {
  for (int64_t i = 0; i < n; i += L)
    for (int64_t p = 0; p < k; p += L) {
      lane r[L];
      UNROLL for (int t = 0; t < L; t++) memcpy(&r[t], src + (p + t) * W + i, sizeof r[t]);
      transpose(r);
      size_t bytes = (size_t)(k - p < L ? k - p : L) * sizeof(real);
      UNROLL for (int t = 0; t < L; t++) {
        if (i + t >= n) continue;
        if (bytes == sizeof r[t]) memcpy(dst + (i + t) * so + p, &r[t], sizeof r[t]);
        else memcpy(dst + (i + t) * so + p, &r[t], bytes);
      }
    }
}

#endif
