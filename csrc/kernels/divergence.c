/* divergence.c -- KL divergences of two rows of logits, block by block of the vocabulary. A block
** is summed in 16 lanes and then the tree, blocks are added in order. Where both rows have the same
** bits every divergence and its gradient is exactly 0. */
#include "kernels/isa.h"
#include "kernels/math.h"

/* x, with nothing in the lanes beyond n */
SIMD vf first_lanes(vf x, int64_t n) {
  if (n >= 16) return x;
  real t[16] = {0};
  v_storen(t, x, n);
  return v_load(t);
}

/* log-probabilities of one id, ours s and theirs t, less that of what they are compared with: of
** the other side, or of the mixture (1 - beta) exp(s) + beta exp(t) */
typedef struct { vf ours, theirs; } ratios;

SIMD ratios ratios_of(int kind, vf beta, vf s, vf t) {
  vf d = v_sub(t, s);
  if (kind != ML_KL_JS) return (ratios){v_sub(s, t), d};
  vf top = v_max(d, v_zero()), es = v_exp_low(v_neg(top)), et = v_exp_low(v_sub(d, top));
  vf mix = v_log(v_fma(beta, v_sub(et, es), es)); /* log 1 = 0 where s = t */
  return (ratios){v_sub(v_neg(top), mix), v_sub(v_sub(d, top), mix)};
}

void K(kl_add)(real *ours, real *theirs, const real *z, int64_t ldz, const real *lse,
               const real *tz, int64_t ldt, const real *tlse, int kind, double beta, int64_t r0,
               int64_t r1, int64_t n, bool first) {
  vf b = v_set((real)beta);
  for (int64_t r = r0; r < r1; r++) {
    vf ls = v_set(lse[r]), lt = v_set(tlse[r]), a = v_zero(), c = v_zero();
    for (int64_t i = 0; i < n; i += 16) {
      vf s = v_sub(v_loadn(z + r * ldz + i, n - i), ls);
      vf t = v_sub(v_loadn(tz + r * ldt + i, n - i), lt);
      ratios q = ratios_of(kind, b, s, t);
      if (kind != ML_KL_FORWARD)
        a = v_add(a, first_lanes(v_mul(v_exp_low(s), q.ours), n - i));
      if (kind != ML_KL_REVERSE)
        c = v_add(c, first_lanes(v_mul(v_exp_low(t), q.theirs), n - i));
    }
    ours[r] = (first ? 0 : ours[r]) + v_sum(a);
    theirs[r] = (first ? 0 : theirs[r]) + v_sum(c);
  }
}

void K(kl_grad)(real *z, int64_t ldz, const real *lse, const real *tz, int64_t ldt,
                const real *tlse, const real *ours, const real *g, int kind, double beta,
                int64_t r0, int64_t r1, int64_t n) {
  vf b = v_set((real)beta);
  for (int64_t r = r0; r < r1; r++) {
    real *zr = z + r * ldz;
    if (g[r] == 0) {
      memset(zr, 0, (size_t)n * sizeof *zr);
      continue;
    }
    vf ls = v_set(lse[r]), lt = v_set(tlse[r]), mean = v_set(ours[r]);
    vf k = v_set(kind == ML_KL_JS ? g[r] * (real)(1 - beta) : g[r]);
    for (int64_t i = 0; i < n; i += 16) {
      vf s = v_sub(v_loadn(zr + i, n - i), ls);
      vf t = v_sub(v_loadn(tz + r * ldt + i, n - i), lt), p = v_exp_low(s);
      vf y = kind == ML_KL_FORWARD ? v_sub(p, v_exp_low(t))
                                   : v_mul(p, v_sub(ratios_of(kind, b, s, t).ours, mean));
      v_storen(zr + i, v_mul(y, k), n - i);
    }
  }
}
