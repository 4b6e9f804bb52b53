/* update.c -- optimiser updates, one pass each. Moments below 2^-126 become +0 by comparison:
** otherwise Adam's m would stay subnormal for ever and slow every step. */
#include "kernels/isa.h"

SIMD vf no_subnormal(vf x) {
  return v_select(v_lt(v_abs(x), v_set((real)0x1p-126)), v_zero(), x);
}

/* a + (b - a) t */
SIMD vf lerp(vf a, vf b, vf t) { return v_fma(v_sub(b, a), t, a); }

void K(adamw)(real *p, const real *g, real *m, real *v, int64_t i0, int64_t i1, double lr,
              double b1, double b2, double eps, double wd, double c1, double c2, double gscale) {
  vf t1 = v_set((real)(1 - b1)), t2 = v_set((real)(1 - b2)), gs = v_set((real)gscale);
  vf keep = v_set((real)(1 - lr * wd)), rate = v_set((real)(lr / c1));
  vf root = v_set((real)(1 / c2)), e = v_set((real)eps);
  for (int64_t i = i0; i < i1; i += 16) {
    int64_t n = i1 - i;
    vf grad = v_mul(v_loadn(g + i, n), gs);
    vf mi = no_subnormal(lerp(v_loadn(m + i, n), grad, t1));
    vf vi_ = no_subnormal(lerp(v_loadn(v + i, n), v_mul(grad, grad), t2));
    vf step = v_div(mi, v_add(v_sqrt(v_mul(vi_, root)), e));
    v_storen(m + i, mi, n);
    v_storen(v + i, vi_, n);
    v_storen(p + i, v_fnma(rate, step, v_mul(v_loadn(p + i, n), keep)), n);
  }
}

void K(sgd)(real *p, const real *g, real *m, int64_t i0, int64_t i1, double lr, double mu,
            bool nesterov, double wd, double gscale) {
  vf keep = v_set((real)(1 - lr * wd)), rate = v_set((real)lr), k = v_set((real)mu);
  vf gs = v_set((real)gscale);
  for (int64_t i = i0; i < i1; i += 16) {
    int64_t n = i1 - i;
    vf grad = v_mul(v_loadn(g + i, n), gs);
    vf mi = no_subnormal(v_fma(k, v_loadn(m + i, n), grad));
    vf step = nesterov ? v_fma(k, mi, grad) : mi;
    v_storen(m + i, mi, n);
    v_storen(p + i, v_fnma(rate, step, v_mul(v_loadn(p + i, n), keep)), n);
  }
}

void K(muon_momentum)(real *u, const real *g, real *m, int64_t i0, int64_t i1, double mu,
                      bool nesterov, double gscale) {
  vf t = v_set((real)(1 - mu)), k = v_set((real)mu), gs = v_set((real)gscale);
  for (int64_t i = i0; i < i1; i += 16) {
    int64_t n = i1 - i;
    vf grad = v_mul(v_loadn(g + i, n), gs);
    vf mi = no_subnormal(lerp(v_loadn(m + i, n), grad, t));
    v_storen(m + i, mi, n);
    v_storen(u + i, nesterov ? lerp(grad, mi, k) : mi, n);
  }
}
