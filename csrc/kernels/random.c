/* random.c -- random fills: element e is word e % 4 of the Philox block of index e / 4, so any
** split of the range gives the same numbers. */
#include "kernels/isa.h"
#include "kernels/math.h"

typedef struct { uint64_t seed; uint32_t stream, step, site; } key;

/* words of elements [e, e + 16) */
static void words(uint32_t w[16], uint64_t e, key k) {
  ml_u32x4 b = ml_random(k.seed, k.stream, e / 4, k.step, k.site);
  for (int i = 0; i < 16; i++, e++) {
    if (i > 0 && e % 4 == 0) b = ml_random(k.seed, k.stream, e / 4, k.step, k.site);
    w[i] = b.v[e % 4];
  }
}

void K(uniform)(real *y, int64_t i0, int64_t i1, uint64_t seed, uint32_t stream, uint64_t index0,
                uint32_t step, uint32_t site) {
  key k = {seed, stream, step, site};
  uint32_t w[16];
  for (int64_t i = i0; i < i1; i += 16) {
    words(w, index0 + (uint64_t)i, k);
    for (int l = 0; l < 16 && i + l < i1; l++) y[i + l] = (real)ml_u01(w[l]);
  }
}

/* Box-Muller on the pair (e, e ^ 1): the even element takes the cosine, the odd one the sine */
void K(normal)(real *y, int64_t i0, int64_t i1, uint64_t seed, uint32_t stream, uint64_t index0,
               uint32_t step, uint32_t site) {
  key k = {seed, stream, step, site};
  uint32_t w[16];
  real radius[16], angle[16], c[16], s[16];
  for (int64_t i = i0; i < i1;) {
    uint64_t e = index0 + (uint64_t)i, first = e & ~(uint64_t)15; /* whole pairs */
    words(w, first, k);
    for (int l = 0; l < 16; l++) {
      radius[l] = 1 - (real)ml_u01(w[l & ~1]); /* (0, 1]: its log is finite */
      angle[l] = (real)ml_u01(w[l | 1]) * (real)6.28318530717958648;
    }
    vf r = v_sqrt(v_mul(v_set(-2), v_log(v_load(radius))));
    v_store(c, v_mul(r, v_cos(v_load(angle))));
    v_store(s, v_mul(r, v_sin(v_load(angle))));
    for (uint64_t l = e - first; l < 16 && i < i1; l++, i++) y[i] = l & 1 ? s[l] : c[l];
  }
}

void K(dropout)(real *y, const real *x, int64_t i0, int64_t i1, double p, uint64_t seed,
                uint32_t stream, uint64_t index0, uint32_t step, uint32_t site) {
  key k = {seed, stream, step, site};
  uint32_t w[16];
  real keep = (real)(1 / (1 - p)), below = (real)p;
  for (int64_t i = i0; i < i1; i += 16) {
    words(w, index0 + (uint64_t)i, k);
    for (int l = 0; l < 16 && i + l < i1; l++)
      y[i + l] = (real)ml_u01(w[l]) >= below ? x[i + l] * keep : 0;
  }
}
