/* mul16.h -- the bf16 products of attention16.c: operands of gemm16.c's kernels, and short products
** by AMX without the setting up that gemm16_tile does for long ones. */
#ifndef ML_KERNELS_MUL16_H
#define ML_KERNELS_MUL16_H
#include "kernels/gemm.h"
#include "kernels/isa.h"
#include "kernels/tile.h"

enum {
  STEP = 32,   /* of k, and the rows and columns of a block */
  AHEAD = 4096 /* bytes a product over a cache fetches before it needs them */
};

/* how products are made, and their shapes in memory */
typedef struct {
  int kind;
  bool native, amx;
  bool far;       /* B lies in memory, not in a cache of the processor */
  int64_t mr, es; /* rows of a panel of A, size of its elements */
} way;

static way way_of(int kind, bool native, bool far) {
  return (way){kind, native, native && kind == ML_GEMM_TILES, far, K(gemm16_mr)(kind, native),
               native ? 2 : 4};
}

/* A as gemm16_tile reads it; `step` bytes from one STEP of k to the next */
typedef struct {
  const char *p;
  int64_t lda, ars, acs, step;
} left;

/* bytes of m rows of k packed */
static int64_t left_room(const way *w, int64_t m, int64_t k) {
  return (m + w->mr - 1) / w->mr * w->mr * k * w->es;
}

static left left_panels(const way *w, const void *panels, int64_t k) {
  return (left){panels, k * w->mr, STEP, STEP * w->mr, STEP * w->mr * w->es};
}

/* k is what the panels are long, n what there is of it: the rest becomes zeros */
static left left_packed(const way *w, void *room, const uint16_t *a, int64_t ars, int64_t acs,
                        int64_t m, int64_t n, int64_t k) {
  K(gemm16_pack_a)(w->kind, w->native, room, k * w->mr, a, ars, acs, m, n);
  return left_panels(w, room, k);
}

/* whole rows of whole steps, ld elements apart: AMX reads them where they are */
static left left_rows(const way *w, void *room, const uint16_t *a, int64_t ld, int64_t m,
                      int64_t k) {
  if (w->amx) return (left){(const char *)a, STEP * ld, ld, STEP, STEP * 2};
  return left_packed(w, room, a, ld, 1, m, k, k);
}

#if defined(ML_USE_AVX512)
#define AMX __attribute__((target("amx-tile,amx-bf16")))
/* static: gcc 12 believes that only its first 8 bytes are read */
static AMX void amx_begin(void) {
  static const struct {
    uint8_t palette, start, none[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  } eight = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
  _tile_loadconfig(&eight);
}
static AMX void amx_end(void) { _tile_release(); }

/* 32 columns; tmm0..3: sums, 2 x 2 of 16 x 16; tmm4, 5: A; tmm6, 7: B */
SIMD AMX void amx_block(const bool two, const bool far, float *c, int64_t ldc, const char *a,
                        int64_t ars, int64_t acs, const char *b, int64_t k) {
  _tile_zero(0);
  _tile_zero(1);
  if (two) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t p = 0; p < k; p += STEP, a += acs, b += STEP * STEP * 2) {
    if (far) UNROLL for (int at = 0; at < STEP * STEP * 2; at += 64)
      __builtin_prefetch(b + AHEAD + at, 0, 2);
    _tile_loadd(4, a, ars);
    _tile_loadd(6, b, STEP * 4);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + 64, STEP * 4);
    _tile_dpbf16ps(1, 4, 7);
    if (two) {
      _tile_loadd(5, a + 16 * ars, ars);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, c, ldc * 4);
  _tile_stored(1, c + 16, ldc * 4);
  if (!two) return;
  _tile_stored(2, c + 16 * ldc, ldc * 4);
  _tile_stored(3, c + 16 * ldc + 16, ldc * 4);
}

/* gcc 12's tile loads do not say that they read memory */
SIMD AMX void amx_blocks(const bool far, float *c, int64_t ldc, const left *a, const uint16_t *b,
                         int64_t ldb, int64_t m, int64_t n, int64_t k) {
  __asm__ volatile("" ::: "memory");
  for (int64_t i = 0; i < m; i += STEP)
    for (int64_t j = 0; j < n; j += STEP) {
      const char *ap = a->p + i / STEP * a->lda * 2, *bp = (const char *)(b + j / STEP * ldb);
      float *to = c + i * ldc + j;
      if (m - i > 16) amx_block(true, far, to, ldc, ap, a->ars * 2, a->acs * 2, bp, k);
      else amx_block(false, far, to, ldc, ap, a->ars * 2, a->acs * 2, bp, k);
    }
}
static AMX void amx_mul(float *c, int64_t ldc, const left *a, const uint16_t *b, int64_t ldb,
                        int64_t m, int64_t n, int64_t k) {
  amx_blocks(false, c, ldc, a, b, ldb, m, n, k);
}
static AMX void amx_mul_far(float *c, int64_t ldc, const left *a, const uint16_t *b, int64_t ldb,
                            int64_t m, int64_t n, int64_t k) {
  amx_blocks(true, c, ldc, a, b, ldb, m, n, k);
}
#endif

/* C (m, n) = A (m, k) B (k, n); n is whole panels of B, ldb apart. C has room for m in sixteens. */
static void mul(const way *w, float *c, int64_t ldc, const left *a, const uint16_t *b, int64_t ldb,
                int64_t m, int64_t n, int64_t k) {
#if defined(ML_USE_AVX512)
  if (w->amx) {
    if (w->far) amx_mul_far(c, ldc, a, b, ldb, m, n, k);
    else amx_mul(c, ldc, a, b, ldb, m, n, k);
    return;
  }
#endif
  K(gemm16_tile)(w->kind, w->native, c, ldc, NULL, 0, a->p, a->lda, a->ars, a->acs, b, ldb, m, n,
                 k, false, NULL, NULL, 0);
}

/* around all products of a task */
static void mul_begin(const way *w) {
#if defined(ML_USE_AVX512)
  if (w->amx) amx_begin();
#endif
  (void)w;
}
static void mul_end(const way *w) {
#if defined(ML_USE_AVX512)
  if (w->amx) amx_end();
#endif
  (void)w;
}

/* ---- rounding; native: by instruction, with the same bits where subnormals are flushed ---- */
#if defined(ML_USE_AVX512)
/* asm: an intrinsic would ask its target of every function that this goes into */
SIMD vi halves_native(vf low, vf high) {
  vi r;
  __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(r) : "v"(low), "v"(high));
  return r;
}
#endif

/* 32 in a row */
SIMD void put_halves(const bool native, uint16_t *p, vf a, vf b) {
#if defined(ML_USE_AVX512)
  if (native) {
    _mm512_storeu_si512(p, halves_native(a, b));
    return;
  }
#endif
  v_storeh(p, a);
  v_storeh(p + 16, b);
}

/* words of a panel of B: low is of an even k, high of the next */
SIMD vf pair_words(const bool native, vf low, vf high) {
#if defined(ML_USE_AVX512)
  if (native) {
    static const uint16_t turn[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return v_frombits(_mm512_permutexvar_epi16(_mm512_loadu_si512(turn), halves_native(low, high)));
  }
#endif
  return v_frombits(vi_or(vi_and(v_tohalf(low), vi_set(0xffff)), vi_shl(v_tohalf(high), 16)));
}

#endif
