/* random.c -- random fills: element e is word e % 4 of the Philox block of index e / 4, so any
** split of the range gives the same numbers. Sixteen blocks are made side by side in plain
** integer loops, which the compiler turns into vectors: ml_random's numbers, several times as
** fast. */
#include "kernels/isa.h"
#include "kernels/math.h"

typedef struct { uint64_t seed; uint32_t stream, step, site; } key;

enum { BLOCKS = 16, CHUNK = 4 * BLOCKS };

/* c is one round further; see base/philox.c for the constants. Unrolled, or with rows that might
** overlap, it would not become vectors. */
SIMD void philox_round(uint32_t c[4][BLOCKS], uint32_t k0, uint32_t k1) {
  uint32_t *restrict x0 = c[0], *restrict x1 = c[1], *restrict x2 = c[2], *restrict x3 = c[3];
#pragma GCC unroll 1
  for (int l = 0; l < BLOCKS; l++) {
    uint64_t a = (uint64_t)0xD2511F53u * x0[l], b = (uint64_t)0xCD9E8D57u * x2[l];
    uint32_t y1 = x1[l], y3 = x3[l];
    x0[l] = (uint32_t)(b >> 32) ^ y1 ^ k0, x1[l] = (uint32_t)b;
    x2[l] = (uint32_t)(a >> 32) ^ y3 ^ k1, x3[l] = (uint32_t)a;
  }
}

/* uniform numbers of elements [first, first + CHUNK), first a multiple of CHUNK */
static void chunk(real u[CHUNK], uint64_t first, key k) {
  uint32_t c[4][BLOCKS], k0 = (uint32_t)k.seed, k1 = k.stream ^ (uint32_t)(k.seed >> 32);
  for (uint64_t l = 0; l < BLOCKS; l++) {
    uint64_t index = first / 4 + l;
    c[0][l] = (uint32_t)index, c[1][l] = (uint32_t)(index >> 32);
    c[2][l] = k.step, c[3][l] = k.site;
  }
  for (int r = 0; r < 10; r++) {
    philox_round(c, k0, k1);
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  for (int l = 0; l < BLOCKS; l++)
    for (int w = 0; w < 4; w++) u[4 * l + w] = (real)ml_u01(c[w][l]);
}

/* where element i0 + index0 sits in its chunk, and how many of [i, i1) the chunk still holds */
typedef struct { uint64_t first; int64_t at, n; } span;
static span span_of(int64_t i, int64_t i1, uint64_t index0) {
  uint64_t e = index0 + (uint64_t)i, first = e & ~(uint64_t)(CHUNK - 1);
  int64_t at = (int64_t)(e - first);
  return (span){first, at, i1 - i < CHUNK - at ? i1 - i : CHUNK - at};
}

void K(uniform)(real *y, int64_t i0, int64_t i1, uint64_t seed, uint32_t stream, uint64_t index0,
                uint32_t step, uint32_t site) {
  key k = {seed, stream, step, site};
  real u[CHUNK];
  for (int64_t i = i0; i < i1;) {
    span s = span_of(i, i1, index0);
    chunk(u, s.first, k);
    memcpy(y + i, u + s.at, (size_t)s.n * sizeof *y);
    i += s.n;
  }
}

/* Box-Muller on the pairs (e, e ^ 1) of a chunk, in place: the even element takes the cosine, the
** odd one the sine */
static void box_muller(real u[CHUNK]) {
  for (int g = 0; g < CHUNK; g += 2 * 16) {
    real radius[16], angle[16], c[16], s[16];
    for (int l = 0; l < 16; l++) {
      radius[l] = 1 - u[g + 2 * l]; /* (0, 1]: its log is finite */
      angle[l] = u[g + 2 * l + 1] * (real)6.28318530717958648;
    }
    vf r = v_sqrt(v_mul(v_set(-2), v_log(v_load(radius))));
    v_store(c, v_mul(r, v_cos(v_load(angle))));
    v_store(s, v_mul(r, v_sin(v_load(angle))));
    for (int l = 0; l < 16; l++) u[g + 2 * l] = c[l], u[g + 2 * l + 1] = s[l];
  }
}

void K(normal)(real *y, int64_t i0, int64_t i1, uint64_t seed, uint32_t stream, uint64_t index0,
               uint32_t step, uint32_t site) {
  key k = {seed, stream, step, site};
  real u[CHUNK];
  for (int64_t i = i0; i < i1;) {
    span s = span_of(i, i1, index0);
    chunk(u, s.first, k);
    box_muller(u);
    memcpy(y + i, u + s.at, (size_t)s.n * sizeof *y);
    i += s.n;
  }
}

void K(dropout)(real *y, const real *x, int64_t i0, int64_t i1, double p, uint64_t seed,
                uint32_t stream, uint64_t index0, uint32_t step, uint32_t site) {
  key k = {seed, stream, step, site};
  real u[CHUNK];
  vf keep = v_set((real)(1 / (1 - p))), below = v_set((real)p);
  for (int64_t i = i0; i < i1;) {
    span s = span_of(i, i1, index0);
    chunk(u, s.first, k);
    for (int64_t l = 0; l < s.n; l += 16) {
      vf kept = v_mul(v_loadn(x + i + l, s.n - l), keep);
      vm in = v_le(below, v_loadn(u + s.at + l, s.n - l));
      v_storen(y + i + l, v_select(in, kept, v_zero()), s.n - l);
    }
    i += s.n;
  }
}
